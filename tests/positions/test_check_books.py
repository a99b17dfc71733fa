"""`manage.py check_books`."""

from __future__ import annotations

import io
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db.models import QuerySet

from positions.models import Position, Trade
from positions.models.guard import unguarded
from positions.services import buy_more, close_position, open_position, take_profit
from tests.conftest import JUP
from tests.positions.old_events import store
from tests.positions.test_trades import books_hold

pytestmark = pytest.mark.django_db

D = Decimal


def check(*options: str) -> str:
    out = io.StringIO()
    call_command("check_books", *options, stdout=out)
    return out.getvalue()


def differs() -> list[str]:
    """Return what the command prints before it fails."""
    out = io.StringIO()
    with pytest.raises(CommandError, match="with differences"):
        call_command("check_books", stdout=out)
    return out.getvalue().splitlines()


def bypassing(position: Position, **figures: Any) -> None:
    """Change the row as raw SQL would."""
    with unguarded():
        QuerySet(Position).filter(pk=position.pk).update(**figures)


def test_books_that_add_up_are_no_failure(position: Position):
    take_profit(position_id=position.pk, tokens=D(3), proceeds_sol=D(1))
    close_position(position_id=position.pk, proceeds_sol=D(1))
    assert check() == "Every position matches its trades.\n"


def test_every_figure_that_differs_is_named(position: Position):
    bypassing(position, remaining_amount=D(7), purchase_price=D("0.5"), cost_usd=D(3), dca_count=2)
    name = f"{position.pk} BONK in {position.wallet_id}:"
    assert differs() == [
        f"{name} purchase_price: stored 0.5, recomputed 0.000002",
        f"{name} remaining_amount: stored 7, recomputed 1000000",
        f"{name} cost_usd: stored 3, recomputed unknown",
        f"{name} dca_count: stored 2, recomputed 0",
    ]


def test_time_of_the_last_trade_is_checked_too(position: Position):
    """By it a write tells whether a trade is booked late."""
    last = position.trades.get().executed_at
    bypassing(position, last_trade_at=last + timedelta(days=1))
    assert [line.partition(": ")[2].partition(":")[0] for line in differs()] == ["last_trade_at"]
    assert "1 position reconstructed." in check("--reconstruct")
    assert check().startswith("Every position")
    position.refresh_from_db()
    assert (position.last_trade_at, position.trades.count()) == (last, 1)


def test_position_without_trades_is_named_and_mended(world):
    bare = world.unsaved(world.wallet, JUP)
    bare.save()
    assert differs() == [f"{bare.pk} NEW in {bare.wallet_id}: trades: stored none, recomputed at least one"]
    assert "1 position reconstructed." in check("--reconstruct")
    assert check().startswith("Every position")
    trade = bare.trades.get()
    assert (trade.side, trade.tokens, trade.sol, trade.reconstructed) == ("purchase", 10, 5, True)


@pytest.mark.parametrize("is_open", [True, False])
def test_position_changed_by_an_old_server_is_mended_without_moving_a_figure(
    position: Position, is_open: bool
):
    if not is_open:
        close_position(position_id=position.pk, proceeds_sol=D(1))
    bypassing(position, remaining_amount=D(7), cost_usd=D(3))
    before = Position.objects.get()
    check("--reconstruct")
    after = books_hold(position)
    assert (after.holding, after.status, after.cost_usd) == (before.holding, before.status, None)
    assert check().startswith("Every position")
    if is_open:
        buy_more(position_id=position.pk, tokens=D(1), spent_sol=D(1))
        assert books_hold(position).remaining_amount == 8


def test_impossible_trades_are_named_and_mended(position: Position):
    # As raw SQL could leave them: the purchase is gone.
    sale = take_profit(position_id=position.pk, tokens=D(10), proceeds_sol=D(1)).trades.get(side="sale")
    trades: QuerySet[Trade] = QuerySet(Trade)
    with unguarded():
        trades.exclude(pk=sale.pk).delete()
    (line,) = differs()
    assert line.endswith(
        f"the sale of 10 at {sale.executed_at.isoformat()} would then be more than was held, 0"
    )
    check("--reconstruct")
    assert check().startswith("Every position")
    assert books_hold(position).remaining_amount == 999_990


def test_many_positions_are_checked_in_batches(wallet, monkeypatch, django_assert_max_num_queries):
    for number in range(7):
        open_position(wallet=wallet, token_address=f"Token{number + 1}", tokens=D(1), spent_sol=D(1))
    with django_assert_max_num_queries(5):
        assert check().startswith("Every position")


def test_events_without_their_position_are_no_trades(alice):
    store(alice)
    assert check("--reconstruct").startswith("Every position")
    assert not Trade.objects.exists()
