"""Migrations run while servers of the previous release still serve: they may add and widen, but not remove."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest
from django.db import migrations, models
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.operations.base import Operation
from django.db.migrations.state import ProjectState
from django.db.models import NOT_PROVIDED

from positions.models.fields import ExactDecimalField

# What is taken away, a release after the last one that used it: (app, migration) → why it is safe now.
CONTRACTED: dict[tuple[str, str], str] = {
    ("positions", "0007_wallets_of_a_kind"): (
        "one wallet of a kind for each agent: the releases before check it themselves when a wallet is made, and read"
        " no wallet by its kind"
    ),
    ("positions", "0016_addresses_of_each_owner"): (
        "two unique constraints: the releases before add no agent twice, and no address that any wallet has"
    ),
}


def dangers(operations: Iterable[Operation], app: str, state: ProjectState) -> list[str]:
    """Return what an older server, which knows the `state` before these operations only, would fail at."""
    found, state = [], state.clone()
    for operation in operations:
        if isinstance(operation, migrations.AddField):
            field = operation.field
            # Without a default in the database itself, the old server's INSERT leaves the column empty.
            if not field.null and field.db_default is NOT_PROVIDED and not field.many_to_many:
                found.append(f"{operation.describe()}: needs null=True or a db_default")
        elif isinstance(operation, migrations.AlterField):
            before = state.models[app, operation.model_name_lower].fields[operation.name]
            if not only_widens(before, operation.field):
                found.append(f"{operation.describe()}: more than a wider number")
        elif isinstance(operation, migrations.SeparateDatabaseAndState):
            found += dangers(operation.database_operations, app, state)
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
        operation.state_forwards(app, state)
    return found


def only_widens(before: models.Field[Any, Any], after: models.Field[Any, Any]) -> bool:
    """Whether the database sees no change but more digits of a decimal, none taken away on either side of the point."""
    (_, *was, old), (_, *now, new) = before.deconstruct(), after.deconstruct()
    for name in before.non_db_attrs:  # choices, for one
        old.pop(name, None)
        new.pop(name, None)
    decimals = more = 0
    if isinstance(before, ExactDecimalField) and isinstance(after, ExactDecimalField):
        decimals = new.pop("decimal_places") - old.pop("decimal_places")
        more = new.pop("max_digits") - old.pop("max_digits")
    return (was, old) == (now, new) and more >= decimals >= 0


def test_migrations_after_the_first_only_add():
    loader = MigrationLoader(None)
    for (app, name), migration in loader.disk_migrations.items():
        if app in {"positions", "realtime"} and not migration.initial and (app, name) not in CONTRACTED:
            before = loader.project_state((app, name), at_end=False)
            assert dangers(migration.operations, app, before) == [], f"{app}.{name}"


@pytest.fixture(scope="module")
def release() -> ProjectState:
    """The state of a release."""
    return MigrationLoader(None).project_state(("positions", "0002_ended_session"))


def price(digits: int, decimals: int, **options: Any) -> ExactDecimalField:
    return ExactDecimalField(max_digits=digits, decimal_places=decimals, null=True, blank=True, **options)


@pytest.mark.parametrize(
    "operation",
    [
        migrations.AddField("position", "note", models.TextField(null=True)),
        migrations.AddField("position", "note", models.TextField(db_default="")),
        migrations.CreateModel("Note", [("id", models.BigAutoField(primary_key=True))]),
        migrations.AddIndex("position", models.Index(fields=["status"], name="x")),
        migrations.AlterField("position", "peak_price", price(31, 18)),
        migrations.AlterField("position", "peak_price", price(31, 19)),
        migrations.AlterField("position", "peak_price", price(42, 30)),
        migrations.AlterField("position", "status", models.CharField(max_length=6, default="open")),
    ],
)
def test_what_adds_or_widens_is_safe(release: ProjectState, operation: Operation):
    assert dangers([operation], "positions", release) == []


@pytest.mark.parametrize(
    "operation",
    [
        migrations.AddField("position", "note", models.TextField(default="")),
        migrations.RemoveField("position", "status"),
        migrations.RenameField("position", "status", "state"),
        migrations.AlterField("position", "status", models.TextField()),
        migrations.AlterField("position", "peak_price", price(29, 18)),
        migrations.AlterField("position", "peak_price", price(30, 19)),  # a digit less before the point
        migrations.AlterField("position", "peak_price", price(42, 17)),
        migrations.AlterField("position", "peak_price", price(42, 30, default=0)),
        migrations.AlterField("position", "peak_price", ExactDecimalField(max_digits=42, decimal_places=30)),
        migrations.AlterField(
            "position", "peak_price", models.DecimalField(max_digits=42, decimal_places=30)
        ),
        migrations.DeleteModel("PositionEvent"),
        migrations.RunSQL("DROP TABLE positions_wallet"),
        migrations.AddConstraint(
            "position", models.CheckConstraint(condition=models.Q(status="open"), name="x")
        ),
        migrations.SeparateDatabaseAndState([migrations.RemoveField("position", "status")]),
    ],
)
def test_what_takes_away_is_not(release: ProjectState, operation: Operation):
    assert len(dangers([operation], "positions", release)) == 1
