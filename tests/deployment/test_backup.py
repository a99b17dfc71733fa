"""A backup as in docs/operations.md: dumped from a running system, restored into a new cluster, complete, writable."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from testbed.backends import PostgreSQL
from tests.deployment.test_topology import ROLES, WORLD
from tests.live import PATIENCE_SECONDS, ROOT

REPORT = """
from positions.models import Position, PositionEvent
from positions.services import move_stop_loss
from decimal import Decimal
position = Position.objects.get()
move_stop_loss(position_id=position.pk, percentage=Decimal(-7))
print(position.token_symbol, position.remaining_amount, list(PositionEvent.objects.values_list("seq", flat=True)))
"""


@pytest.fixture
def clusters() -> Iterator[tuple[PostgreSQL, PostgreSQL, Path]]:
    """Two clusters with the two roles, and a folder."""
    with ExitStack() as stack:
        folder = Path(tempfile.mkdtemp(prefix="nxb-", dir="/tmp"))
        folder.chmod(0o755)
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        both = PostgreSQL(folder / "old"), PostgreSQL(folder / "new")
        for cluster in both:
            stack.callback(cluster.close)
            cluster.run_file(ROOT / "deploy/roles.sql", **ROLES)
        yield *both, folder


def url(cluster: PostgreSQL, role: str) -> str:
    return cluster.url_of(f"nexgent_{role}", ROLES[f"NEXGENT_{role.upper()}_PASSWORD"], "nexgent")


def manage(database_url: str, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "manage.py", *arguments],
        env={**os.environ, "DATABASE_URL": database_url},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=4 * PATIENCE_SECONDS,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_backup_is_restored_into_a_new_cluster_and_goes_on(clusters):
    old, new, folder = clusters
    manage(url(old, "owner"), "migrate", "--verbosity", "0")
    manage(url(old, "app"), "shell", "-v", "0", "-c", WORLD)
    documented = (ROOT / "docs/operations.md").read_text()
    (dump,) = re.findall(r"^ {4}pg_dump (.*?) --file", documented, re.MULTILINE)
    (restore,) = re.findall(r"^ {4}pg_restore (.*?) --dbname", documented, re.MULTILINE)
    file = folder / "nexgent.dump"
    old.run("pg_dump", *dump.split(), "--file", str(file), url(old, "owner"))
    new.run("pg_restore", *restore.split(), "--dbname", url(new, "owner"), str(file))
    assert manage(url(new, "owner"), "migrate", "--check") == ""
    assert (
        manage(url(new, "app"), "shell", "-v", "0", "-c", REPORT).strip()
        == "BONK 5.000000000000000000 [1, 2]"
    )
