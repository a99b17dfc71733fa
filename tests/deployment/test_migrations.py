"""Migrations run while servers of the previous release still serve: they may add, but not remove."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from django.db import migrations, models
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.operations.base import Operation
from django.db.models import NOT_PROVIDED

# What is taken away, a release after the last one that used it: (app, migration) → why it is safe now.
CONTRACTED: dict[tuple[str, str], str] = {}


def dangers(operations: Iterable[Operation]) -> list[str]:
    """Return what an older server, which knows nothing of these operations, would fail at."""
    found = []
    for operation in operations:
        if isinstance(operation, migrations.AddField):
            field = operation.field
            # Without a default in the database itself, the old server's INSERT leaves the column empty.
            if not field.null and field.db_default is NOT_PROVIDED and not field.many_to_many:
                found.append(f"{operation.describe()}: needs null=True or a db_default")
        elif isinstance(operation, migrations.SeparateDatabaseAndState):
            found += dangers(operation.database_operations)
        elif not isinstance(
            operation,
            migrations.CreateModel
            | migrations.AddIndex
            | migrations.RemoveIndex
            | migrations.AlterModelOptions
            | migrations.AlterModelManagers
            | migrations.RunPython,
        ):
            found.append(f"{operation.describe()}: only once no running release needs what it takes away")
    return found


def test_migrations_after_the_first_only_add():
    loader = MigrationLoader(None)
    for (app, name), migration in loader.disk_migrations.items():
        if app in {"positions", "realtime"} and not migration.initial and (app, name) not in CONTRACTED:
            assert dangers(migration.operations) == [], f"{app}.{name}"


@pytest.mark.parametrize(
    "operation",
    [
        migrations.AddField("position", "note", models.TextField(null=True)),
        migrations.AddField("position", "note", models.TextField(db_default="")),
        migrations.CreateModel("Note", [("id", models.BigAutoField(primary_key=True))]),
        migrations.AddIndex("position", models.Index(fields=["status"], name="x")),
    ],
)
def test_what_adds_is_safe(operation):
    assert dangers([operation]) == []


@pytest.mark.parametrize(
    "operation",
    [
        migrations.AddField("position", "note", models.TextField(default="")),
        migrations.RemoveField("position", "status"),
        migrations.RenameField("position", "status", "state"),
        migrations.AlterField("position", "status", models.TextField()),
        migrations.DeleteModel("PositionEvent"),
        migrations.RunSQL("DROP TABLE positions_wallet"),
        migrations.AddConstraint(
            "position", models.CheckConstraint(condition=models.Q(status="open"), name="x")
        ),
        migrations.SeparateDatabaseAndState([migrations.RemoveField("position", "status")]),
    ],
)
def test_what_takes_away_is_not(operation):
    assert len(dangers([operation])) == 1
