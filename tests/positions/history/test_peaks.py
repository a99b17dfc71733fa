"""peakPrice and lowestPrice follow the market, without an event."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.db import transaction
from hypothesis import given, settings
from hypothesis import strategies as st

from positions import services
from positions.books.live import live
from positions.books.snapshots import snapshot
from positions.history.extremes import Extreme, Extremes
from positions.models import Agent, Position, PositionEvent
from positions.prices.quotes import Market, Quote
from positions.services import close_position, open_position
from tests.conftest import BONK, WIF
from tests.positions.history.conftest import NOON, World
from tests.positions.threads import at_once

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def held(position: Position) -> Position:
    """A million BONK for 2 SOL, bought before noon."""
    Position.objects.filter(pk=position.pk).update(created_at=NOON - timedelta(hours=1))
    return position


def extremes(position: Position) -> tuple[object, object]:
    peak, lowest = Position.objects.values_list("peak_price", "lowest_price").get(pk=position.pk)
    return peak, lowest


aextremes = sync_to_async(extremes)


async def test_extremes_follow_the_market(history: World, held: Position):
    await history.round("12:00:01", **{BONK: "0.000003"})
    await history.round("12:00:02", **{BONK: "0.000001"})
    await history.round("12:00:03", **{BONK: "0.0000025"})
    assert (await history.recorder.write()).followed == 1
    assert await aextremes(held) == (Decimal("0.000003"), Decimal("0.000001"))
    assert (await history.recorder.write()).followed == 0


async def test_extremes_that_the_market_moves_are_no_event(history: World, held: Position):
    @sync_to_async
    def state() -> object:
        return (
            Position.objects.values_list("updated_at", flat=True).get(pk=held.pk),
            Agent.objects.values_list("event_seq", flat=True).get(pk=held.agent_id),
            PositionEvent.objects.count(),
        )

    before = await state()
    await history.round("12:00:01", **{BONK: "7"})
    assert (await history.recorder.write()).followed == 1
    assert await state() == before


async def test_extremes_outlive_a_restart(history: World, held: Position):
    await history.round("12:00:01", **{BONK: "7"})
    await history.recorder.flush()
    history.restart()
    await history.round("12:00:09", **{BONK: "5"})
    await history.recorder.write()
    assert await aextremes(held) == (7, Decimal("0.000002"))


async def test_position_counts_from_its_opening(history: World, held: Position):
    """Of one minute's prices, each position has those since it was opened."""
    await history.round("12:00:10", **{BONK: "9"})
    await history.round("12:00:30", **{BONK: "8"})
    await history.round("12:00:50", **{BONK: "7"})
    await Position.objects.filter(pk=held.pk).aupdate(created_at=NOON.replace(second=20))
    await history.recorder.write()
    assert await aextremes(held) == (8, Decimal("0.000002"))


async def test_position_that_opens_after_a_write_counts_what_came_since(history: World, held: Position):
    """Its transaction began before the write, and ended after it."""
    await Position.objects.filter(pk=held.pk).aupdate(created_at=NOON.replace(minute=1))
    await history.round("12:00:59", **{BONK: "8"})
    await history.round("12:01:01", **{BONK: "7"})
    await Position.objects.filter(pk=held.pk).aupdate(status="closed", closed_at=NOON)
    await history.recorder.write()
    await Position.objects.filter(pk=held.pk).aupdate(status="open", closed_at=None)
    await history.round("12:02:00", **{BONK: "5"})
    await history.recorder.write()
    assert await aextremes(held) == (7, Decimal("0.000002"))


async def test_closed_position_keeps_its_extremes(history: World, held: Position):
    await sync_to_async(close_position)(position_id=held.pk, proceeds_sol=Decimal(1))
    before = await aextremes(held)
    await history.round("12:00:01", **{BONK: "7"})
    assert (await history.recorder.write()).followed == 0
    assert await aextremes(held) == before


async def test_price_that_is_not_to_be_relied_on_moves_nothing(history: World, held: Position):
    history.market.market = Market("thin")
    await history.round("12:00:01", **{BONK: "7"})
    assert (await history.recorder.write()).followed == 0


async def test_price_with_more_digits_than_the_column_moves_it_once(history: World, held: Position):
    tiny = Decimal("1e-30")
    history.recorder.note_round([Quote(BONK, tiny + Decimal("1e-33"), None, NOON)])
    assert (await history.recorder.write()).followed == 1
    assert await aextremes(held) == (Decimal("0.000002"), tiny)


@pytest.mark.postgresql
async def test_locked_position_is_left_for_the_next_time(history: World, held: Position, wallet):
    other = await sync_to_async(open_position)(
        wallet=wallet, token_address=WIF, token_symbol="WIF", tokens=Decimal(1), spent_sol=Decimal(1)
    )
    await Position.objects.filter(pk=other.pk).aupdate(created_at=NOON)

    @sync_to_async
    def in_a_transaction() -> None:
        with transaction.atomic():
            locked = Position.objects.select_for_update().get(pk=held.pk)
            wider = {held.pk: (BONK, Decimal(9), Decimal(1)), other.pk: (WIF, Decimal(9), Decimal(1))}
            assert at_once(lambda: Position.objects.follow_market(wider)) == [1]
            locked.save()

    await in_a_transaction()
    assert await aextremes(held) == (Decimal("0.000002"), Decimal("0.000002"))
    assert await aextremes(other) == (9, 1)
    await history.round("12:00:01", **{BONK: "7", WIF: "3"})
    await history.recorder.write()
    assert await aextremes(held) == (7, Decimal("0.000002"))


# Other writers


def test_saving_what_was_read_earlier_undoes_nothing(held: Position):
    stale = Position.objects.get(pk=held.pk)
    Position.objects.follow_market({held.pk: (BONK, Decimal(10), Decimal("0.0000001"))})
    stale.token_symbol = "BONK2"
    stale.save()
    assert extremes(held) == (10, Decimal("0.0000001"))
    stale.peak_price = stale.lowest_price = None
    stale.save()
    assert extremes(held) == (10, Decimal("0.0000001"))
    # Its event has what is stored.
    event = PositionEvent.objects.order_by("seq").last()
    assert event is not None
    assert event.position is not None
    assert (event.position["peak_price"], event.position["lowest_price"]) == ("10", "0.0000001")


@pytest.mark.parametrize("peak", ["9", "10.5", "100"])
def test_saving_a_higher_peak_widens_it(held: Position, peak: str):
    Position.objects.follow_market({held.pk: (BONK, Decimal("8.999"), Decimal("0.0000001"))})
    held.peak_price = Decimal(peak)
    held.save()
    assert extremes(held) == (Decimal(peak), Decimal("0.0000001"))


def test_update_that_names_the_column_sets_it(held: Position):
    Position.objects.filter(pk=held.pk).update(peak_price=Decimal("0.000001"), lowest_price=None)
    assert extremes(held) == (Decimal("0.000001"), None)
    Position.objects.follow_market({held.pk: (BONK, Decimal("0.0000005"), Decimal("0.0000005"))})
    assert extremes(held) == (Decimal("0.000001"), Decimal("0.0000005"))


@pytest.mark.parametrize("ratio", [1, 1000])
def test_price_of_the_token_before_a_migration_moves_nothing(held: Position, ratio: int):
    """It was noted before the position went to another mint, and comes to the database after that."""
    services.migrate_token(position_id=held.pk, token_address=WIF, ratio=Decimal(ratio))
    before = extremes(held)
    assert Position.objects.follow_market({held.pk: (BONK, Decimal(10), Decimal("1e-9"))}) == 0
    assert extremes(held) == before
    assert Position.objects.follow_market({held.pk: (WIF, Decimal(10), Decimal("1e-9"))}) == 1
    assert extremes(held) == (10, Decimal("1e-9"))


# On the wire


def at(position: Position, price: str, *, as_of: datetime = NOON) -> tuple[bytes, bytes]:
    sent = live(
        snapshot(Position.objects.get(pk=position.pk)), Quote(BONK, Decimal(price), None, as_of), sol_usd=None
    )
    return bytes(sent.peak_price), bytes(sent.lowest_price)  # type: ignore[arg-type]


def test_present_price_counts_before_it_is_stored(held: Position):
    assert at(held, "0.5") == (b"0.5", b"0.000002")
    assert at(held, "0.0000005") == (b"0.000002", b"0.0000005")
    assert at(held, "0.5", as_of=NOON - timedelta(hours=2)) == (b"0.000002", b"0.000002")


@pytest.mark.parametrize(
    "doubt", [{"market": Market("thin")}, {"market": Market("gone")}, {"is_stale": True}]
)
def test_present_price_that_is_not_live_does_not_count(held: Position, doubt):
    quote = replace(Quote(BONK, Decimal("0.5"), None, NOON), **doubt)
    sent = live(snapshot(Position.objects.get(pk=held.pk)), quote, sol_usd=None)
    assert (bytes(sent.peak_price), bytes(sent.lowest_price)) == (b"0.000002", b"0.000002")  # type: ignore[arg-type]


def test_without_stored_extremes_the_present_price_is_both(held: Position):
    Position.objects.filter(pk=held.pk).update(peak_price=None, lowest_price=None)
    assert at(held, "0.5") == (b"0.5", b"0.5")


# Since any moment


@settings(deadline=None)
@given(
    prices=st.lists(st.integers(1, 9), min_size=1, max_size=30),
    since=st.integers(0, 30),
    forgotten=st.integers(0, 30),
)
def test_extremes_since_a_moment_are_those_of_the_prices_since(prices, since: int, forgotten: int):
    kept = Extremes()
    moments = [NOON + timedelta(seconds=n) for n in range(40)]
    for moment, price in zip(moments, prices, strict=False):
        kept.add([Quote(BONK, Decimal(price), None, moment)])
    kept.forget(before=moments[forgotten])
    left = [Decimal(price) for n, price in enumerate(prices) if n >= max(since, forgotten)]
    assert kept.since(BONK, moments[since]) == (Extreme(max(left), min(left)) if left else None)
    remembered = [Decimal(price) for price in prices[forgotten:]]
    assert kept.overall() == ({BONK: (max(remembered), min(remembered))} if remembered else {})


# Its own trades


def test_own_purchases_and_sales_count_without_their_fees(held: Position):
    """Bought at 0.000002; more at 0.000001 and a fee; sold at 0.000005 before a fee, and for nothing."""
    amount: dict[str, Any] = {"position_id": held.pk, "tokens": Decimal(100_000)}
    services.buy_more(**amount, spent_sol=Decimal("0.11"), fee_sol=Decimal("0.01"))
    assert extremes(held) == (Decimal("0.000002"), Decimal("0.000001"))
    services.take_profit(**amount, proceeds_sol=Decimal("0.4"), fee_sol=Decimal("0.1"))
    services.take_profit(**amount, proceeds_sol=Decimal(0))
    assert extremes(held) == (Decimal("0.000005"), Decimal("0.000001"))


def test_lowest_price_of_nothing_stays_the_lowest(held: Position):
    Position.objects.follow_market({held.pk: (BONK, Decimal(1), Decimal(0))})
    bought = services.buy_more(position_id=held.pk, tokens=Decimal(100), spent_sol=Decimal(1))
    assert (bought.lowest_price, extremes(held)[1]) == (0, 0)


def test_what_costs_nothing_is_no_price(held: Position):
    services.book_airdrop(position_id=held.pk, tokens=Decimal(100))
    services.transfer_in(position_id=held.pk, tokens=Decimal(100), cost_sol=Decimal(1))
    services.transfer_out(position_id=held.pk, tokens=Decimal(100))
    assert extremes(held) == (Decimal("0.000002"), Decimal("0.000002"))


def test_price_of_a_sale_beyond_all_prices_does_not_count(held: Position):
    """One unit of a token's smallest denomination for ten thousand SOL: booked, as the bot says so."""
    services.take_profit(position_id=held.pk, tokens=Decimal("1e-9"), proceeds_sol=Decimal(10_000))
    assert extremes(held) == (Decimal("0.000002"), Decimal("0.000002"))


def test_peak_that_a_bot_reports_counts_where_it_is_higher(held: Position):
    moved = services.move_stop_loss(position_id=held.pk, percentage=None, peak_price=Decimal(3))
    assert (moved.peak_price, extremes(held)[0]) == (3, 3)
    moved = services.move_stop_loss(position_id=held.pk, percentage=None, peak_price=Decimal(2))
    assert (moved.peak_price, extremes(held)[0]) == (3, 3)
