"""A slow database: a table stays locked until a test releases it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from psycopg import sql

from tests.live import PATIENCE_SECONDS, Server, database_url
from tests.waiting import eventually

USERS, AGENTS = "auth_user", "positions_agent"
POSITIONS = "positions_position"
EVENTS, FAMILIES = "positions_positionevent", "positions_tokenfamily"


@contextmanager
def locked(table: str) -> Iterator[psycopg.Connection]:
    """Block every query for this table; what is written on the connection is committed with the unlock."""
    timeout = f"-c lock_timeout={round(1000 * PATIENCE_SECONDS)}"
    with psycopg.connect(database_url(), options=timeout) as connection:
        statement = sql.SQL("LOCK TABLE {} IN ACCESS EXCLUSIVE MODE").format(sql.Identifier(table))
        connection.execute(statement)
        yield connection


def waiting(table: str | None = None) -> int:
    """Return how many queries wait for a lock, for the lock of this table if one is named."""
    with psycopg.connect(database_url()) as connection:
        row = connection.execute(
            "SELECT count(*) FROM pg_locks WHERE NOT granted AND (%(table)s::text IS NULL "
            "OR relation = %(table)s::text::regclass)",
            {"table": table},
        ).fetchone()
        assert row is not None
        return int(row[0])


async def until_waiting(number: int, table: str | None = None, *, or_more: bool = False) -> None:
    found: list[int] = []

    async def are_waiting() -> bool:
        found[:] = [await asyncio.to_thread(waiting, table)]
        return found[0] >= number if or_more else found[0] == number

    try:
        await eventually(are_waiting, f"{number} queries wait for a lock")
    except AssertionError as error:
        raise AssertionError(f"{error}: {found} do") from None


def cancel_waiting() -> None:
    """Let every query that waits for a lock fail, as it does when a server is taken away."""
    with psycopg.connect(database_url()) as connection:
        connection.execute("SELECT pg_cancel_backend(pid) FROM pg_locks WHERE NOT granted")


async def answers(server: Server) -> None:
    """Return once the server has done what was due before: it answers in the order of its event loop."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(b"GET /health/live HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
    await asyncio.wait_for(reader.read(), PATIENCE_SECONDS)
    writer.close()
