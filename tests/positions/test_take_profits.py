"""Plans of take-profits: how one begins, how sales count its levels, and what the event has."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from positions.errors import InvalidAmount, PositionClosed, TransactionIdTaken
from positions.models import Position, PositionEvent, Wallet
from positions.services import buy_more, close_position, open_position, plan_take_profits, take_profit
from tests.conftest import WIF

pytestmark = pytest.mark.django_db


def plan(position: Position) -> tuple[int | None, int, int | None]:
    """Return after which level the stored plan begins, how many are hit, and with which level it ends."""
    row = Position.objects.get(pk=position.pk)
    return row.tp_batch_start_level, row.take_profit_levels_hit, row.total_take_profit_levels


def sell(position: Position, levels: int | None = None, **terms: Any) -> Position:
    return take_profit(
        position_id=position.pk, tokens=Decimal(1), proceeds_sol=Decimal(1), levels=levels, **terms
    )


def test_position_without_a_plan_counts_every_sale(position: Position):
    sell(position)
    sell(position, levels=3)
    assert plan(position) == (None, 4, None)


def test_plan_begins_with_the_position(wallet: Wallet):
    opened = open_position(
        wallet=wallet,
        token_address=WIF,
        tokens=Decimal(1000),
        spent_sol=Decimal(10),
        take_profit_levels=4,
    )
    assert plan(opened) == (0, 0, 4)
    sell(opened, levels=2)
    assert plan(opened) == (0, 2, 4)
    newest = PositionEvent.objects.order_by("seq").last()
    assert newest is not None
    assert newest.position is not None
    names = ("tp_batch_start_level", "take_profit_levels_hit", "total_take_profit_levels")
    assert tuple(newest.position[name] for name in names) == (0, 2, 4)


def test_purchase_may_begin_another_plan_after_the_levels_that_are_hit(position: Position):
    plan_take_profits(position_id=position.pk, levels=4)
    sell(position, levels=2)
    buy_more(position_id=position.pk, tokens=Decimal(1), spent_sol=Decimal(1))
    assert plan(position) == (0, 2, 4)
    buy_more(position_id=position.pk, tokens=Decimal(1), spent_sol=Decimal(1), take_profit_levels=4)
    assert plan(position) == (2, 2, 6)
    sell(position)
    assert plan(position) == (2, 3, 6)


def test_sale_that_is_no_take_profit_hits_no_level(position: Position):
    plan_take_profits(position_id=position.pk, levels=1)
    sell(position, levels=0)
    assert plan(position) == (0, 0, 1)
    assert Position.objects.get().last_take_profit_time is None


def test_sales_past_the_end_of_a_plan_hit_no_level(position: Position):
    plan_take_profits(position_id=position.pk, levels=1)
    sell(position)
    sell(position)
    assert plan(position) == (0, 1, 1)
    assert Position.objects.get().remaining_amount == 999_998


def test_plan_is_removed_and_counts_stay(position: Position):
    plan_take_profits(position_id=position.pk, levels=4)
    sell(position)
    plan_take_profits(position_id=position.pk, levels=None)
    assert plan(position) == (None, 1, None)


def test_plan_that_is_made_again_as_it_is_makes_no_event(position: Position):
    for _ in range(2):
        plan_take_profits(position_id=position.pk, levels=4)
    assert PositionEvent.objects.count() == 2


def test_repeat_of_a_sale_counts_its_levels_once_and_other_levels_are_another_sale(position: Position):
    plan_take_profits(position_id=position.pk, levels=4)
    for _ in range(2):
        sell(position, levels=2, transaction_id="sale")
    assert plan(position) == (0, 2, 4)
    with pytest.raises(TransactionIdTaken):
        sell(position, levels=1, transaction_id="sale")


@pytest.mark.parametrize(
    ("levels", "message"),
    [
        (-1, "levels must be from 0 to 100, not -1"),
        (101, "levels must be from 0 to 100, not 101"),
        (True, "levels must be an int, not bool"),
        (1.0, "levels must be an int, not float"),
        (2, "levels must be at most 1, which the plan of 1 has left, not 2"),
    ],
)
def test_sale_of_levels_that_cannot_be_is_refused(position: Position, levels: Any, message: str):
    plan_take_profits(position_id=position.pk, levels=1)
    with pytest.raises(InvalidAmount) as refused:
        sell(position, levels=levels)
    assert (refused.value.message, refused.value.field) == (message, "levels")
    assert Position.objects.get().remaining_amount == 1_000_000


@pytest.mark.parametrize("levels", [0, 101])
def test_plan_of_levels_that_cannot_be_is_refused(position: Position, levels: int):
    message = f"must be from 1 to 100, not {levels}"
    with pytest.raises(InvalidAmount, match=f"^levels {message}$"):
        plan_take_profits(position_id=position.pk, levels=levels)
    with pytest.raises(InvalidAmount, match=f"^take_profit_levels {message}$"):
        buy_more(position_id=position.pk, tokens=Decimal(1), spent_sol=Decimal(1), take_profit_levels=levels)
    assert plan(position) == (None, 0, None)


def test_plan_of_a_closed_position_is_refused(position: Position):
    close_position(position_id=position.pk, proceeds_sol=Decimal(1))
    with pytest.raises(PositionClosed):
        plan_take_profits(position_id=position.pk, levels=4)
