"""`manage.py check_books`, and the trades that are worked out for positions that had none."""

from __future__ import annotations

import io
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.db.models import QuerySet

from positions.books.snapshots import snapshot
from positions.books.trades import fold
from positions.models import Position, PositionEvent, Trade
from positions.models.guard import unguarded
from positions.services import buy_more, close_position, open_position, take_profit
from tests.conftest import BONK, JUP, WIF
from tests.positions.old_events import OLD_EVENTS, store
from tests.positions.test_migrations import migrate
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


# The migration


MOMENT = datetime(2026, 11, 25, 22, tzinfo=UTC)


@pytest.fixture
def old_database(transactional_db) -> Iterator[Any]:
    """The database of the first release, as of before there were trades."""
    yield migrate("0002_ended_session")
    migrate(None)


def old_row(apps: Any, agent: Any, wallet: Any, token: str, **figures: Any) -> Any:
    return apps.get_model("positions", "Position").objects.create(
        agent_id=agent.pk,
        wallet=wallet,
        token_address=token,
        token_symbol="OLD",
        created_at=MOMENT,
        **figures,
    )


@pytest.fixture
def old_rows(old_database: Any) -> dict[str, Any]:
    """The first release's events with the positions that they describe, and others whose events were pruned."""
    apps = old_database
    agent = apps.get_model("positions", "Agent").objects.create(
        pk=OLD_EVENTS[0]["agent_id"],
        owner_id=User.objects.create(username="alice").pk,
        name="old",
        event_seq=len(OLD_EVENTS),
    )
    events = apps.get_model("positions", "PositionEvent").objects
    for row in OLD_EVENTS:
        events.create(**{**row, "created_at": datetime.fromisoformat(row["created_at"])})
    described = OLD_EVENTS[3]["position"]
    wallet = apps.get_model("positions", "Wallet").objects.create(
        agent=agent, address=described["wallet_address"]
    )
    figures = {
        name: described[name]
        for name in (
            "purchase_price",
            "purchase_amount",
            "remaining_amount",
            "total_invested_sol",
            "realized_profit_sol",
            "dca_count",
            "dca_transaction_ids",
            "take_profit_transaction_ids",
        )
    }
    closed = {
        "status": "closed",
        "closed_at": MOMENT + timedelta(hours=1),
        "remaining_amount": 0,
        "dca_count": 0,
    }
    return {
        "with events": old_row(apps, agent, wallet, BONK, pk=described["id"], **figures),
        "closed, with events": old_row(
            apps,
            agent,
            wallet,
            WIF,
            pk=OLD_EVENTS[4]["position_id"],
            purchase_price=OLD_EVENTS[4]["position"]["purchase_price"],
            purchase_amount="10.5",
            total_invested_sol="0.000000001",
            realized_profit_sol="0.25",
            take_profit_transaction_ids=["closing"],
            **closed,
        ),
        "pruned": old_row(
            apps,
            agent,
            wallet,
            JUP,
            purchase_price="0.333333333333333333",
            purchase_amount=3,
            remaining_amount=3,
            total_invested_sol=1,
            purchase_transaction_id="opening",
        ),
        "pruned and closed": old_row(
            apps,
            agent,
            wallet,
            JUP,
            purchase_price="0.5",
            purchase_amount=10,
            total_invested_sol=5,
            realized_profit_sol="-1.5",
            purchase_transaction_id="opening",  # the same, as a repeat once left it
            **closed,
        ),
        "pruned after much": old_row(
            apps,
            agent,
            wallet,
            "Token5",
            purchase_price="0.123456789012345678",
            purchase_amount=99,
            remaining_amount="1.5",
            total_invested_sol=20,
            realized_profit_sol="-3.000000001",
            dca_count=7,
        ),
        "changed by hand": old_row(
            apps,
            agent,
            wallet,
            "Token6",
            purchase_price=9,
            purchase_amount=1,
            remaining_amount=2,
            total_invested_sol=0,
        ),
    }


FIELDS = "purchase_price purchase_amount remaining_amount total_invested_sol realized_profit_sol dca_count"


def test_migration_adds_trades_and_moves_no_figure(old_rows: dict[str, Any]):
    before = {
        name: type(row).objects.filter(pk=row.pk).values(*FIELDS.split()).get()
        for name, row in old_rows.items()
    }
    migrate(None)
    now = {name: Position.objects.get(pk=row.pk) for name, row in old_rows.items()}
    for name, row in now.items():
        assert {field: getattr(row, field) for field in FIELDS.split()} == before[name], name
        assert fold(row.trades.all()) == row.books, name
        assert row.books_digest == row.books.digest
        assert all(trade.reconstructed and trade.sol_usd is None for trade in row.trades.all())
    assert check().startswith("Every position")
    assert PositionEvent.objects.count() == len(OLD_EVENTS)

    def booked(name: str) -> list[tuple[Any, ...]]:
        trades = now[name].trades.all()
        return [(each.side, each.tokens, each.sol, each.transaction_id) for each in trades]

    assert booked("with events")[:3] == [
        ("purchase", 1_000_000, 2, None),
        (
            "purchase",
            D("333333.333333333333333333"),
            D("0.5"),
            old_rows["with events"].dca_transaction_ids[0],
        ),
        ("sale", 1_000_000, D("2.75"), old_rows["with events"].take_profit_transaction_ids[0]),
    ]
    assert booked("closed, with events")[:2] == [
        ("purchase", D("10.5"), D("0.000000001"), "buy-1"),
        ("sale", D("10.5"), D("0.250000001"), "closing"),
    ]
    first, closing = booked("pruned and closed")
    assert (first[:3], closing) == (("purchase", 10, 5), ("sale", 10, D("3.5"), None))
    assert booked("pruned")[0][:3] == ("purchase", 3, 1)
    assert {booked("pruned")[0][3], first[3]} == {"opening", None}  # once a wallet
    assert [side for side, *_ in booked("pruned after much")] == ["balance"]
    assert [side for side, *_ in booked("changed by hand")] == ["balance"]


def test_migration_goes_on_where_it_stopped(old_rows: dict[str, Any]):
    migrate(None)
    booked = set(Trade.objects.values_list("pk", flat=True))
    row = Position.objects.get(pk=old_rows["pruned"].pk)
    trades: QuerySet[Trade] = QuerySet(Trade)
    with unguarded():
        trades.filter(position=row).delete()
    bypassing(row, last_trade_at=None)
    migrate("0013_wider_values")
    migrate(None)
    assert check().startswith("Every position")
    assert len(booked & set(Trade.objects.values_list("pk", flat=True))) == len(booked) - 2


def test_position_of_old_events_is_traded_on(old_rows: dict[str, Any]):
    migrate(None)
    key = old_rows["with events"].pk
    before = Position.objects.get(pk=key)
    take_profit(position_id=key, tokens=D(1), proceeds_sol=D(1))
    position = books_hold(before)
    assert position.remaining_amount == before.remaining_amount - 1
    assert PositionEvent.objects.filter(position_id=key).order_by("-seq")[0].position == snapshot(position)


def test_events_without_their_position_are_no_trades(alice):
    store(alice)
    assert check("--reconstruct").startswith("Every position")
    assert not Trade.objects.exists()
