"""Writes happen once: a repeat gets the first one's answer and books nothing, whatever has happened since."""

from __future__ import annotations

from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from django.contrib.auth.models import User

from positions.api.schema import openapi
from positions.models import Position, PositionEvent, StoredAnswer, Wallet
from positions.services import buy_more, close_position
from tests.conftest import BONK, WIF, quote
from tests.positions.api.conftest import Answer, Api
from tests.positions.api.test_positions_write import ACTIONS, opening
from tests.positions.threads import at_once

KEY = "9b2f6c1e-2f0a-4f8e-9a51-0d7c5a1b3e77"

FURTHER: dict[str, dict[str, Any]] = {
    "airdrop": {"tokens": 1},
    "transfer-in": {"tokens": 1, "costSol": 1},
    "transfer-out": {"tokens": 1},
    "migrate": {"tokenAddress": WIF, "ratio": 2},
}


def send(api: Api, path: str, body: dict[str, Any] | str, key: str | None = KEY) -> Answer:
    headers = {} if key is None else {"Idempotency-Key": key}
    return api.request("POST", path, body, headers=headers)


def events() -> int:
    return PositionEvent.objects.count()


# The same again


@pytest.mark.parametrize(("action", "body"), (ACTIONS | FURTHER).items())
def test_action_repeated_answers_as_the_first_and_writes_nothing(
    alices: Api, position: Position, action: str, body: dict[str, Any]
):
    path = f"positions/{position.pk}/{action}/"
    first = send(alices, path, body)
    assert (first.status, events()) == (200, 2)
    again = send(alices, path, body)
    assert (again.status, again.text) == (first.status, first.text)
    assert again.headers["Content-Type"] == first.headers["Content-Type"]
    assert events() == 2


def test_open_repeated_answers_201_with_the_same_position(alices: Api, wallet: Wallet):
    first, again = (send(alices, "positions/", opening(wallet, transactionId="tx-1")) for _ in range(2))
    assert (first.status, again.status) == (201, 201)
    assert again.text == first.text
    assert (Position.objects.count(), events()) == (1, 1)


def test_first_answer_with_a_key_is_that_of_a_request_without_one(alices: Api, position: Position):
    made = send(alices, f"positions/{position.pk}/buy/", ACTIONS["buy"])
    assert made.text == alices.get(f"positions/{position.pk}/").text


def test_repeat_answers_as_the_first_whatever_has_changed_since(alices: Api, wallet: Wallet, feed):
    body = opening(wallet)
    feed(quote(WIF, "0.3"), sol_usd=Decimal(200))
    first = send(alices, "positions/", body)
    close_position(position_id=Position.objects.get().pk, proceeds_sol=Decimal(3))
    feed(quote(WIF, "0.1"), sol_usd=Decimal(100))
    assert send(alices, "positions/", body).text == first.text
    wallet.delete()
    again = send(alices, "positions/", body)
    assert (again.status, again.text) == (201, first.text)


def test_action_repeated_after_its_position_was_deleted_answers_as_the_first(alices: Api, position: Position):
    path = f"positions/{position.pk}/close/"
    first = send(alices, path, ACTIONS["close"])
    position.delete()
    assert send(alices, path, ACTIONS["close"]).text == first.text
    assert send(alices, path, ACTIONS["close"], "another").status == 404


def test_repeat_without_a_price_cache_answers_as_the_first(alices: Api, position: Position, valkey_away):
    path = f"positions/{position.pk}/buy/"
    first, again = (send(alices, path, ACTIONS["buy"]) for _ in range(2))
    assert (again.status, again.text) == (200, first.text)
    assert events() == 2


@pytest.mark.parametrize(
    "spelling",
    [
        '{"tokens": 1, "spentSol": 0.5}',
        '{"spentSol":0.50,"tokens":1.0}',
        '{"tokens": "1", "spentSol": "0.500"}',
        '{"tokens": 1e0, "spentSol": 5e-1}',
        '{"tokens": 1, "spentSol": 0.5, "transactionId": null}',
    ],
)
def test_same_content_in_other_spelling_is_a_repeat(alices: Api, position: Position, spelling: str):
    path = f"positions/{position.pk}/buy/"
    first = send(alices, path, {"tokens": 1, "spentSol": "0.5"})
    upper = f"positions/{str(position.pk).upper()}/buy/"
    for again in (send(alices, path, spelling), send(alices, upper, spelling)):
        assert (again.status, again.text) == (200, first.text)
    assert events() == 2


def test_every_post_that_writes_a_position_takes_a_key():
    paths = {path: item["post"] for path, item in openapi()["paths"].items() if "post" in item}
    writes = {path: each for path, each in paths.items() if path.startswith("/api/positions/")}
    assert len(writes) >= 5
    for path, operation in writes.items():
        assert "Idempotency-Key" in [each["name"] for each in operation["parameters"]], path


def test_same_time_in_another_zone_is_a_repeat(alices: Api, wallet: Wallet):
    first, again = (
        send(alices, "positions/", opening(wallet, executedAt=moment))
        for moment in ("2026-01-01T00:30:00Z", "2026-01-01T01:30:00+01:00")
    )
    assert (again.status, again.text) == (201, first.text)


# Something else


@pytest.mark.parametrize(
    ("changes", "names"),
    [
        ({"tokens": "1.000000000000000001"}, "tokens"),
        ({"transactionId": "01"}, "transactionId"),
        ({"transactionId": None}, "transactionId"),
        ({"moonBag": True, "proceedsSol": 3}, "moonBag, proceedsSol"),
    ],
)
def test_other_content_under_the_same_key_is_refused_and_says_what_differs(
    alices: Api, position: Position, changes: dict[str, Any], names: str
):
    path = f"positions/{position.pk}/take-profit/"
    body = {"tokens": 1, "proceedsSol": 1, "transactionId": "1"}
    assert send(alices, path, body).status == 200
    refused = send(alices, path, body | changes)
    assert refused.status == 409
    at = f"{StoredAnswer.objects.get().created_at:%Y-%m-%d %H:%M:%S}"
    assert refused.data == {
        "detail": f"The Idempotency-Key '{KEY}' was used for POST /api/{path} at {at} UTC, with another body: {names}."
        " Nothing was booked now: a new request needs a new key."
    }
    assert events() == 2


def test_same_key_for_another_action_position_or_path_is_refused(
    alices: Api, position: Position, wallet: Wallet
):
    wif = alices.post("positions/", opening(wallet)).data["id"]
    before = f"positions/{position.pk}/buy/"
    assert send(alices, before, ACTIONS["buy"]).status == 200
    written = events()
    for path, body in (
        (f"positions/{wif}/buy/", ACTIONS["buy"]),
        (f"positions/{position.pk}/close/", ACTIONS["close"]),
        ("positions/", opening(wallet)),
    ):
        refused = send(alices, path, body)
        assert refused.status == 409
        assert f"'{KEY}' was used for POST /api/{before} at " in refused.data["detail"]
    assert events() == written


def test_keys_are_each_users_own(
    alices: Api, bobs: Api, position: Position, bobs_position: Position, alice: User, bob: User
):
    for api, own in ((alices, position), (bobs, bobs_position)):
        assert send(api, f"positions/{own.pk}/buy/", ACTIONS["buy"]).data["id"] == str(own.pk)
    for body, key in ((ACTIONS["buy"], "another"), ("no JSON", "another"), (ACTIONS["buy"], "k" * 256)):
        stranger = send(bobs, f"positions/{position.pk}/buy/", body, key)
        assert stranger.refusal == (404, {"detail": "Not found."})
    assert set(StoredAnswer.objects.values_list("user", flat=True)) == {alice.pk, bob.pk}


def test_another_key_and_no_key_book_again(alices: Api, position: Position):
    for key in (KEY, KEY.upper(), None, None):
        assert send(alices, f"positions/{position.pk}/buy/", ACTIONS["buy"], key).status == 200
    assert Position.objects.get().dca_count == 4
    assert StoredAnswer.objects.count() == 2


# By transaction id


@pytest.mark.parametrize("action", ["open", "buy", "take-profit", "close"])
def test_transaction_repeated_answers_as_the_first_whatever_has_changed_since(
    alices: Api, wallet: Wallet, position: Position, action: str, feed
):
    if action == "open":
        path, body = "positions/", opening(wallet, transactionId="tx-1")
    else:
        path, body = f"positions/{position.pk}/{action}/", ACTIONS[action] | {"transactionId": "tx-1"}
    first = send(alices, path, body, None)
    assert first.status == (201 if action == "open" else 200)
    if action != "close":
        close_position(position_id=UUID(first.data["id"]), proceeds_sol=Decimal(3))
    written = events()
    feed(quote(WIF, "0.1"), quote(BONK, "0.1"), sol_usd=Decimal(100))
    for key in (None, "k1", "k1", "k2", None):
        again = send(alices, path, body, key)
        assert (again.status, again.text) == (first.status, first.text)
    assert events() == written


def test_transaction_with_other_content_is_refused_and_leaves_its_key_free(alices: Api, position: Position):
    path = f"positions/{position.pk}/buy/"
    first = send(alices, path, ACTIONS["buy"] | {"transactionId": "tx-1"}, "k1")
    assert first.status == 200
    for key in (None, "k2"):
        refused = send(alices, path, {"tokens": 2, "spentSol": 1, "transactionId": "tx-1"}, key)
        assert (refused.status, list(refused.data["errors"])) == (409, ["transactionId"])
    assert send(alices, path, {"tokens": 2, "spentSol": 1, "transactionId": "tx-2"}, "k2").status == 200
    assert events() == 3


def test_transaction_that_other_code_booked_is_answered_with_the_position_as_it_was_first_asked_for(
    alices: Api, position: Position
):
    buy_more(position_id=position.pk, tokens=Decimal(1), spent_sol=Decimal(1), transaction_id="tx-1")
    path = f"positions/{position.pk}/buy/"
    first = send(alices, path, ACTIONS["buy"] | {"transactionId": "tx-1"}, None)
    assert (first.status, first.data["dcaCount"]) == (200, 1)
    assert send(alices, path, ACTIONS["buy"]).data["dcaCount"] == 2
    assert send(alices, path, ACTIONS["buy"] | {"transactionId": "tx-1"}, None).text == first.text


# What was refused


def test_refused_request_leaves_its_key_free(alices: Api, position: Position):
    path = f"positions/{position.pk}/take-profit/"
    for body in (
        {"tokens": "x", "proceedsSol": 1},
        {"tokens": 0, "proceedsSol": 1},
        {"tokens": 2_000_000, "proceedsSol": 1},
    ):
        assert send(alices, path, body).status == 400
    assert not StoredAnswer.objects.exists()
    sold = send(alices, path, {"tokens": 250_000, "proceedsSol": 1})
    assert (sold.status, sold.data["remainingAmount"]) == (200, 750_000)


def test_refused_by_the_state_then_allowed_is_booked(alices: Api, wallet: Wallet, position: Position):
    body = opening(wallet, tokenAddress=BONK, tokenSymbol="BONK")
    assert send(alices, "positions/", body).status == 409
    close_position(position_id=position.pk, proceeds_sol=Decimal(2))
    assert send(alices, "positions/", body).status == 201


def test_refused_content_under_a_used_key_says_what_is_wrong_with_it(alices: Api, position: Position):
    path = f"positions/{position.pk}/buy/"
    assert send(alices, path, ACTIONS["buy"]).status == 200
    assert send(alices, path, {"tokens": "x", "spentSol": 1}).refusal == (
        400,
        {"errors": {"tokens": ['tokens must be a number, such as 0.25 or 1.2e-7, not "x"']}},
    )


@pytest.mark.parametrize("key", ["", "a\tb", "k" * 256, "schlüssel"])
def test_key_of_another_form_is_refused(alices: Api, position: Position, key: str):
    refused = send(alices, f"positions/{position.pk}/buy/", ACTIONS["buy"], key)
    assert refused.refusal == (
        400,
        {"errors": {"Idempotency-Key": ["This must have 1 to 255 printable ASCII characters."]}},
    )
    assert events() == 1


@pytest.mark.parametrize("key", ["k", "two words", '"quoted"', "~" * 255])
def test_key_of_any_printable_characters_is_kept_as_it_is(alices: Api, position: Position, key: str):
    for _ in range(2):
        assert send(alices, f"positions/{position.pk}/buy/", ACTIONS["buy"], key).status == 200
    assert StoredAnswer.objects.get().key == key
    assert events() == 2


def test_stored_answer_is_what_was_sent_and_nothing_of_the_headers(alices: Api, position: Position):
    made = send(alices, f"positions/{position.pk}/buy/", ACTIONS["buy"])
    stored = StoredAnswer.objects.get()
    assert (stored.status, stored.body) == (200, made.text)
    assert stored.content == {"tokens": "1", "spentSol": "1"}
    assert stored.path == f"/api/positions/{position.pk}/buy/"


# At the same moment


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("action", ["open", "buy", "sell-all", "close", "buy-tx", "open-tx", "close-tx"])
def test_many_at_once_book_one_and_all_get_its_answer(
    alice: User, wallet: Wallet, position: Position, action: str
):
    path, body = {
        "open": ("positions/", opening(wallet)),
        "buy": (f"positions/{position.pk}/buy/", ACTIONS["buy"]),
        "sell-all": (f"positions/{position.pk}/take-profit/", {"tokens": 1_000_000, "proceedsSol": 3}),
        "close": (f"positions/{position.pk}/close/", ACTIONS["close"]),
    }[action.removesuffix("-tx")]
    by_transaction = action.endswith("-tx")
    if by_transaction:
        body = body | {"transactionId": "tx-1"}
    clients = [Api(alice) for _ in range(8)]
    answers = at_once(
        *(lambda api=api: send(api, path, body, None if by_transaction else KEY) for api in clients)
    )
    assert {answer.status for answer in answers} == {201 if action.startswith("open") else 200}
    assert len({answer.text for answer in answers}) == 1
    assert events() == 2


@pytest.mark.django_db(transaction=True)
def test_different_requests_at_once_under_one_key_book_one_and_refuse_the_others(
    alice: User, position: Position
):
    clients = [Api(alice) for _ in range(12)]
    answers = at_once(
        *(
            lambda api=api, n=n: send(api, f"positions/{position.pk}/buy/", {"tokens": n, "spentSol": 1})
            for n, api in enumerate(clients, start=1)
        )
    )
    assert sorted(answer.status for answer in answers) == [200] + [409] * 11
    assert events() == 2
