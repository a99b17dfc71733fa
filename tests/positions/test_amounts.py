"""Amounts as bots have them, down to the database: whatever they send, the books stay in whole units."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from typing import Any
from uuid import UUID

import pytest
from django.db import transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from positions.books.accounting import digits, unit
from positions.books.trades import fold
from positions.errors import PositionsError
from positions.models import Mint, Position, PositionEvent, Trade, Wallet
from positions.services import buy_more, open_position, take_profit
from tests.conftest import BONK

pytestmark = pytest.mark.django_db

as_double = st.floats(1e-12, 1e20, allow_nan=False).map(lambda number: Decimal(repr(number)))
as_digits = st.decimals(Decimal("1e-12"), Decimal("1e20"), allow_nan=False, places=12)
amounts = st.one_of(
    as_double, as_digits, st.sampled_from([Decimal("1e-9"), Decimal("88e12"), Decimal("1E+3")])
)
sums = st.one_of(
    st.floats(1e-11, 1e6, allow_nan=False).map(lambda number: Decimal(repr(number))),
    st.decimals(Decimal("1e-11"), Decimal("1e6"), allow_nan=False, places=11),
)
trades = st.lists(
    st.one_of(
        st.tuples(st.just("buy"), amounts, sums),
        st.tuples(st.just("sell a share"), st.floats(1e-6, 1), sums),
        st.tuples(st.just("sell"), amounts, sums),
    ),
    max_size=6,
)


@given(decimals=st.sampled_from([0, 5, 6, 9, None]), opened=st.tuples(amounts, sums), steps=trades)
@settings(
    max_examples=25,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_any_amounts_leave_the_books_in_whole_units(wallet: Wallet, decimals: int | None, opened, steps):
    with transaction.atomic():
        if decimals is not None:
            Mint.objects.create(address=BONK, decimals=decimals)
        run(wallet, unit(9 if decimals is None else decimals), opened, steps)
        transaction.set_rollback(True)


def run(
    wallet: Wallet, step: Decimal, opened: tuple[Decimal, Decimal], steps: list[tuple[str, object, Decimal]]
):
    """Trade, and look at the books after each trade; in the end sell all, as a double."""
    tokens, spent_sol = opened
    position = booked(open_position, wallet=wallet, token_address=BONK, tokens=tokens, spent_sol=spent_sol)
    if position is None:
        assert not Position.objects.exists()
        return
    key = position.pk
    for kind, amount, sol in [*steps, ("sell a share", 1.0, Decimal("0.5"))]:
        held = Position.objects.get(pk=key).remaining_amount
        assert isinstance(amount, float | Decimal)
        if isinstance(amount, float):
            amount = Decimal(repr(float(held) * amount))
        if kind == "buy":
            done = booked(buy_more, position_id=key, tokens=amount, spent_sol=sol)
        else:
            done = booked(take_profit, position_id=key, tokens=amount, proceeds_sol=sol)
        assert done or Position.objects.get(pk=key).remaining_amount == held
        position = look(key, step)
        if position.status == "closed":
            break
    assert position.status == "closed"


def booked(service: Callable[..., Position], **arguments: Any) -> Position | None:
    """Return the position, None where the service has refused one of the numbers."""
    try:
        return service(**arguments)
    except PositionsError as error:
        refused = error
    assert refused.field in {"tokens", "spent_sol", "proceeds_sol"}
    return None


def look(key: UUID, step: Decimal) -> Position:
    position = Position.objects.get(pk=key)
    rows = list(Trade.objects.filter(position=position))
    for trade in rows:
        assert (Fraction(trade.tokens) / Fraction(step)).denominator == 1, "a part of a unit"
        assert (Fraction(trade.sol) * 10**9).denominator == 1, "a part of a lamport"
    assert position.holding == fold(rows).holding
    bought = sum((Fraction(each.tokens) for each in rows if each.side == "purchase"), Fraction(0))
    sold = sum((Fraction(each.tokens) for each in rows if each.side == "sale"), Fraction(0))
    assert Fraction(position.remaining_amount) == bought - sold
    assert (position.status == "closed") == (not position.remaining_amount)
    assert position.remaining_amount == 0 or position.remaining_amount >= step, "dust"
    paid = sum((Fraction(each.sol) for each in rows if each.side == "purchase"), Fraction(0))
    received = sum((Fraction(each.sol) for each in rows if each.side == "sale"), Fraction(0))
    if position.status == "closed":
        # Half a lamport for each sale, and what rounding the average cost of so many tokens moves.
        bound = Fraction(len(rows), 2 * 10**9) + len(rows) * bought / (2 * 10**30)
        assert abs(Fraction(position.realized_profit_sol) - (received - paid)) <= bound
    else:
        event = PositionEvent.objects.filter(position_id=position.pk).order_by("seq").last()
        assert event is not None
        assert event.position is not None
        assert event.position["remaining_amount"] == digits(position.remaining_amount)
        assert event.position["purchase_price"] == digits(position.purchase_price)
    return position
