"""Sockets that connect while the database is slow: here, until a lock on the users is released."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from decimal import Decimal

import pytest
from asgiref.sync import sync_to_async
from django.db import connections

from positions import services
from tests.live import StartServer, access_token, client, watching
from tests.reliability.locks import USERS, answers, locked, until_waiting

UPGRADE = (
    "GET /ws?{} HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)


@pytest.fixture(autouse=True)
async def closed_connections() -> AsyncIterator[None]:
    """A test's thread for the database closes what it opened there."""
    yield
    await sync_to_async(connections.close_all)()


@pytest.mark.parametrize("kind", ["daphne", "uvicorn"])
async def test_socket_that_connects_meanwhile_is_accepted_and_told_to_try_again(
    kind: str, shared_server: StartServer, transactional_db, alice, agent
):
    """daphne drops a connection whose handshake takes 5 s: to a browser, a network error."""
    server = await sync_to_async(shared_server)(kind, NEXGENT_DATABASE_ANSWER_SECONDS="2")
    token = access_token(alice)
    with locked(USERS):
        async with client(server, token=token, agent=agent) as socket:
            code, reason, messages = await socket.closed()
    assert (code, reason) == (1013, "Try again later")
    assert [message["type"] for message in messages] == ["error", "closing"]
    await until_waiting(0)


@pytest.mark.parametrize("kind", ["daphne", "uvicorn"])
async def test_socket_that_disconnects_before_it_has_joined_replaces_no_other(
    kind: str, shared_server: StartServer, transactional_db, alice, agent, position
):
    # Whose reconciler, which would wait for the lock, too, does nothing meanwhile.
    server = await sync_to_async(shared_server)(kind, NEXGENT_RECONCILE_SECONDS="3600")
    token = access_token(alice)
    async with watching(server, alice, agent) as live:
        with locked(USERS):
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
