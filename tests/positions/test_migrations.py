"""Migrations, and what they leave of indexes."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connection
from django.db.migrations.executor import MigrationExecutor

pytestmark = pytest.mark.django_db(transaction=True)


def migrate(name: str | None) -> Any:
    """Migrate positions to this migration, all apps to their last without one; return the models as of then."""
    executor = MigrationExecutor(connection)
    targets = [("positions", name)] if name else executor.loader.graph.leaf_nodes()
    return executor.migrate(targets).apps


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
