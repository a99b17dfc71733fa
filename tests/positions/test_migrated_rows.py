"""What migrations make of the rows of the first release: trades that are worked out, and no other figure for a client.

The rows are migrated once. Tests but the last look at them, and what they write is rolled back.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, NamedTuple

import pytest
from django.contrib.auth.models import User
from django.core.management import call_command
from django.db.models import QuerySet

from positions.books.accounting import digits
from positions.books.snapshots import snapshot
from positions.books.trades import fold
from positions.models import Position, PositionEvent, Trade
from positions.models.guard import unguarded
from positions.services import take_profit
from tests.conftest import BONK, JUP, WIF
from tests.positions.old_events import OLD_EVENTS
from tests.positions.test_check_books import bypassing, check
from tests.positions.test_migrations import migrate
from tests.positions.test_trades import books_hold

pytestmark = pytest.mark.django_db

D = Decimal
MOMENT = datetime(2026, 11, 25, 22, tzinfo=UTC)
LONGEST = {
    "purchase_price": D("999999999999.999999999999999999"),
    "peak_price": D("0.000000000000000001"),
    "lowest_price": None,
    "purchase_amount": D("999999999999.999999999999999999"),
    "remaining_amount": D("0.000000123400000000"),
    "moon_bag_amount": D(0),
    "total_invested_sol": D("99999999999.999999999"),
    "realized_profit_sol": D("-0.000000001"),
}
"""What the first release's columns could hold."""


FIELDS = "purchase_price purchase_amount remaining_amount total_invested_sol realized_profit_sol dca_count"


def old_row(apps: Any, agent: Any, wallet: Any, token: str, **figures: Any) -> Any:
    return apps.get_model("positions", "Position").objects.create(
        agent_id=agent.pk,
        wallet=wallet,
        token_address=token,
        token_symbol="OLD",
        created_at=MOMENT,
        **figures,
    )


def old_rows(apps: Any) -> dict[str, Any]:
    """Store the first release's events with the positions that they describe, and others whose events were pruned."""
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


def longest_row(apps: Any) -> Any:
    owner = User.objects.create(username="bob")
    agent = apps.get_model("positions", "Agent").objects.create(owner_id=owner.pk, name="alpha")
    wallet = apps.get_model("positions", "Wallet").objects.create(agent=agent, address="A1pha")
    return old_row(apps, agent, wallet, BONK, **LONGEST)


class Migrated(NamedTuple):
    rows: dict[str, Any]
    """As they were, by what is particular about them."""
    figures: dict[str, dict[str, Any]]
    longest: Any


@pytest.fixture(scope="module")
def migrated(django_db_setup: None, running_valkey: None, django_db_blocker: Any) -> Iterator[Migrated]:
    with django_db_blocker.unblock():
        try:
            apps = migrate("0002_ended_session")
            rows, longest = old_rows(apps), longest_row(apps)
            figures = {
                name: type(row).objects.filter(pk=row.pk).values(*FIELDS.split()).get()
                for name, row in rows.items()
            }
        finally:
            migrate(None)
        yield Migrated(rows, figures, longest)
        call_command("flush", interactive=False, verbosity=0)


def test_migration_adds_trades_and_moves_no_figure(migrated: Migrated):
    old_rows, before, _ = migrated
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


def test_position_of_old_events_is_traded_on(migrated: Migrated):
    key = migrated.rows["with events"].pk
    before = Position.objects.get(pk=key)
    take_profit(position_id=key, tokens=D(1), proceeds_sol=D(1))
    position = books_hold(before)
    assert position.remaining_amount == before.remaining_amount - 1
    assert PositionEvent.objects.filter(position_id=key).order_by("-seq")[0].position == snapshot(position)


def test_widening_keeps_every_digit_and_makes_no_event(migrated: Migrated):
    row = Position.objects.get(pk=migrated.longest.pk)
    stored = snapshot(row)
    for name, number in LONGEST.items():
        assert stored[name] == (None if number is None else digits(number)), name
        assert Position.objects.filter(**{name: number}, pk=row.pk).exists(), name
    assert not PositionEvent.objects.filter(agent=row.agent_id).exists()


@pytest.mark.django_db(transaction=True)
def test_migration_goes_on_where_it_stopped(migrated: Migrated):
    booked = set(Trade.objects.values_list("pk", flat=True))
    row = Position.objects.get(pk=migrated.rows["pruned"].pk)
    trades: QuerySet[Trade] = QuerySet(Trade)
    with unguarded():
        trades.filter(position=row).delete()
    bypassing(row, last_trade_at=None)
    migrate("0013_wider_values")
    migrate(None)
    assert check().startswith("Every position")
    assert len(booked & set(Trade.objects.values_list("pk", flat=True))) == len(booked) - 2
