"""PgBouncer in transaction mode, before a PostgreSQL of the tests."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import psycopg
import pytest

from tests.live import PATIENCE_SECONDS, free_port

PROGRAM = shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}:/usr/sbin")


def pgbouncer() -> str:
    """Return the program; without it CI fails, and other machines skip the test."""
    if PROGRAM is None:
        message = "pgbouncer is not installed (Debian: apt install pgbouncer): transaction mode is NOT tested"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    return PROGRAM


class PgBouncer:
    """Each transaction runs on another connection than the one before it, which has forgotten everything meanwhile."""

    def __init__(self, binary: str, folder: Path, database_url: str) -> None:
        parts = urlsplit(database_url)
        port = free_port()
        self.url = f"postgresql://{parts.username}:@127.0.0.1:{port}{parts.path}"
        sockets = Path(parse_qs(parts.query)["host"][0])
        configuration = folder / "pgbouncer.ini"
        configuration.write_text(
            "[databases]\n"
            f"* = host={sockets} user={parts.username}\n"
            "[pgbouncer]\n"
            f"listen_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\nauth_type = any\n"
            "pool_mode = transaction\nserver_round_robin = 1\ndefault_pool_size = 10\nmin_pool_size = 3\n"
            "server_reset_query = DISCARD ALL\nserver_reset_query_always = 1\n"
        )
        # It refuses to run as root; PostgreSQL's own user gets to the socket.
        user = ["-u", sockets.owner()] if os.geteuid() == 0 else []
        self._command = [binary, *user, str(configuration)]
        self._log = folder / "pgbouncer.log"

    def __enter__(self) -> PgBouncer:
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(self._command, stdout=log, stderr=log)
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            try:
                psycopg.connect(self.url).close()
                return self
            except psycopg.OperationalError:
                assert time.monotonic() < deadline, self._log.read_text()
                time.sleep(0.02)  # between two checks of a condition

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait(PATIENCE_SECONDS)
