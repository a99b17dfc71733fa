"""What becomes of sockets that come while the database takes its time: here, until a lock on the users goes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from decimal import Decimal

import psycopg
import pytest
from asgiref.sync import sync_to_async
from django.db import connections

from positions import services
from tests.live import PATIENCE_SECONDS, Server, access_token, client, database_url, watching

UPGRADE = (
    "GET /ws?{} HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)


@pytest.fixture(autouse=True)
async def closed_connections() -> AsyncIterator[None]:
    """A test's thread for the database closes what it opened there."""
    yield
    await sync_to_async(connections.close_all)()


@contextmanager
def users_locked() -> Iterator[psycopg.Connection]:
    """Hold up every query for a user."""
    with psycopg.connect(database_url()) as connection:
        connection.execute("LOCK TABLE auth_user IN ACCESS EXCLUSIVE MODE")
        yield connection
        connection.rollback()


def waiting() -> int:
    """Return how many queries wait for a lock."""
    with psycopg.connect(database_url()) as connection:
        row = connection.execute("SELECT count(*) FROM pg_locks WHERE NOT granted").fetchone()
        assert row is not None
        return int(row[0])


async def until_waiting(number: int) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while await asyncio.to_thread(waiting) != number:  # noqa: ASYNC110  what is awaited is another process's
            await asyncio.sleep(0.02)


async def answers(server: Server) -> None:
    """Return once the server has done what was due before: it answers in the order of its event loop."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(b"GET /health/live HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
    await asyncio.wait_for(reader.read(), PATIENCE_SECONDS)
    writer.close()


async def test_socket_that_comes_meanwhile_is_accepted_and_told_to_try_again(server, alice, agent):
    """daphne drops a connection whose handshake takes 5 s: to a browser, a network error."""
    token = access_token(alice)
    with users_locked():
        async with client(server, token=token, agent=agent) as socket:
            code, reason, messages = await socket.closed()
    assert (code, reason) == (1013, "Try again later")
    assert [message["type"] for message in messages] == ["error", "closing"]
    await until_waiting(0)


async def test_socket_gone_before_it_has_joined_replaces_nobody(server, alice, agent, position):
    token = access_token(alice)
    async with watching(server, alice, agent) as live:
        with users_locked():
            _, writer = await asyncio.open_connection("127.0.0.1", server.port)
            writer.write(UPGRADE.format(f"token={token}&agentId={agent.pk}").encode())
            await until_waiting(1)
            writer.transport.abort()
            for _ in range(3):
                await answers(server)
        await until_waiting(0)
        for percentage in range(1, 11):
            await sync_to_async(services.move_stop_loss)(
                position_id=position.pk, percentage=Decimal(percentage)
            )
            message = await live.receive()
            assert message["type"] == "position_update", message
            await answers(server)
