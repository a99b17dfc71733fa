"""Fails the test whose thread dies with a database connection that it has not closed.

The pool counts such a connection as in use for ever. After a dozen of them a later test, which is not to blame, waits
for one in vain. A pytest plugin (`-p tests.lost_connections`).
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest

from tests.servers import POSTGRESQL

_taken: dict[int, tuple[Any, Any, threading.Thread]] = {}
"""Connections that are not in their pool, by identity: the pool, the connection, and the thread that took it."""


def pytest_configure(config: pytest.Config) -> None:
    if not POSTGRESQL:
        return  # a connection to SQLite is closed with its thread, and nobody waits for it
    from psycopg_pool import ConnectionPool

    take, put_back = ConnectionPool.getconn, ConnectionPool.putconn

    def getconn(pool: Any, timeout: float | None = None) -> Any:
        connection = take(pool, timeout)
        _taken[id(connection)] = pool, connection, threading.current_thread()
        return connection

    def putconn(pool: Any, connection: Any) -> None:
        _taken.pop(id(connection), None)
        put_back(pool, connection)

    patch = pytest.MonkeyPatch()
    config.add_cleanup(patch.undo)
    patch.setattr(ConnectionPool, "getconn", getconn)
    patch.setattr(ConnectionPool, "putconn", putconn)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_teardown(item: pytest.Item) -> Iterator[None]:
    """Look once the test's fixtures are gone, its event loop and the threads of that among them."""
    yield
    if lost := give_back():
        pytest.fail(
            f"threads ended without closing their database connection: {', '.join(lost)}."
            " Close it there (django.db.connections.close_all), or run the query with tests.live.elsewhere.",
            pytrace=False,
        )


def in_use() -> int:
    """Return how many connections are not in their pool."""
    return len(_taken)


def give_back() -> list[str]:
    """Give the connections of dead threads back to their pool; return the names of these threads."""
    lost = [taken for taken in list(_taken.values()) if not taken[2].is_alive()]
    for pool, connection, _ in lost:
        pool.putconn(connection)
    return [thread.name for _, _, thread in lost]
