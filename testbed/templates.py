"""What takes long and is the same for every test: databases with this project's tables, to be copied (`initdb` and all
migrations take 5 s, a copy 0.2 s), and the static files as `collectstatic` makes them."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from testbed import forkserver
from testbed.backends import PostgreSQL
from testbed.processes import PATIENCE_SECONDS, ROOT

DATABASE = "test_nexgent"
"""The database with the tables, in a cluster that is a copy. There is no other but PostgreSQL's own."""


class Templates:
    """Made in a folder by whoever needs one first, of the processes that have the same folder; the others wait."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def cluster(self) -> Path:
        """Return the data folder of a PostgreSQL that is not running."""
        return self._made("pg", self._make_cluster)

    def file(self) -> Path:
        """Return an SQLite file that nobody has open."""
        return self._made("nexgent.sqlite3", self._make_file)

    def static_files(self) -> Path:
        """Return the folder that `collectstatic` makes, for `NEXGENT_STATIC_DIR`: to be read only."""
        return self._made("static", self._collect)

    def _made(self, name: str, make: Callable[[Path], None]) -> Path:
        self._folder.mkdir(exist_ok=True)
        self._folder.chmod(0o755)  # PostgreSQL's own user must get in
        path, half_made = self._folder / name, self._folder / "new" / name
        with (self._folder / f"{name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not path.exists():
                half_made.parent.mkdir(mode=0o755, exist_ok=True)
                make(half_made)
                half_made.rename(path)
        return path

    def _make_cluster(self, folder: Path) -> None:
        server = PostgreSQL(folder)
        server.run("psql", "--no-psqlrc", "--quiet", "--command", f"CREATE DATABASE {DATABASE}", server.url)
        self._migrate(server.url_of("postgres", "", DATABASE))
        server.close()

    def _make_file(self, path: Path) -> None:
        self._migrate(f"sqlite:///{path}")

    def _migrate(self, url: str) -> None:
        self._manage("migrate", "--skip-checks", DATABASE_URL=url)

    def _collect(self, folder: Path) -> None:
        production = {
            "NEXGENT_DEBUG": "0",
            "NEXGENT_SECRET_KEY": "not-a-secret-" * 5,
            "NEXGENT_ALLOWED_HOSTS": "x",
        }
        self._manage("collectstatic", "--noinput", **production, NEXGENT_STATIC_DIR=str(folder))

    def _manage(self, *command: str, **environment: str) -> None:
        line = [sys.executable, "manage.py", *command, "--verbosity", "0"]
        env = {**os.environ, **environment}
        if forkserver.is_shared():
            done = forkserver.run(line, env=env, cwd=ROOT, timeout=6 * PATIENCE_SECONDS)
            if done.returncode != 0:
                raise RuntimeError(done.stderr)
        else:
            subprocess.run(line, env=env, cwd=ROOT, check=True, timeout=6 * PATIENCE_SECONDS)
