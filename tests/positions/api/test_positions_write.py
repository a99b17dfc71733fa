"""Positions opened, bought, sold, protected and closed: exact digits, clear errors, nothing half-written."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest
from django.utils import timezone

from positions.api.schema import openapi
from positions.models import Position, PositionEvent, Wallet
from positions.prices.quotes import Market, Quote
from positions.services import close_position
from tests.conftest import BONK, JUP, WIF
from tests.positions.api.conftest import AS_OF, Api

NOT_FOUND = (404, {"detail": "Not found."})
REQUIRED = ["This field is required."]
NO_NUMBER = "{} must be a number, such as 0.25 or 1.2e-7, not {}"
LESS_THAN_1E21 = "tokens must be less than 1000000000000000000000, not"
ACTIONS: dict[str, dict[str, Any]] = {
    "buy": {"tokens": 1, "spentSol": 1},
    "take-profit": {"tokens": 1, "proceedsSol": 1},
    "take-profit-plan": {"levels": 4},
    "stop-loss": {"percentage": -10},
    "close": {"proceedsSol": 1},
    "migrate": {"tokenAddress": JUP},
}


def opening(in_wallet: Wallet, **changes: Any) -> dict[str, Any]:
    body = {"wallet": in_wallet.pk, "tokenAddress": WIF, "tokenSymbol": "WIF", "tokens": 8, "spentSol": 2}
    return {name: value for name, value in (body | changes).items() if value is not ...}


@pytest.mark.parametrize("zero", ["-0", "-0.0", "-0e-9", '"-0.0"', "0"])
@pytest.mark.both_databases
def test_close_for_nothing_takes_every_spelling_of_0(alices: Api, position: Position, zero: str):
    """A negative zero is what a client's doubles make of it; SQLite's constraint compares it as text."""
    closed = alices.post(f"positions/{position.pk}/close/", f'{{"proceedsSol": {zero}, "feeSol": {zero}}}')
    assert (closed.status, closed.data["status"]) == (200, "closed")


@pytest.mark.both_databases
def test_open_writes_the_position_and_its_event(alices: Api, wallet: Wallet):
    body = opening(wallet, stopLossPercentage=-12.5, transactionId="tx-1")
    made = alices.post("positions/", body)
    assert made.status == 201
    position = Position.objects.get()
    assert made.data["id"] == str(position.pk)
    assert made.data["agentId"] == str(wallet.agent_id)
    assert (made.data["walletAddress"], made.data["tokenAddress"]) == (wallet.pk, WIF)
    assert (made.data["purchasePrice"], made.data["remainingAmount"]) == (Decimal("0.25"), 8)
    assert (made.data["currentStopLossPercentage"], made.data["purchaseTransactionId"]) == (
        Decimal("-12.5"),
        "tx-1",
    )
    assert made.data["status"] == "open"
    assert made.text == alices.get(f"positions/{position.pk}/").text
    [event] = PositionEvent.objects.all()
    assert (event.event_type, event.position_id) == ("position_created", position.pk)


@pytest.mark.parametrize("quote", ["", '"'])
@pytest.mark.parametrize(
    ("tokens", "spent", "price"),
    [
        ("1", "0.000000123", "0.000000123"),
        ("1234567.123456789", "2469134.246913578", "2"),
        ("0.000000001", "0.000000001", "1"),
        ("81230000000000", "1", "0.000000000000012310722639418934"),
        ("100000000000000000000.000000001", "99999999999.999999999", "0.00000000099999999999999999999"),
    ],
)
@pytest.mark.both_databases
def test_open_keeps_every_digit_of_numbers_and_of_strings(
    alices: Api, wallet: Wallet, tokens: str, spent: str, price: str, quote: str
):
    rest = f'"wallet": "{wallet.pk}", "tokenAddress": "{WIF}", "tokenSymbol": "WIF"'
    body = f'{{"tokens": {quote}{tokens}{quote}, "spentSol": {quote}{spent}{quote}, {rest}}}'
    made = alices.post("positions/", body)
    assert made.status == 201, made.text
    for text in (made.text, alices.get(f"positions/{made.data['id']}/").text):
        assert f'"purchaseAmount":{tokens},' in text
        assert f'"remainingAmount":{tokens},' in text
        assert f'"totalInvestedSol":{spent},' in text
        assert f'"purchasePrice":{price},' in text


@pytest.mark.parametrize(
    ("tokens", "amount"),
    [
        ("1.2e-7", "0.00000012"),
        ('"1.2e-7"', "0.00000012"),
        ("1E+3", "1000"),
        ('"1E+3"', "1000"),
        ('"1e-07"', "0.0000001"),
        ("88e12", "88000000000000"),
        ("1e-9", "0.000000001"),
        ("0.30000000000000004", "0.3"),
        ("1.0000000000000000001", "1"),
        ('"-0.5e-1"', None),
    ],
)
def test_open_takes_numbers_as_bots_have_them(alices: Api, wallet: Wallet, tokens: str, amount: str | None):
    rest = f'"wallet": "{wallet.pk}", "tokenAddress": "{WIF}", "spentSol": 1e-1'
    answer = alices.post("positions/", f'{{"tokens": {tokens}, "tokenSymbol": "WIF", {rest}}}')
    if amount is None:
        refusal = {"errors": {"tokens": ["tokens must be more than 0, not -0.05"]}}
        assert answer.refusal == (400, refusal)
    else:
        assert f'"purchaseAmount":{amount},' in answer.text
        assert '"totalInvestedSol":0.1,' in answer.text


@pytest.mark.both_databases
def test_all_sold_in_parts_that_are_doubles_closes(alices: Api, wallet: Wallet):
    key = alices.post("positions/", opening(wallet, tokens=0.3)).data["id"]
    for part in (0.1, 0.1, 0.3 - 0.2):  # the last is 0.09999999999999998
        answer = alices.post(f"positions/{key}/take-profit/", {"tokens": part, "proceedsSol": 0.1 + 0.2})
    assert (answer.data["status"], answer.data["remainingAmount"]) == ("closed", 0)
    assert alices.post("positions/", opening(wallet, tokens=0.3)).status == 201


@pytest.mark.parametrize("symbol", [..., None, "", "\0\0", "\u202e\u200b \u2066"])
def test_open_without_a_symbol_shows_the_short_address(alices: Api, wallet: Wallet, symbol: Any):
    answer = alices.post("positions/", opening(wallet, tokenSymbol=symbol))
    assert (answer.status, answer.data["tokenSymbol"]) == (201, "EKpQ…zcjm")


def test_open_makes_the_symbol_harmless(alices: Api, wallet: Wallet):
    made = alices.post("positions/", opening(wallet, tokenSymbol="\u202eKNOB\u202c\0\0\0\0\0\0" + "\0" * 40))
    assert made.data["tokenSymbol"] == "KNOB"
    assert made.text == alices.get(f"positions/{made.data['id']}/").text
    [found] = alices.get("positions/?symbol=knob").data["results"]
    assert found["id"] == made.data["id"]


@pytest.mark.both_databases
def test_small_price_is_written_without_an_exponent(alices: Api, wallet: Wallet):
    made = alices.post("positions/", opening(wallet, tokens=10_000, spentSol="0.001234"))
    assert '"purchasePrice":0.0000001234,' in made.text
    guarded = alices.post(
        f"positions/{made.data['id']}/stop-loss/", '{"percentage": 1e1, "peakPrice": 1.234E-7}'
    )
    assert '"peakPrice":0.0000001234,' in guarded.text
    assert '"currentStopLossPercentage":10,' in guarded.text


@pytest.mark.parametrize(
    ("changes", "errors"),
    [
        ({"tokens": ..., "spentSol": ...}, {"tokens": REQUIRED, "spentSol": REQUIRED}),
        (
            {"tokens": "x", "spentSol": True},
            {
                "tokens": [NO_NUMBER.format("tokens", '"x"')],
                "spentSol": [NO_NUMBER.format("spentSol", "true")],
            },
        ),
        (
            {"tokens": "NaN", "spentSol": "Infinity"},
            {
                "tokens": [NO_NUMBER.format("tokens", '"NaN"')],
                "spentSol": [NO_NUMBER.format("spentSol", '"Infinity"')],
            },
        ),
        ({"tokens": "1_000"}, {"tokens": [NO_NUMBER.format("tokens", '"1_000"')]}),
        ({"tokens": "1e"}, {"tokens": [NO_NUMBER.format("tokens", '"1e"')]}),
        ({"tokens": "\uff11\uff12"}, {"tokens": [NO_NUMBER.format("tokens", r'"\uff11\uff12"')]}),
        ({"tokens": " 1 "}, {"tokens": [NO_NUMBER.format("tokens", '" 1 "')]}),
        ({"tokens": ""}, {"tokens": [NO_NUMBER.format("tokens", '""')]}),
        ({"tokens": []}, {"tokens": [NO_NUMBER.format("tokens", "a list")]}),
        ({"tokens": {}}, {"tokens": [NO_NUMBER.format("tokens", "a dict")]}),
        ({"tokens": "1" * 65}, {"tokens": ["tokens must be a number of at most 64 characters; it has 65"]}),
        ({"tokens": None}, {"tokens": ["This field may not be null."]}),
        ({"tokens": 0}, {"tokens": ["tokens must be more than 0, not 0"]}),
        ({"tokens": "-0"}, {"tokens": ["tokens must be more than 0, not 0"]}),
        ({"tokens": "-1"}, {"tokens": ["tokens must be more than 0, not -1"]}),
        ({"tokens": 10**21}, {"tokens": [f"{LESS_THAN_1E21} 1000000000000000000000"]}),
        ({"tokens": 1e300}, {"tokens": [f"{LESS_THAN_1E21} 1E+300"]}),
        ({"tokens": "1e400"}, {"tokens": [f"{LESS_THAN_1E21} 1E+400"]}),
        ({"tokens": 10**400 - 1}, {"tokens": [f"{LESS_THAN_1E21} 1.00000E+400"]}),
        (
            {"tokens": "4e-10"},
            {"tokens": ["tokens must be at least 0.000000001, not 0.0000000004, which rounds to 0"]},
        ),
        ({"spentSol": 0}, {"spentSol": ["spentSol must be more than 0, not 0"]}),
        (
            {"spentSol": "0.0000000001"},
            {"spentSol": ["spentSol must be at least 0.000000001, not 0.0000000001, which rounds to 0"]},
        ),
        ({"spentSol": 10**11}, {"spentSol": ["spentSol must be less than 100000000000, not 100000000000"]}),
        (
            {"stopLossPercentage": -101},
            {"stopLossPercentage": ["stopLossPercentage must be at least -100 and below 100000, not -101"]},
        ),
        (
            {"stopLossPercentage": "99999.99999"},
            {
                "stopLossPercentage": [
                    "stopLossPercentage must be at least -100 and below 100000, not 99999.99999"
                ]
            },
        ),
        (
            {"stopLossPercentage": "ten"},
            {"stopLossPercentage": [NO_NUMBER.format("stopLossPercentage", '"ten"')]},
        ),
        ({"spent_sol": 1}, {"spent_sol": ["Unknown field."]}),
        ({"stopLoss": -5}, {"stopLoss": ["Unknown field."]}),
        (
            {"tokenAddress": "0x1"},
            {
                "tokenAddress": [
                    "tokenAddress: “0x1” is not a Solana address: base58 has no 0, O, I, l or other signs."
                ]
            },
        ),
        (
            {"tokenAddress": "a" * 65},
            {"tokenAddress": ["tokenAddress must have at most 64 characters; it has 65"]},
        ),
        ({"tokenAddress": 5}, {"tokenAddress": ["tokenAddress must be a string, not 5"]}),
        (
            {"tokenSymbol": "S" * 33},
            {"tokenSymbol": ["tokenSymbol must have at most 32 characters; it has 33"]},
        ),
        ({"tokenSymbol": 5}, {"tokenSymbol": ["tokenSymbol must be a string, not 5"]}),
        (
            {"transactionId": "t" * 129},
            {"transactionId": ["transactionId must have at most 128 characters; it has 129"]},
        ),
        ({"transactionId": ["t"]}, {"transactionId": ["transactionId must be a string, not a list"]}),
        ({"wallet": 5}, {"wallet": ["wallet must be a string, not 5"]}),
        ({"wallet": "a\0b"}, {"wallet": ["Null characters are not allowed."]}),
    ],
)
def test_open_with_bad_input_is_refused_by_field(
    alices: Api, wallet: Wallet, changes: dict[str, Any], errors: dict[str, list[str]]
):
    assert alices.post("positions/", opening(wallet, **changes)).refusal == (400, {"errors": errors})
    assert not Position.objects.exists()
    assert not PositionEvent.objects.exists()


@pytest.mark.both_databases
def test_open_in_a_stranger_s_wallet_is_refused_as_in_an_unknown_one(bobs: Api, wallet: Wallet):
    strange = bobs.post("positions/", opening(wallet))
    unknown = bobs.post("positions/", opening(wallet, wallet="Unknown"))
    assert strange.refusal == unknown.refusal == (400, {"errors": {"wallet": ["Wallet not found."]}})
    assert not Position.objects.exists()


@pytest.mark.both_databases
def test_open_of_what_the_wallet_holds_already_is_a_conflict(alices: Api, position: Position, wallet: Wallet):
    answer = alices.post("positions/", opening(wallet, tokenAddress=BONK))
    message = f"{wallet.pk} already has an open position in {BONK}"
    assert answer.refusal == (409, {"errors": {"tokenAddress": [message]}})
    assert Position.objects.count() == 1


def test_open_after_a_close_is_a_new_position(alices: Api, position: Position, wallet: Wallet):
    close_position(position_id=position.pk, proceeds_sol=Decimal(1))
    assert alices.post("positions/", opening(wallet, tokenAddress=BONK)).status == 201


def test_buy_averages_the_cost(alices: Api, position: Position):
    body = {"tokens": 1_000_000, "spentSol": 1, "transactionId": "dca-1"}
    answer = alices.post(f"positions/{position.pk}/buy/", body)
    assert answer.status == 200
    assert (answer.data["purchasePrice"], answer.data["totalInvestedSol"]) == (Decimal("0.0000015"), 3)
    assert (answer.data["dcaCount"], answer.data["dcaTransactionIds"]) == (1, ["dca-1"])
    assert answer.text == alices.get(f"positions/{position.pk}/").text
    assert PositionEvent.objects.values_list("event_type", flat=True).last() == "position_updated"


def test_take_profit_realises_it_and_keeps_a_moon_bag(alices: Api, position: Position):
    body = {"tokens": 600_000, "proceedsSol": "1.8", "moonBag": True, "transactionId": "tp-1"}
    answer = alices.post(f"positions/{position.pk}/take-profit/", body)
    assert answer.status == 200
    assert (answer.data["remainingAmount"], answer.data["realizedProfitSol"]) == (400_000, Decimal("0.6"))
    assert (answer.data["moonBagActivated"], answer.data["moonBagAmount"]) == (True, 400_000)
    assert answer.data["takeProfitTransactionIds"] == ["tp-1"]
    assert answer.data["status"] == "open"


def test_take_profit_of_all_closes(alices: Api, position: Position):
    answer = alices.post(f"positions/{position.pk}/take-profit/", {"tokens": 1_000_000, "proceedsSol": 3})
    assert (answer.data["status"], answer.data["closeReason"]) == ("closed", "take profit")
    assert PositionEvent.objects.values_list("event_type", flat=True).last() == "position_closed"


def test_take_profit_of_several_levels_of_a_plan(alices: Api, position: Position):
    planned = alices.post(f"positions/{position.pk}/take-profit-plan/", {"levels": 4})
    assert planned.status == 200, planned.text
    assert (planned.data["tpBatchStartLevel"], planned.data["totalTakeProfitLevels"]) == (0, 4)
    body = {"tokens": 600_000, "proceedsSol": "1.8", "levels": 2.0}
    sold = alices.post(f"positions/{position.pk}/take-profit/", body)
    assert (sold.data["takeProfitLevelsHit"], sold.data["totalTakeProfitLevels"]) == (2, 4)
    more = {"tokens": 1, "spentSol": 1, "takeProfitLevels": 3}
    bought = alices.post(f"positions/{position.pk}/buy/", more)
    assert (bought.data["tpBatchStartLevel"], bought.data["totalTakeProfitLevels"]) == (2, 5)
    removed = alices.post(f"positions/{position.pk}/take-profit-plan/", {"levels": None})
    assert (removed.data["tpBatchStartLevel"], removed.data["totalTakeProfitLevels"]) == (None, None)


def test_open_with_a_plan_of_take_profits(alices: Api, wallet: Wallet):
    made = alices.post("positions/", opening(wallet, takeProfitLevels=4))
    assert (made.data["tpBatchStartLevel"], made.data["totalTakeProfitLevels"]) == (0, 4)


def test_stop_loss_is_moved(alices: Api, position: Position):
    answer = alices.post(f"positions/{position.pk}/stop-loss/", {"percentage": 5, "peakPrice": "0.000004"})
    assert answer.status == 200
    assert (answer.data["currentStopLossPercentage"], answer.data["peakPrice"]) == (5, Decimal("0.000004"))
    assert answer.data["lastStopLossUpdate"] is not None


def test_stop_loss_is_removed_by_null(alices: Api, position: Position):
    alices.post(f"positions/{position.pk}/stop-loss/", {"percentage": -20, "peakPrice": "0.000004"})
    answer = alices.post(f"positions/{position.pk}/stop-loss/", {"percentage": None, "peakPrice": None})
    assert answer.status == 200
    removed = (answer.data["currentStopLossPercentage"], answer.data["lastStopLossUpdate"])
    assert (*removed, answer.data["peakPrice"]) == (None, None, Decimal("0.000004"))
    again = alices.post(f"positions/{position.pk}/stop-loss/", {"percentage": None})
    assert (again.status, again.data["currentStopLossPercentage"]) == (200, None)
    assert alices.post(f"positions/{position.pk}/stop-loss/", {"percentage": -5}).status == 200


def test_schema_says_that_null_removes_the_stop_loss():
    body = openapi()["components"]["schemas"]["StopLossBody"]
    assert {"type": "null"} in body["properties"]["percentage"]["anyOf"]
    assert "null removes the stop loss" in body["properties"]["percentage"]["description"]
    assert body["required"] == ["percentage"]


def test_close_for_named_proceeds_realises_them(alices: Api, position: Position):
    body = {"proceedsSol": "2.5", "reason": "enough", "transactionId": "end"}
    answer = alices.post(f"positions/{position.pk}/close/", body)
    assert answer.status == 200
    assert (answer.data["status"], answer.data["closeReason"]) == ("closed", "enough")
    assert (answer.data["remainingAmount"], answer.data["realizedProfitSol"]) == (0, Decimal("0.5"))
    assert answer.data["takeProfitTransactionIds"] == ["end"]
    assert answer.data["closedAt"] is not None


def test_migrate_follows_the_token_and_its_last_price(
    alices: Api, position: Position, bonk_at_3_micro: Quote
):
    body = {"tokenAddress": JUP, "tokenSymbol": "NEW", "ratio": "1e-3", "transactionId": "m"}
    answers = [alices.post(f"positions/{position.pk}/migrate/", body) for _ in range(2)]
    assert answers[0].text == answers[1].text == alices.get(f"positions/{position.pk}/").text
    data = answers[0].data
    assert (data["id"], data["tokenAddress"], data["tokenSymbol"]) == (str(position.pk), JUP, "NEW")
    assert (data["remainingAmount"], data["purchasePrice"]) == (1000, Decimal("0.002"))
    assert (data["currentPrice"], data["priceSource"], data["priceStatus"]) == (
        Decimal("0.003"),
        "live",
        "thin",
    )


@pytest.mark.parametrize("body", [None, {}, {"proceedsSol": None, "reason": None}])
def test_close_without_proceeds_sells_at_the_market(
    alices: Api, position: Position, bonk_at_3_micro, body: dict[str, Any] | None
):
    answer = alices.post(f"positions/{position.pk}/close/", body)
    assert answer.status == 200
    assert (answer.data["realizedProfitSol"], answer.data["closeReason"]) == (1, "manual")


def test_close_without_proceeds_or_a_price_asks_for_the_proceeds(alices: Api, position: Position):
    answer = alices.post(f"positions/{position.pk}/close/")
    message = "no market price of BONK is known: proceeds are required"
    assert answer.refusal == (409, {"errors": {"proceedsSol": [message]}})


def test_close_without_proceeds_or_the_cache_asks_for_the_proceeds(
    alices: Api, position: Position, valkey_away
):
    answer = alices.post(f"positions/{position.pk}/close/")
    message = "the price cache cannot be reached: proceeds are required"
    assert answer.refusal == (409, {"errors": {"proceedsSol": [message]}})


@pytest.mark.parametrize(
    ("market", "age_seconds", "status"),
    [(None, 61, "stale"), (Market("thin"), 0, "thin"), (Market("gone", priced_at=AS_OF), 0, "gone")],
)
def test_close_at_a_market_price_that_is_not_live_is_refused(
    alices: Api, position: Position, feed: Callable[..., None], market, age_seconds, status
):
    as_of = timezone.now() - timedelta(seconds=age_seconds)
    feed(Quote(BONK, Decimal("0.000003"), None, as_of, market))
    code, body = alices.post(f"positions/{position.pk}/close/").refusal
    assert code == 409
    [message] = body["errors"]["proceedsSol"]
    said = re.fullmatch(rf"the price of BONK is {status} and (\d+) (\w+) old: proceeds are required", message)
    assert said is not None, message
    if status != "gone":
        assert said[2] == "s"
        assert age_seconds <= int(said[1]) <= (timezone.now() - as_of).total_seconds() + 1
    assert alices.post(f"positions/{position.pk}/close/", {"proceedsSol": 1}).status == 200


@pytest.mark.parametrize(
    ("action", "body", "errors"),
    [
        ("buy", {}, {"tokens": REQUIRED, "spentSol": REQUIRED}),
        ("buy", {"tokens": 1, "spentSol": -1}, {"spentSol": ["spentSol must be more than 0, not -1"]}),
        ("buy", {"tokens": 1, "spentSol": 1, "proceedsSol": 1}, {"proceedsSol": ["Unknown field."]}),
        ("take-profit", {}, {"tokens": REQUIRED}),
        (
            "take-profit",
            {"tokens": 1, "proceedsSol": -1},
            {"proceedsSol": ["proceedsSol must be 0 or more, not -1"]},
        ),
        (
            "take-profit",
            {"tokens": 1, "proceedsSol": 1, "moonBag": "yes"},
            {"moonBag": ['moonBag must be true or false, not "yes"']},
        ),
        (
            "take-profit",
            {"tokens": 1, "proceedsSol": 1, "levels": 1.5},
            {"levels": ["levels must be a whole number, not 1.5"]},
        ),
        (
            "take-profit",
            {"tokens": 1, "proceedsSol": 1, "levels": 101},
            {"levels": ["levels must be from 0 to 100, not 101"]},
        ),
        ("take-profit-plan", {}, {"levels": REQUIRED}),
        ("take-profit-plan", {"levels": 0}, {"levels": ["levels must be from 1 to 100, not 0"]}),
        ("stop-loss", {}, {"percentage": REQUIRED}),
        (
            "stop-loss",
            {"percentage": 100_000},
            {"percentage": ["percentage must be at least -100 and below 100000, not 100000"]},
        ),
        (
            "stop-loss",
            {"percentage": "1e9"},
            {"percentage": ["percentage must be at least -100 and below 100000, not 1000000000"]},
        ),
        (
            "stop-loss",
            {"percentage": 1, "peakPrice": 0},
            {"peakPrice": ["peakPrice must be more than 0, not 0"]},
        ),
        ("migrate", {}, {"tokenAddress": ["tokenAddress or a symbol is required"]}),
        ("migrate", {"tokenAddress": JUP, "ratio": -1}, {"ratio": ["ratio must be more than 0, not -1"]}),
        ("close", {"proceedsSol": "-1"}, {"proceedsSol": ["proceedsSol must be 0 or more, not -1"]}),
        (
            "close",
            {"proceedsSol": 1, "reason": "r" * 201},
            {"reason": ["reason must have at most 200 characters; it has 201"]},
        ),
        ("close", {"proceedsSol": 1, "reason": ""}, {"reason": ["This field may not be blank."]}),
        (
            "take-profit",
            {"tokens": 1, "proceedsSol": 1, "note": "n" * 201},
            {"note": ["note must have at most 200 characters; it has 201"]},
        ),
        ("stop-loss", {"percentage": -5, "note": 7}, {"note": ["note must be a string, not 7"]}),
    ],
)
def test_action_with_bad_input_is_refused_by_field(
    alices: Api, position: Position, action: str, body: dict[str, Any], errors: dict[str, list[str]]
):
    before = Position.objects.values().get()
    assert alices.post(f"positions/{position.pk}/{action}/", body).refusal == (400, {"errors": errors})
    assert Position.objects.values().get() == before
    assert PositionEvent.objects.count() == 1


@pytest.mark.parametrize(
    ("action", "body", "message"),
    [
        (
            "take-profit",
            {"tokens": 1_000_001, "proceedsSol": 1},
            r"tokens: 1000001 to sell, 1000000(\.0+)? held",
        ),
        (
            "buy",
            {"tokens": 10**21 - 1, "spentSol": 1},
            f"tokens: {10**21 + 999_999} bought in all is too much: it must be less than {10**21}",
        ),
    ],
)
def test_action_past_what_a_position_holds_or_can_hold_is_refused(
    alices: Api, position: Position, action: str, body: dict[str, Any], message: str
):
    answer = alices.post(f"positions/{position.pk}/{action}/", body)
    assert answer.status == 400
    assert re.fullmatch(message, answer.data["errors"]["tokens"][0])
    assert PositionEvent.objects.count() == 1


@pytest.mark.parametrize(("action", "body"), ACTIONS.items())
def test_action_on_a_closed_position_is_a_conflict(
    alices: Api, position: Position, action: str, body: dict[str, Any]
):
    close_position(position_id=position.pk, proceeds_sol=Decimal(1))
    answer = alices.post(f"positions/{position.pk}/{action}/", body)
    assert answer.refusal == (409, {"detail": f"position {position.pk} is closed"})


@pytest.mark.parametrize(("action", "body"), ACTIONS.items())
def test_action_of_a_stranger_finds_nothing_whatever_the_body(
    bobs: Api, position: Position, action: str, body: dict[str, Any]
):
    for sent in (body, {"unknown": 1}):
        assert bobs.post(f"positions/{position.pk}/{action}/", sent).refusal == NOT_FOUND
    assert bobs.post(f"positions/{uuid4()}/{action}/", body).refusal == NOT_FOUND
    assert PositionEvent.objects.count() == 1


def test_action_asked_with_get_is_refused(alices: Api, position: Position):
    answer = alices.get(f"positions/{position.pk}/close/")
    assert answer.refusal == (405, {"detail": 'Method "GET" not allowed.'})


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE"])
def test_position_is_written_by_its_actions_only(alices: Api, position: Position, method: str):
    answer = alices.request(method, f"positions/{position.pk}/", {"remainingAmount": 5})
    assert answer.refusal == (405, {"detail": f'Method "{method}" not allowed.'})
    assert Position.objects.get().token_address != JUP


@pytest.mark.both_databases
def test_part_is_sold_at_the_market_once_however_often_it_is_sent(
    alices: Api, position: Position, bonk_at_3_micro: None
):
    body = {"tokens": 250_000, "transactionId": "sale"}
    for _ in range(2):
        sold = alices.post(f"positions/{position.pk}/take-profit/", body)
        assert sold.status == 200, sold.text
    # 0.75 for what had cost 0.5
    assert (sold.data["remainingAmount"], sold.data["realizedProfitSol"]) == (750_000, Decimal("0.25"))


def test_part_is_not_sold_at_a_market_price_that_is_unknown(alices: Api, position: Position):
    refusal = alices.post(f"positions/{position.pk}/take-profit/", {"tokens": 1}).refusal
    message = "no market price of BONK is known: proceeds are required"
    assert refusal == (409, {"errors": {"proceedsSol": [message]}})


@pytest.mark.parametrize(("verb", "more"), [("close", {}), ("take-profit", {"tokens": 250_000})])
def test_sale_of_another_holding_than_was_seen_is_refused(
    alices: Api, position: Position, verb: str, more: dict[str, Any]
):
    path, body = f"positions/{position.pk}/{verb}/", {"proceedsSol": 1, **more}
    refusal = alices.post(path, {**body, "heldAmount": 999_999}).refusal
    message = "heldAmount: 1000000 are held now, not 999999: nothing is sold"
    assert refusal == (409, {"errors": {"heldAmount": [message]}})
    assert alices.post(path, {**body, "heldAmount": "1000000.0"}).status == 200


def test_note_says_why_in_events_and_trades_and_not_in_the_position(alices: Api, position: Position):
    path = f"positions/{position.pk}"
    sold = alices.post(f"{path}/take-profit/", {"tokens": 10, "proceedsSol": 1, "note": "half of it"}).data
    alices.post(f"{path}/stop-loss/", {"percentage": -5, "note": "tighter"})
    alices.post(f"{path}/stop-loss/", {"percentage": -4})
    alices.post(f"{path}/close/", {"proceedsSol": 1, "reason": "no volume"})
    assert "note" not in sold
    events = alices.get(f"agents/{position.agent_id}/events/").data["events"]
    assert [event["note"] for event in events] == [None, "half of it", "tighter", None, "no volume"]
    trades = alices.get(f"{path}/trades/").data["results"]
    assert [trade["note"] for trade in trades] == ["no volume", "half of it", None]


def test_sale_repeated_with_another_note_is_another_request(alices: Api, position: Position):
    sale = {"tokens": 10, "proceedsSol": 1, "transactionId": "sale", "note": "why"}
    path = f"positions/{position.pk}/take-profit/"
    assert alices.post(path, sale).data == alices.post(path, sale).data
    assert alices.post(path, {**sale, "note": "why not"}).status == 409
