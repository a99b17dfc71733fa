"""Prices with their source and age, as the page reads them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal

import pytest
from django.utils import timezone

from positions.books.snapshots import timestamp
from positions.models import Position
from positions.prices.quotes import Quote
from positions.services import close_position
from tests.conftest import BONK, JUP, WIF
from tests.positions.api.conftest import AS_OF, Api

EXACT = Decimal("1234567.123456789012345678")


@pytest.fixture
def prices(feed: Callable[..., None]) -> None:
    feed(
        Quote(BONK, Decimal("1.234E-7"), Decimal("0.00002"), AS_OF),
        Quote(WIF, EXACT, None, AS_OF),
        Quote(JUP, Decimal(2), Decimal(300), AS_OF),
        sol_usd=Decimal("150.25"),
        errors=["one batch timed out"],
    )


def tokens(api: Api, query: str = "") -> list[str]:
    return [price["tokenAddress"] for price in api.get(f"prices/{query}").data["prices"]]


def test_prices_of_named_tokens_come_in_their_order_and_digit_for_digit(alices: Api, prices):
    answer = alices.get(f"prices/?token={WIF}&token={BONK}&token=Unknown&token={WIF}")
    assert answer.status == 200
    assert f'"tokenAddress":"{WIF}","price":1234567.123456789012345678,"priceUsd":null' in answer.text
    assert f'"tokenAddress":"{BONK}","price":0.0000001234,"priceUsd":0.00002' in answer.text
    assert [price["tokenAddress"] for price in answer.data["prices"]] == [WIF, BONK]
    assert {price["timestamp"] for price in answer.data["prices"]} == {"2026-01-31T12:00:00.250Z"}


def test_prices_say_where_they_come_from(alices: Api, feed: Callable[..., None]):
    now = timezone.now()
    feed(source="simulated", simulated=True, updated_at=now, sol_usd=Decimal("150.25"), errors=["late"])
    assert alices.get("prices/").data == {
        "source": "simulated",
        "simulated": True,
        "stale": False,
        "solPriceUsd": Decimal("150.25"),
        "updatedAt": timestamp(now),
        "errors": ["late"],
        "prices": [],
    }


def test_prices_of_a_feed_that_stopped_are_stale(alices: Api, feed: Callable[..., None]):
    feed(updated_at=timezone.now() - timedelta(hours=1))
    data = alices.get("prices/").data
    assert (data["source"], data["stale"], data["solPriceUsd"]) == ("replay", True, None)


def test_prices_without_a_feed_are_unknown(alices: Api, position: Position):
    assert alices.get("prices/").data == {
        "source": None,
        "simulated": None,
        "stale": True,
        "solPriceUsd": None,
        "updatedAt": None,
        "errors": [],
        "prices": [],
    }


def test_prices_of_no_named_token_are_those_of_the_caller_s_open_positions(
    alices: Api, bobs: Api, nobodys: Api, position: Position, bobs_position: Position, prices
):
    assert tokens(alices) == [BONK]
    assert tokens(bobs) == [JUP]
    close_position(position_id=position.pk, proceeds_sol=Decimal(1))
    assert tokens(alices) == []
    assert nobodys.get("prices/").status == 401


def test_prices_without_the_cache_are_unavailable(alices: Api, valkey_away):
    detail = "Prices are not available: the price cache cannot be reached."
    assert alices.get("prices/").refusal == (503, {"detail": detail})


@pytest.mark.parametrize(
    ("query", "errors"),
    [
        ("token=0", "“0” is not a Solana address: base58 has no 0, O, I, l or other signs."),
        ("token=", "“” is not a Solana address: base58 has no 0, O, I, l or other signs."),
        (f"token={BONK}&token=" + "a" * 65, "An address has at most 64 characters."),
        (
            "&".join(f"token={a}{b}{c}" for a in "123456789" for b in "123456789" for c in "123"),
            "At most 200 tokens at once.",
        ),
    ],
)
def test_prices_of_bad_addresses_are_refused(alices: Api, query: str, errors: str):
    assert alices.get(f"prices/?{query}").refusal == (400, {"errors": {"token": [errors]}})


def test_prices_of_parameters_past_any_count_are_refused(alices: Api):
    answer = alices.get("prices/?" + "&".join(["token=a"] * 1001))
    assert answer.refusal == (400, {"detail": "This request has too many parameters."})


def test_prices_refuse_unknown_parameters(alices: Api):
    answer = alices.get(f"prices/?tokens={BONK}")
    assert answer.refusal == (400, {"errors": {"tokens": ["Unknown parameter."]}})
