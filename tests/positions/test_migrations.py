"""What a migration does with figures that are stored already: nothing that a client would see."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.db.migrations.executor import MigrationExecutor

from positions.books.accounting import digits
from positions.books.snapshots import snapshot
from positions.models import Position, PositionEvent
from tests.conftest import BONK

pytestmark = pytest.mark.django_db(transaction=True)

FIGURES = {
    "purchase_price": Decimal("999999999999.999999999999999999"),
    "peak_price": Decimal("0.000000000000000001"),
    "lowest_price": None,
    "purchase_amount": Decimal("999999999999.999999999999999999"),
    "remaining_amount": Decimal("0.000000123400000000"),
    "moon_bag_amount": Decimal(0),
    "total_invested_sol": Decimal("99999999999.999999999"),
    "realized_profit_sol": Decimal("-0.000000001"),
}


def migrate(name: str | None) -> Any:
    """Migrate positions to this migration, all apps to their last without one; return the models as of then."""
    executor = MigrationExecutor(connection)
    targets = [("positions", name)] if name else executor.loader.graph.leaf_nodes()
    return executor.migrate(targets).apps


@pytest.fixture
def before_amounts_were_widened() -> Iterator[Any]:
    yield migrate("0002_ended_session")
    migrate(None)


def test_widening_keeps_every_digit_and_makes_no_event(before_amounts_were_widened: Any):
    apps = before_amounts_were_widened
    owner = User.objects.create(username="alice")
    agent = apps.get_model("positions", "Agent").objects.create(owner_id=owner.pk, name="alpha")
    wallet = apps.get_model("positions", "Wallet").objects.create(agent=agent, address="A1pha")
    rows = apps.get_model("positions", "Position").objects
    old = rows.create(agent=agent, wallet=wallet, token_address=BONK, token_symbol="BONK", **FIGURES)
    migrate(None)
    row = Position.objects.get(pk=old.pk)
    stored = snapshot(row)
    for name, number in FIGURES.items():
        assert stored[name] == (None if number is None else digits(number)), name
        assert Position.objects.filter(**{name: number}).exists(), name
    assert not PositionEvent.objects.exists()


@pytest.mark.postgresql
def test_no_index_is_the_beginning_of_another_one():
    """Such a one costs disk and each write something, and serves nothing. Partial ones serve fewer rows."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT shorter.indexrelid::regclass::text, longer.indexrelid::regclass::text
            FROM pg_index shorter JOIN pg_index longer USING (indrelid)
            JOIN pg_class ON pg_class.oid = indrelid
            WHERE (relname LIKE 'positions\\_%' OR relname LIKE 'realtime\\_%')
            AND shorter.indexrelid <> longer.indexrelid AND NOT shorter.indisunique
            AND shorter.indpred IS NULL AND longer.indpred IS NULL
            AND longer.indkey::text || ' ' LIKE shorter.indkey::text || ' %'
            AND longer.indclass::text || ' ' LIKE shorter.indclass::text || ' %'
            """
        )
        assert cursor.fetchall() == []
