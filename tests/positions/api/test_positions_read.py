"""Positions listed and shown: in the socket's format, filtered, and never another user's."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import uuid4

import msgspec
import pytest

from positions import valkey
from positions.books.live import live
from positions.books.snapshots import snapshot, timestamp
from positions.models import Agent, Position, Wallet
from positions.prices.cache import get_prices
from positions.prices.quotes import Quote
from positions.services import close_position, open_position, take_profit, transfer_out
from tests.conftest import BONK, JUP, WIF
from tests.positions.api.conftest import AS_OF, UNKNOWN_ID, Api

NOT_FOUND = (404, {"detail": "Not found."})


@pytest.fixture
def three(position: Position, wallet: Wallet) -> list[Position]:
    """BONK, then WIF, open; JUP, last, closed."""
    wif, jup = (
        open_position(
            wallet=wallet,
            token_address=address,
            token_symbol=symbol,
            tokens=Decimal(10),
            spent_sol=Decimal(1),
        )
        for address, symbol in ((WIF, "WIF"), (JUP, "JUP"))
    )
    close_position(position_id=jup.pk, proceeds_sol=Decimal("1.5"), reason="stop loss")
    return [position, wif, jup]


def symbols(api: Api, query: str) -> list[str]:
    answer = api.get(f"positions/?{query}")
    assert answer.status == 200, answer.text
    assert answer.data["count"] == len(answer.data["results"])
    return [result["tokenSymbol"] for result in answer.data["results"]]


def test_position_is_byte_for_byte_the_socket_s_with_three_fields_more(
    alices: Api, position: Position, bonk_at_3_micro
):
    prices = get_prices([BONK])
    on_the_socket = msgspec.json.encode(
        live(snapshot(position), prices.quotes[BONK], sol_usd=prices.sol_usd)
    ).decode()
    expected = f'{on_the_socket[:-1]},"status":"open","closedAt":null,"closeReason":null,"salePrice":null}}'
    assert alices.get(f"positions/{position.pk}/").text == expected
    listed = alices.get("positions/")
    assert listed.text == f'{{"count":1,"next":null,"previous":null,"results":[{expected}]}}'


def test_position_at_a_live_price_shows_its_worth(alices: Api, position: Position, bonk_at_3_micro):
    data = alices.get(f"positions/{position.pk}/").data
    assert (data["currentPrice"], data["currentPriceUsd"]) == (Decimal("0.000003"), Decimal("0.0006"))
    quoted_at = get_prices([BONK]).quotes[BONK].as_of
    assert (data["priceSource"], data["priceTimestamp"]) == ("live", timestamp(quoted_at))
    assert (data["positionValueSol"], data["profitLossSol"], data["profitLossUsd"]) == (3, 1, 200)
    assert (data["profitLossPercent"], data["priceChangePercent"]) == (50, 50)


def test_position_without_a_price_stands_at_its_purchase_price(alices: Api, position: Position):
    data = alices.get(f"positions/{position.pk}/").data
    assert (data["priceSource"], data["currentPrice"], data["priceTimestamp"]) == (
        "purchase",
        Decimal("0.000002"),
        None,
    )
    assert (data["currentPriceUsd"], data["positionValueUsd"], data["profitLossSol"]) == (0, None, 0)


def test_position_without_the_price_cache_stands_at_its_purchase_price(
    alices: Api, position: Position, valkey_away
):
    [data] = alices.get("positions/").data["results"]
    assert (data["priceSource"], data["currentPrice"]) == ("purchase", Decimal("0.000002"))


def test_position_closed_says_when_and_why(alices: Api, three: list[Position]):
    jup = Position.objects.get(token_symbol="JUP")
    data = alices.get(f"positions/{jup.pk}/").data
    assert jup.closed_at is not None
    assert (data["status"], data["closedAt"], data["closeReason"]) == (
        "closed",
        timestamp(jup.closed_at),
        "stop loss",
    )
    assert (data["remainingAmount"], data["realizedProfitSol"], data["profitLossSol"]) == (
        0,
        Decimal("0.5"),
        Decimal("0.5"),
    )


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", ["BONK", "WIF"]),
        ("status=open", ["BONK", "WIF"]),
        ("status=closed", ["JUP"]),
        ("status=all", ["BONK", "WIF", "JUP"]),
        ("status=all&ordering=createdAt", ["BONK", "WIF", "JUP"]),
        ("status=all&ordering=-createdAt", ["JUP", "WIF", "BONK"]),
        (f"token={WIF}", ["WIF"]),
        (f"token={WIF.lower()}", []),
        (f"token={JUP}", []),
        (f"token={JUP}&status=all", ["JUP"]),
        ("symbol=wif", ["WIF"]),
        ("symbol=WI", []),
    ],
)
def test_positions_are_filtered_and_ordered(
    alices: Api, three: list[Position], query: str, expected: list[str]
):
    assert symbols(alices, query) == expected


def test_positions_are_filtered_by_take_profit_and_moon_bag(alices: Api, three: list[Position]):
    bonk, wif = (position for position in three if position.token_symbol in ("BONK", "WIF"))
    one = Decimal(1)
    take_profit(position_id=bonk.pk, tokens=one, proceeds_sol=one, levels=2)
    take_profit(position_id=wif.pk, tokens=one, proceeds_sol=one, levels=0, moon_bag=True)
    assert symbols(alices, "takeProfit=true") == ["BONK"]
    assert symbols(alices, "takeProfit=false&moonBag=true") == ["WIF"]
    assert symbols(alices, "moonBag=false") == ["BONK"]
    assert symbols(alices, "takeProfitLevelsHit=2") == ["BONK"]
    assert symbols(alices, "takeProfitLevelsHit=0") == ["WIF"]


def test_positions_are_filtered_by_agent_and_wallet(alices: Api, alice, three: list[Position]):
    other = Agent.objects.create(owner=alice, name="other")
    wallet = Wallet.objects.create(agent=other, address="Other")
    open_position(
        wallet=wallet, token_address=BONK, token_symbol="B2", tokens=Decimal(1), spent_sol=Decimal(1)
    )
    assert symbols(alices, f"agent={other.pk}") == ["B2"]
    assert symbols(alices, f"agent={three[0].agent_id}") == ["BONK", "WIF"]
    assert symbols(alices, "wallet=Other") == ["B2"]
    assert symbols(alices, f"wallet={three[0].wallet_id}&symbol=bonk") == ["BONK"]
    assert symbols(alices, f"agent={uuid4()}") == []


@pytest.mark.parametrize(
    ("query", "errors"),
    [
        ("agent=1", {"agent": ["Enter a valid UUID."]}),
        ("status=OPEN", {"status": ["Select a valid choice. OPEN is not one of the available choices."]}),
        (
            "ordering=symbol",
            {"ordering": ["Select a valid choice. symbol is not one of the available choices."]},
        ),
        ("moonBag=1", {"moonBag": ["Select a valid choice. 1 is not one of the available choices."]}),
        (
            "takeProfitLevelsHit=-1",
            {"takeProfitLevelsHit": ["This must be a whole number from 0 to 2147483647."]},
        ),
        ("symbol=%00", {"symbol": ["Null characters are not allowed."]}),
        ("wallet=%00", {"wallet": ["Null characters are not allowed."]}),
        ("token=%00", {"token": ["Null characters are not allowed."]}),
        (
            "token=" + "a" * 65,
            {"token": ["Ensure this value has at most 64 characters (it has 65)."]},
        ),
        ("limit=0", {"limit": ["This must be a whole number from 1 to 500."]}),
        ("limit=501", {"limit": ["This must be a whole number from 1 to 500."]}),
        ("limit=all", {"limit": ["This must be a whole number from 1 to 500."]}),
        ("offset=-1", {"offset": ["This must be a whole number from 0 to 9223372036854775807."]}),
        (
            "offset=9223372036854775808",
            {"offset": ["This must be a whole number from 0 to 9223372036854775807."]},
        ),
        ("tokenAddress=x&page=2", {"tokenAddress": ["Unknown parameter."], "page": ["Unknown parameter."]}),
        *[
            (f"{name}=", {name: ["This may not be empty."]})
            for name in ("agent", "wallet", "token", "status")
        ],
        (
            "symbol=+%20&ordering=",
            {"symbol": ["This may not be empty."], "ordering": ["This may not be empty."]},
        ),
        ("status=open&status=closed", {"status": ["Give this parameter only once."]}),
    ],
)
def test_positions_of_a_bad_query_are_refused_by_parameter(
    alices: Api, query: str, errors: dict[str, list[str]]
):
    assert alices.get(f"positions/?{query}").refusal == (400, {"errors": errors})


def follow(api: Api, link: str) -> dict[str, Any]:
    """Return the page that a link of another page leads to."""
    data: dict[str, Any] = api.get(link.removeprefix("http://testserver/api/")).data
    return data


def test_positions_come_in_pages(alices: Api, three: list[Position]):
    first = alices.get("positions/?status=all&limit=2").data
    assert first["count"] == 3
    assert [result["tokenSymbol"] for result in first["results"]] == ["BONK", "WIF"]
    assert first["previous"] is None
    last = follow(alices, first["next"])
    assert [result["tokenSymbol"] for result in last["results"]] == ["JUP"]
    assert last["next"] is None
    again = follow(alices, last["previous"])
    assert (again["results"], again["previous"]) == (first["results"], None)
    assert follow(alices, again["next"])["results"] == last["results"]
    skipped = alices.get("positions/?status=all&limit=1&offset=1").data
    assert [result["tokenSymbol"] for result in skipped["results"]] == ["WIF"]
    assert follow(alices, skipped["next"])["results"] == last["results"]
    largest = alices.get(f"positions/?offset={2**63 - 1}").data
    assert (largest["count"], largest["results"]) == (2, [])


def test_pages_miss_nothing_of_a_list_that_is_written_to(alices: Api, wallet: Wallet):
    """A bot that closes its open positions page by page, while it opens others, closes all that it had."""
    for number in range(1, 8):
        open_token(wallet, f"Token{number}")
    had = {position["id"] for position in alices.get("positions/").data["results"]}
    seen, page = [], alices.get("positions/?limit=2").data
    while page:
        for position in page["results"]:
            seen.append(position["id"])
            alices.post(f"positions/{position['id']}/close/", {"proceedsSol": "1"})
        if len(seen) < 5:
            open_token(wallet, f"Late{len(seen)}")
        page = follow(alices, page["next"]) if page["next"] else None
    assert had <= set(seen)
    assert len(seen) == len(set(seen))


def open_token(wallet: Wallet, name: str, **options: Any) -> Position:
    return open_position(
        wallet=wallet,
        token_address=name.replace("0", "z"),
        token_symbol=name,
        tokens=Decimal(1),
        spent_sol=Decimal(1),
        **options,
    )


@pytest.mark.parametrize("ordering", ["createdAt", "-createdAt", "closedAt", "-closedAt"])
def test_pages_in_either_direction_hold_every_position_once(alices: Api, wallet: Wallet, ordering: str):
    """Also those made at the same moment, and, by closing time, those that are open still."""
    for number in range(1, 8):
        position = open_token(
            wallet, f"Token{number}", opened_at=datetime(2026, 1, 1 + number % 2, tzinfo=UTC)
        )
        if number % 3 == 0:
            close_position(position_id=position.pk, proceeds_sol=Decimal(1))
    query = f"positions/?status=all&ordering={ordering}"
    whole = alices.get(query).data["results"]
    page = alices.get(f"{query}&limit=2").data
    forward = [page]
    while forward[-1]["next"]:
        forward.append(follow(alices, forward[-1]["next"]))
    assert [row for page in forward for row in page["results"]] == whole
    backward = [forward[-1]]
    while backward[0]["previous"]:
        backward.insert(0, follow(alices, backward[0]["previous"]))
    assert [row for page in backward for row in page["results"]] == whole


@pytest.mark.parametrize(
    "cursor", ["x", "", "%00", "é", "W10", "A" * 501, "bnVsbA", "W1siaWQiXSxbIngiXSxmYWxzZV0", "MQ"]
)
def test_cursor_that_is_none_is_refused(alices: Api, three: list[Position], cursor: str):
    refusal = alices.get(f"positions/?cursor={cursor}").refusal
    assert refusal == (400, {"errors": {"cursor": ["This is not a cursor of this list."]}})


def test_cursor_of_another_order_and_one_with_an_offset_are_refused(alices: Api, three: list[Position]):
    link = alices.get("positions/?status=all&limit=1").data["next"].removeprefix("http://testserver/api/")
    refusal = alices.get(f"{link}&ordering=closedAt").refusal
    assert refusal == (400, {"errors": {"cursor": ["This is not a cursor of this list."]}})
    refusal = alices.get(f"{link}&offset=1").refusal
    assert refusal == (400, {"errors": {"offset": ["Give either a cursor or an offset."]}})


def test_positions_made_at_the_same_moment_keep_an_order_over_pages(alices: Api, wallet: Wallet):
    for number in range(1, 7):
        open_position(
            wallet=wallet,
            token_address=f"Token{number}",
            token_symbol=f"T{number}",
            tokens=Decimal(1),
            spent_sol=Decimal(1),
            opened_at=datetime(2026, 1, 1, tzinfo=UTC),
        )
    up, down = (
        [
            alices.get(f"positions/?ordering={order}&limit=1&offset={offset}").data["results"][0]["id"]
            for offset in range(6)
        ]
        for order in ("createdAt", "-createdAt")
    )
    assert len(set(up)) == 6
    assert up == down[::-1]


def test_positions_are_not_found_by_a_stranger(bobs: Api, three: list[Position]):
    position = three[0]
    assert bobs.get(f"positions/{position.pk}/").refusal == NOT_FOUND
    query = f"status=all&agent={position.agent_id}&wallet={position.wallet_id}&token={BONK}"
    assert symbols(bobs, query) == []
    assert symbols(bobs, "status=all") == []


@pytest.mark.parametrize("key", [UNKNOWN_ID, "1", "%00", "é"])
def test_position_that_is_unknown_is_not_found(alices: Api, key: str):
    assert alices.get(f"positions/{key}/").refusal == NOT_FOUND


def test_closed_position_shows_what_it_was_sold_at(alices: Api, position: Position):
    """A million: 600,000 sold, for 0.3 and 0.5 SOL after fees; the rest was sent away."""
    assert alices.get(f"positions/{position.pk}/").data["salePrice"] is None
    take_profit(position_id=position.pk, tokens=Decimal(200_000), proceeds_sol=Decimal("0.3"))
    take_profit(
        position_id=position.pk,
        tokens=Decimal(400_000),
        proceeds_sol=Decimal("0.5"),
        fee_sol=Decimal("0.1"),
    )
    assert alices.get(f"positions/{position.pk}/").data["salePrice"] is None
    transfer_out(position_id=position.pk, tokens=Decimal(400_000))
    [closed] = alices.get("positions/?status=closed").data["results"]
    assert closed["salePrice"] == Decimal("0.000001333333333333333333333333")


@pytest.mark.parametrize(("proceeds", "price"), [(Decimal(0), 0), (None, None)])
def test_closed_position_that_brought_nothing(alices: Api, position: Position, proceeds, price):
    """It was sold for nothing, or never sold."""
    if proceeds is None:
        transfer_out(position_id=position.pk, tokens=Decimal(1_000_000))
    else:
        close_position(position_id=position.pk, proceeds_sol=proceeds)
    assert alices.get(f"positions/{position.pk}/").data["salePrice"] == price


@pytest.mark.parametrize("count", [1, 5])
def test_positions_list_costs_the_same_for_any_length(
    own_valkey,
    alices: Api,
    wallet: Wallet,
    feed: Callable[..., None],
    django_assert_num_queries,
    count: int,
):
    for number in range(1, count + 1):
        open_position(
            wallet=wallet,
            token_address=f"Token{number}",
            token_symbol=f"T{number}",
            tokens=Decimal(1),
            spent_sol=Decimal(1),
        )
    feed(*(Quote(f"Token{number}", Decimal(1), None, AS_OF) for number in range(1, count + 1)))
    calls = commands()
    with django_assert_num_queries(3):
        results = alices.get("positions/").data["results"]
    assert [result["priceSource"] for result in results] == ["live"] * count
    assert {name: n - calls.get(name, 0) for name, n in commands().items() if n != calls.get(name, 0)} == {
        "mget": 1,
        "eval": 1,  # counts the request
        **dict.fromkeys(["time", "get", "hincrby", "expire", "set"], 1),  # by that script
    }


def commands() -> dict[str, int]:
    """How often the price cache was asked for what, by its own count; the question itself left out."""
    stats = valkey.client().info("commandstats")
    return {
        name.removeprefix("cmdstat_"): entry["calls"]
        for name, entry in stats.items()
        if name.removeprefix("cmdstat_") not in {"info", "client|setinfo", "hello"}
    }
