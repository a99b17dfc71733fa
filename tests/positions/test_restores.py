"""The epoch and the installation tell a database from its copy."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from django.db import connection

from positions.installations import Database, database
from positions.models import Restore
from positions.models.restores import epoch


@pytest.fixture
def elsewhere(db, tmp_path: Path) -> Iterator[Callable[[], Database]]:
    """Return what tells what another database says of itself: one beside this, or a copy of its file."""
    other = connection.copy(alias="default")
    other.settings_dict["OPTIONS"] = {
        name: value for name, value in other.settings_dict["OPTIONS"].items() if name != "pool"
    }
    if connection.vendor == "postgresql":
        other.settings_dict["NAME"] = "postgres"
    else:
        other.settings_dict["NAME"] = shutil.copy(connection.settings_dict["NAME"], tmp_path)
    yield lambda: database(other)
    other.close()


def test_another_database_has_another_identity(elsewhere):
    here = database(connection)
    assert here.identity
    assert database(connection) == here
    assert elsewhere().identity != here.identity


def test_epoch_stays_until_a_restore_is_told(db):
    before = epoch()
    assert epoch() == before
    Restore.objects.create()
    assert epoch() != before
