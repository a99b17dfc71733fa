"""From rounds of prices to candles in the database."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest
from asgiref.sync import sync_to_async
from django.db import connection

from positions.history.candle_store import CandleStore
from positions.history.candles import Collector, Part, Row, slices
from positions.models import Candle, PricedToken
from positions.prices.quotes import WRAPPED_SOL, Market, Quote
from tests.conftest import BONK, WIF
from tests.positions.history.conftest import NOON, World, acandles, candles

pytestmark = pytest.mark.django_db(transaction=True)


def part(*prices: str, usd: str | None = None) -> Part:
    """Return what these prices, one after the other, come to."""
    collector = Collector()
    collector.add(Quote(BONK, Decimal(price), Decimal(usd) if usd else None, NOON) for price in prices)
    return collector.take()[NOON][BONK]


def write(*parts: Part, start=NOON, token: str = BONK) -> None:
    """Write each in a process of its own."""
    for each in parts:
        CandleStore().write([Row(token, Candle.MINUTE, start, each)])


async def test_rounds_of_a_minute_become_one_candle(history: World, position):
    for at, price in (("12:00:01", "3"), ("12:00:20", "5"), ("12:00:40", "2"), ("12:00:59", "4")):
        await history.round(at, **{BONK: price})
    await history.recorder.write()
    assert await acandles(BONK) == [("12:00", "3", "5", "2", "4")]
    assert await acandles(BONK, Candle.HOUR) == [("12:00", "3", "5", "2", "4")]


async def test_minutes_without_a_price_have_no_candle(history: World, position):
    await history.round("12:00:01", **{BONK: "3"})
    await history.round("12:01:01")
    await history.round("12:02:01", **{BONK: "4"})
    await history.recorder.write()
    assert await acandles(BONK) == [("12:00", "3", "3", "3", "3"), ("12:02", "4", "4", "4", "4")]
    assert await acandles(BONK, Candle.HOUR) == [("12:00", "3", "4", "3", "4")]


async def test_price_that_is_not_to_be_relied_on_makes_no_candle(history: World, position):
    await history.round("12:00:01", **{BONK: "3"})
    history.market.market = Market("thin")
    await history.round("12:00:02", **{BONK: "300"})
    await history.round("12:01:02", **{BONK: "300"})
    await history.recorder.write()
    assert await acandles(BONK) == [("12:00", "3", "3", "3", "3")]


async def test_candle_grows_over_writes_and_restarts(history: World, position):
    await history.round("12:00:01", **{BONK: "3"})
    await history.recorder.write()
    await history.round("12:00:10", **{BONK: "9"})
    await history.recorder.write()
    assert await acandles(BONK) == [("12:00", "3", "9", "3", "9")]
    await history.recorder.flush()
    history.restart()
    await history.round("12:00:30", **{BONK: "10"})
    await history.round("12:00:40", **{BONK: "7"})
    await history.recorder.write()
    assert await acandles(BONK) == [("12:00", "3", "10", "3", "7")]


async def test_flush_writes_what_is_left(history: World, position):
    await history.round("12:00:01", **{BONK: "3"})
    await history.recorder.flush()
    assert await acandles(BONK) == [("12:00", "3", "3", "3", "3")]
    history.restart()  # for the fixture, which ends it


async def test_wrapped_sol_has_candles_of_what_it_costs_in_usd(history: World, position):
    await history.round("12:00:01", **{BONK: "3", WRAPPED_SOL: "1"})
    history.market.sol_usd = Decimal("101.5")
    await history.round("12:00:02", **{BONK: "3", WRAPPED_SOL: "1"})
    history.market.sol_usd = None
    await history.round("12:01:00", **{BONK: "3", WRAPPED_SOL: "1"})
    await history.recorder.write()
    found = Candle.objects.filter(token__address=WRAPPED_SOL, seconds=60).order_by("start")
    usd = [each async for each in found.values_list("close_usd", flat=True)]
    assert usd == [Decimal("101.5"), None]


async def test_what_cannot_be_written_is_written_later(history: World, position, caplog):
    table = Candle._meta.db_table

    @sync_to_async
    def rename(old: str, new: str) -> None:
        with connection.cursor() as cursor:
            cursor.execute(f"ALTER TABLE {old} RENAME TO {new}")

    await history.round("12:00:01", **{BONK: "3"})
    await rename(table, "elsewhere")
    try:
        failed = await history.recorder.write()
        await history.round("12:01:01", **{BONK: "4"})
        failed_again = await history.recorder.write()
    finally:
        await rename("elsewhere", table)
    assert table in str(failed.error)
    # A missing table is a bug: its traceback is logged once.
    assert caplog.text.count("because of a bug\nTraceback") == 1
    assert (failed.rows, failed.lag_seconds, failed_again.lag_seconds) == (0, 1, 61)
    written = await history.recorder.write()
    assert (written.rows, written.error, written.lag_seconds) == (3, None, 0)
    assert await acandles(BONK) == [("12:00", "3", "3", "3", "3"), ("12:01", "4", "4", "4", "4")]


async def test_rounds_without_a_database_are_kept_for_ten_minutes(history: World, position):
    await history.round("12:00:01", **{BONK: "3"})
    await history.round("12:10:00", **{BONK: "4"})
    minutes = history.recorder._collector.take()
    history.recorder._collector.give_back(minutes, not_before=NOON + timedelta(minutes=1))
    await history.recorder.write()
    assert await acandles(BONK) == [("12:10", "4", "4", "4", "4")]


def test_parts_are_merged_in_the_order_of_writing():
    write(part("3", "8", "2"), part("5", "1"), part("6", usd="600"))
    assert candles(BONK) == [("12:00", "3", "8", "1", "6")]
    assert Candle.objects.values_list("close_usd", flat=True).get() == 600


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("9", "10"),
        ("0.000000000000000000000000000001", "0.00000000000000000000000000001"),
        ("999999999999.9", "99999999999.99999"),
        ("1.000000000000000000000000000001", "1.000000000000000000000000000002"),
    ],
)
def test_high_and_low_are_compared_as_numbers(first: str, second: str):
    low, high = sorted((first, second), key=Decimal)
    write(part(first), part(second))
    write(part(second), part(first), start=NOON + timedelta(minutes=1))
    assert candles(BONK) == [("12:00", first, high, low, second), ("12:01", second, high, low, first)]


def test_part_that_is_written_twice_changes_nothing():
    write(part("3", "8", "2"), part("3", "8", "2"))
    assert candles(BONK) == [("12:00", "3", "8", "2", "2")]


def test_writers_at_once_number_a_token_once():
    first, second = CandleStore(), CandleStore()
    first.write([Row(BONK, 60, NOON, part("3"))])
    second.write([Row(BONK, 60, NOON, part("4")), Row(WIF, 60, NOON, part("5"))])
    first.write([Row(WIF, 60, NOON, part("6"))])
    assert PricedToken.objects.count() == 2
    assert candles(BONK) + candles(WIF) == [("12:00", "3", "4", "3", "4"), ("12:00", "5", "6", "5", "6")]


def test_rows_come_in_the_order_of_their_keys():
    collector = Collector()
    later = NOON + timedelta(minutes=1)
    collector.add([Quote(token, Decimal(1), None, later) for token in (WIF, BONK)])
    collector.add([Quote(token, Decimal(2), None, NOON) for token in (WIF, BONK)])  # late, of a slow source
    minutes = collector.take()
    for size, lengths in ((100, [6]), (3, [3, 3]), (1, [3, 3])):  # a token's rows stay together
        found = list(slices(minutes, size=size))
        assert [len(each) for each in found] == lengths
        rows = [row for each in found for row in each]
        assert [row[:3] for row in rows] == sorted(row[:3] for row in rows)
        assert [row.part.open for row in rows if row.seconds == Candle.HOUR] == [2, 2]
    assert list(slices({}, size=100)) == []


def test_pruning_deletes_a_few_old_rows_at_a_time_and_nothing_else():
    tokens = [BONK, WIF, WRAPPED_SOL]
    made = [
        Row(token, seconds, NOON - timedelta(seconds=seconds) * age, part("1"))
        for token in tokens
        for seconds in (Candle.MINUTE, Candle.HOUR)
        for age in range(4)
    ]
    store = CandleStore()
    store.write(sorted(made, key=lambda row: row[:3]))
    limits = {"minutes_before": NOON - timedelta(minutes=1), "hours_before": NOON - timedelta(hours=2)}
    deleted = [store.prune(tokens=2, limit=4, **limits) for _ in range(5)]
    # Two tokens have six old rows; the third has three; then it begins again.
    assert deleted == [4, 2, 3, 0, 0]
    kept = {
        (row.seconds, (NOON - row.start) / timedelta(seconds=row.seconds)) for row in Candle.objects.all()
    }
    assert kept == {(60, 0), (60, 1), (3600, 0), (3600, 1), (3600, 2)}
    assert Candle.objects.count() == 15
