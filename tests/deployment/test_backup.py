"""The backup and the restore of docs/operations.md, line by line: of a running system, complete, and writable again."""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import psycopg
import pytest

from testbed import forkserver
from testbed.backends import PostgreSQL
from testbed.templates import Templates
from tests.deployment.machine import Machine
from tests.deployment.test_topology import ROLES, WORLD
from tests.documents import blocks
from tests.live import PATIENCE_SECONDS, ROOT

CHANGE = """
from decimal import Decimal
from positions.models import Position
from positions.services import move_stop_loss
move_stop_loss(position_id=Position.objects.get().pk, percentage=Decimal(-7))
"""
REPORT = """
import json
from positions.models import Position, PositionEvent
from positions.models.restores import epoch
print(json.dumps({
    "held": str(Position.objects.get().remaining_amount),
    "seqs": list(PositionEvent.objects.values_list("seq", flat=True)),
    "epoch": epoch(),
}))
"""


@pytest.fixture
def clusters(templates: Templates) -> Iterator[tuple[PostgreSQL, PostgreSQL, Path]]:
    """A PostgreSQL with the roles and the tables, a new one, and a folder."""
    with ExitStack() as stack:
        folder = Path(tempfile.mkdtemp(prefix="nxb-", dir="/tmp"))
        folder.chmod(0o755)
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        template = templates.cluster()
        both = PostgreSQL(folder / "old", template=template), PostgreSQL(folder / "new", template=template)
        for cluster in both:
            stack.callback(cluster.close)
        both[0].run_file(ROOT / "deploy/roles.sql", **ROLES)
        yield *both, folder


def url(cluster: PostgreSQL, role: str) -> str:
    return cluster.url_of(f"nexgent_{role}", ROLES[f"NEXGENT_{role.upper()}_PASSWORD"], "nexgent")


def manage(cluster: PostgreSQL, *arguments: str, role: str = "app") -> str:
    done = forkserver.run(
        [sys.executable, "manage.py", *arguments],
        env={**os.environ, "DATABASE_URL": url(cluster, role)},
        cwd=ROOT,
        timeout=4 * PATIENCE_SECONDS,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def report(cluster: PostgreSQL) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(manage(cluster, "shell", "-v", "0", "-c", REPORT))
    return found


def machine_at(cluster: PostgreSQL, folder: Path) -> Machine:
    """The machine that docs/operations.md has set up, with its database there."""
    folder.mkdir()
    machine = Machine(folder, cluster)
    settings = {"DATABASE_URL": url(cluster, "app"), "REDIS_URL": os.environ["REDIS_URL"]}
    lines = [f"{name}='{value}'\n" for name, value in settings.items()]
    (folder / "etc/nexgent/environment").write_text("".join(lines))
    (folder / "etc/nexgent/owner").write_text(f"DATABASE_URL='{url(cluster, 'owner')}'\n")
    return machine


def documented() -> tuple[str, str]:
    """Return the lines of the page for a backup and for a restore."""
    backup, restore = (
        block.text for block in blocks("docs/operations.md", "sh") if "nexgent.dump" in block.text
    )
    return backup, restore


def test_backup_is_restored_into_the_same_cluster_and_into_a_new_one(clusters):
    old, new, folder = clusters
    manage(old, "migrate", "--verbosity", "0", role="owner")
    manage(old, "shell", "-v", "0", "-c", WORLD)
    backup, restore = documented()
    here = machine_at(old, folder / "here")
    here.run(backup, OWNER_URL=url(old, "owner"))
    assert (here.root / "nexgent.dump").stat().st_mode & 0o077 == 0
    at_backup = report(old)
    manage(old, "shell", "-v", "0", "-c", CHANGE)  # it will be lost
    assert report(old)["seqs"] == [1, 2]

    said = here.run(restore, OWNER_URL=url(old, "owner"), **ROLES)
    assert "Every position matches its trades." in said
    _goes_on(old, at_backup)
    assert _numbers(old, "nexgent_before") == [(1,), (2,)]
    assert here.calls.read_text().splitlines() == [
        "systemctl stop nexgent-*",
        "systemctl start nexgent-server@4001 nexgent-server@4002 nexgent-prices nexgent-maintenance.timer",
    ]

    there = machine_at(new, folder / "there")
    shutil.copy(here.root / "nexgent.dump", there.root)
    # Without what the page leaves out there, and what has been shown above.
    on_a_new_one = "".join(
        line
        for line in restore.splitlines(keepends=True)
        if not re.search("RENAME|check_books|migrate", line)
    )
    there.run(on_a_new_one, OWNER_URL=url(new, "owner"), **ROLES)
    _goes_on(new, at_backup)


def _goes_on(cluster: PostgreSQL, at_backup: dict[str, Any]) -> None:
    """What the backup had is there; clients get a fresh snapshot; and the next event has the next number."""
    restored = report(cluster)
    assert (restored["held"], restored["seqs"]) == (at_backup["held"], [1])
    assert restored["epoch"] != at_backup["epoch"]
    manage(cluster, "shell", "-v", "0", "-c", CHANGE)
    assert report(cluster)["seqs"] == [1, 2]


def _numbers(cluster: PostgreSQL, database: str) -> list[tuple[int]]:
    with psycopg.connect(cluster.url_of("postgres", "", database)) as connection:
        return connection.execute("SELECT seq FROM positions_positionevent ORDER BY seq").fetchall()
