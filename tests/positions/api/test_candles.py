"""Candles over REST: of which tokens, over which span, digit for digit."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from urllib.parse import quote

import pytest

from positions.history.candle_store import CandleStore
from positions.history.candles import Part, Row
from positions.models import Position
from positions.prices.quotes import WRAPPED_SOL
from positions.services import close_position, migrate_token
from tests.conftest import BONK, JUP
from tests.positions.api.conftest import Api

NOON = datetime(2026, 1, 31, 12, 0, tzinfo=UTC)
PATH = f"prices/{BONK}/candles/"
MOMENT = "This must be a date and time with an offset, such as 2026-01-31T12:00:00Z."


def put(token: str, *starts: datetime, seconds: int = 60, usd: Decimal | None = None) -> None:
    """Store candles that begin at these times, each with prices of its own."""
    CandleStore().write(
        [
            Row(token, seconds, start, Part(Decimal(n), Decimal(n) + 2, Decimal(n) / 2, Decimal(n) + 1, usd))
            for n, start in enumerate(starts, 1)
        ]
    )


def minutes(*numbers: int) -> list[datetime]:
    return [NOON + timedelta(minutes=number) for number in numbers]


def starts(api: Api, query: str) -> tuple[list[int], bool]:
    """Return which minutes after noon there are candles of, and whether there are more."""
    answer = api.get(f"{PATH}?{query}")
    assert answer.status == 200, answer.text
    found = [datetime.fromisoformat(candle["start"]) for candle in answer.data["candles"]]
    return [round((start - NOON).total_seconds() / 60) for start in found], answer.data["more"]


def test_candles_are_sent_digit_for_digit(alices: Api, position: Position):
    tiny = Decimal("0.000000000000000000000000000001")
    CandleStore().write(
        [Row(BONK, 60, NOON, Part(Decimal(2), Decimal("1234567.89"), tiny, Decimal("1.50"), None))]
    )
    CandleStore().write([Row(BONK, 3600, NOON, Part(Decimal(2), Decimal(2), tiny, tiny, Decimal("0.25")))])
    assert alices.get(PATH).text == (
        f'{{"tokenAddress":"{BONK}","interval":"1m","candles":[{{"start":"2026-01-31T12:00:00.000Z",'
        '"open":2,"high":1234567.89,"low":0.000000000000000000000000000001,"close":1.5,"closeUsd":null}],'
        '"more":false}'
    )
    hour = alices.get(f"{PATH}?interval=1h")
    assert hour.data["interval"] == "1h"
    prices = {"open": 2, "high": 2, "low": tiny, "close": tiny, "closeUsd": Decimal("0.25")}
    assert hour.data["candles"] == [{"start": "2026-01-31T12:00:00.000Z", **prices}]


def test_candles_without_a_span_are_the_last_ones(alices: Api, position: Position):
    put(BONK, *minutes(1, 2, 3, 5, 6))
    assert starts(alices, "") == ([1, 2, 3, 5, 6], False)
    assert starts(alices, "limit=2") == ([5, 6], True)
    assert starts(alices, "limit=2&to=2026-01-31T12:05:00Z") == ([2, 3], True)


def test_candles_from_a_time_on_are_the_first_ones_and_gaps_stay_gaps(alices: Api, position: Position):
    put(BONK, *minutes(1, 2, 3, 5, 6))
    assert starts(alices, "from=2026-01-31T12:03:00Z") == ([3, 5, 6], False)
    assert starts(alices, "from=2026-01-31T12:02:00Z&limit=3") == ([2, 3, 5], True)
    plus = quote("2026-01-31T14:02:30+02:00")
    assert starts(alices, f"from={plus}&to=2026-01-31T12:06:00.000Z") == ([3, 5], False)


def test_candles_of_what_was_held_once_stay(alices: Api, position: Position):
    put(BONK, *minutes(1))
    close_position(position_id=position.pk, proceeds_sol=Decimal(1))
    assert starts(alices, "") == ([1], False)


def test_candles_of_a_mint_that_was_replaced_stay(alices: Api, bobs: Api, position: Position):
    put(BONK, *minutes(1))
    migrate_token(position_id=position.pk, token_address=JUP, ratio=Decimal(2))
    assert starts(alices, "") == ([1], False)
    assert alices.get(f"prices/{JUP}/candles/").data["candles"] == []
    assert bobs.get(PATH).status == 404


def test_candles_of_what_others_hold_are_not_found(
    alices: Api, bobs: Api, position: Position, bobs_position: Position
):
    put(BONK, *minutes(1))
    assert bobs.get(PATH).refusal == (404, {"detail": "Not found."})
    assert alices.get(f"prices/{JUP}/candles/").status == 404
    assert bobs.get(f"prices/{JUP}/candles/").data["candles"] == []
    assert alices.get("prices/0OIl/candles/").status == 404


def test_candles_of_wrapped_sol_are_for_everybody_who_is_logged_in(alices: Api, nobodys: Api, alice):
    put(WRAPPED_SOL, *minutes(1), usd=Decimal("150.25"))
    answer = alices.get(f"prices/{WRAPPED_SOL}/candles/")
    assert [candle["closeUsd"] for candle in answer.data["candles"]] == [Decimal("150.25")]
    assert nobodys.get(f"prices/{WRAPPED_SOL}/candles/").status == 401


@pytest.mark.parametrize(
    ("query", "errors"),
    [
        ("interval=5m", {"interval": ["This must be one of 1m, 1h."]}),
        ("interval=", {"interval": ["This must be one of 1m, 1h."]}),
        ("from=yesterday", {"from": [MOMENT]}),
        ("from=2026-01-31T12:00:00", {"from": [MOMENT]}),
        ("to=2026-01-31", {"to": [MOMENT]}),
        ("to=2026-02-30T12:00:00Z", {"to": [MOMENT]}),
        ("from=0001-01-01T00:00:00%2B23:00", {"from": [MOMENT]}),
        ("from=2026-01-31T12:00:00Z&to=2026-01-31T12:00:00Z", {"to": ["This must be later than from."]}),
        ("limit=2001", {"limit": ["This must be a whole number from 1 to 2000."]}),
        ("limit=0", {"limit": ["This must be a whole number from 1 to 2000."]}),
        ("since=1", {"since": ["Unknown parameter."]}),
        ("interval=1m&interval=1h", {"interval": ["Give this parameter only once."]}),
    ],
)
def test_span_that_makes_no_sense_is_refused_by_name(alices: Api, position: Position, query: str, errors):
    assert alices.get(f"{PATH}?{query}").refusal == (400, {"errors": errors})


@pytest.mark.parametrize("count", [1, 50])
def test_candles_cost_the_same_for_any_number(
    alices: Api, position: Position, django_assert_num_queries, count: int
):
    put(BONK, *minutes(*range(count)))
    with django_assert_num_queries(3):  # user, whether the token is theirs, candles
        assert len(starts(alices, "")[0]) == count
