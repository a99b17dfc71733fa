"""What a command or a server creates is for its owner only, even where the umask denies nothing."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from testbed import forkserver
from tests.live import PATIENCE_SECONDS, ROOT


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return tmp_path / "data"


def run(data: Path, *command: str) -> str:
    environment = {name: value for name, value in os.environ.items() if name != "DATABASE_URL"}
    done = forkserver.run(
        [sys.executable, *command],
        env={**environment, "NEXGENT_DATA_DIR": str(data), "DJANGO_SETTINGS_MODULE": "nexgent.settings"},
        cwd=ROOT,
        timeout=10 * PATIENCE_SECONDS,
        umask=0,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


def readable_by_others(folder: Path) -> list[str]:
    return [each.name for each in (folder, *folder.rglob("*")) if each.stat().st_mode & 0o077]


def test_migrate_and_dumps_make_files_for_their_owner_only(data: Path):
    run(data, "manage.py", "migrate", "--verbosity", "0", "contenttypes")
    run(data, "manage.py", "dumpdata", "contenttypes", "--output", str(data / "dump.json"))
    assert {"nexgent.sqlite3", "secret_key", "dump.json"} <= {each.name for each in data.iterdir()}
    assert readable_by_others(data) == []


def test_database_that_another_program_opens_first_is_for_its_owner_only(data: Path):
    """A server, say: it does not run through manage.py. While it is open, it has a -wal and a -shm."""
    script = (
        "import django, os; django.setup(); from django.db import connection;"
        " connection.cursor().execute('CREATE TABLE IF NOT EXISTS x (y)');"
        f" print(sorted(oct(os.stat(each).st_mode & 0o777) for each in os.scandir({str(data)!r})))"
    )
    for mode in (None, 0o644):  # as older releases made it
        if mode:
            (data / "nexgent.sqlite3").chmod(mode)
        assert run(data, "-c", script).strip() == str(["0o600"] * 4)  # with the secret key


def test_static_files_are_for_a_proxy_of_another_user(data: Path):
    run(data, "manage.py", "collectstatic", "--noinput", "--verbosity", "0")
    assert (data / "static" / "realtime" / "nexgent.js").stat().st_mode & 0o044 == 0o044
