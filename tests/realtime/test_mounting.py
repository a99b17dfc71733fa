"""The consumer as other projects may mount it: Channels' own communicator, no shutdown wrapper, no token middleware."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from channels.testing import WebsocketCommunicator
from django.conf import settings
from django.db import connections

from positions import services
from realtime.hub.database import in_database_thread
from realtime.hub.hub import Hub, close_hub, get_hub
from realtime.monitoring.metrics import counts
from realtime.socket.consumers import PositionConsumer
from realtime.socket.routing import websocket_application
from tests.contract import check_from_server
from tests.live import PATIENCE_SECONDS, Server, access_token, client, watching


@pytest.fixture
async def hub(transactional_db) -> AsyncIterator[None]:
    """The hub of this test's event loop ends with it, and so do the connections of its database threads.

    A communicator keeps Channels from closing them after each query.
    """
    yield
    await asyncio.wait_for(close_hub(), PATIENCE_SECONDS)
    count = settings.REALTIME["DATABASE_THREADS"]
    all_threads = threading.Barrier(count)

    def close() -> None:
        all_threads.wait(PATIENCE_SECONDS)
        connections.close_all()

    await asyncio.gather(*(in_database_thread(close)() for _ in range(count)))


async def received(communicator: WebsocketCommunicator) -> dict[str, Any]:
    message: dict[str, Any] = json.loads(await communicator.receive_from(PATIENCE_SECONDS))
    check_from_server(message)
    return message


def sockets(hub: Hub) -> float:
    hub.reporter.snapshot()
    return counts.gauges["nexgent_sockets"]


async def test_communicator_of_channels_drives_the_whole_conversation(hub, alice, agent, position):
    communicator = WebsocketCommunicator(
        websocket_application(), f"/ws?token={access_token(alice)}&agentId={agent.pk}"
    )
    assert await communicator.connect(PATIENCE_SECONDS) == (True, None)
    assert (await received(communicator))["type"] == "connected"
    initial = await received(communicator)
    assert [held["id"] for held in initial["data"]["positions"]] == [str(position.pk)]
    await sync_to_async(services.move_stop_loss)(position_id=position.pk, percentage=Decimal(-5))
    update = await received(communicator)
    assert (update["type"], update["data"]["seq"]) == ("position_update", 2)
    await communicator.send_to('{"type": "ping"}')
    assert (await received(communicator))["type"] == "pong"
    await communicator.disconnect(timeout=PATIENCE_SECONDS)


async def test_communicator_sees_the_close_of_a_refused_socket(hub, alice, agent):
    communicator = WebsocketCommunicator(websocket_application(), f"/ws?token=nonsense&agentId={agent.pk}")
    await communicator.connect(PATIENCE_SECONDS)
    assert [(await received(communicator))["type"] for _ in range(2)] == ["error", "closing"]
    close = await communicator.receive_output(PATIENCE_SECONDS)
    assert close == {"type": "websocket.close", "code": 1008, "reason": "Authentication failed"}
    await communicator.disconnect(timeout=PATIENCE_SECONDS)


async def test_connection_that_its_server_cancels_is_forgotten(hub, alice, agent):
    """As daphne cancels a consumer that has not ended 10 s after its client, which a slow query may cause."""
    communicator = WebsocketCommunicator(
        websocket_application(), f"/ws?token={access_token(alice)}&agentId={agent.pk}"
    )
    await communicator.connect(PATIENCE_SECONDS)
    assert [(await received(communicator))["type"] for _ in range(2)] == ["connected", "initial_data"]
    serving = get_hub()
    assert (sockets(serving), list(serving.sockets)) == (1, [str(agent.pk)])
    communicator.future.cancel()
    await asyncio.wait({communicator.future})
    assert (sockets(serving), list(serving.sockets)) == (0, [])


@pytest.mark.parametrize("has_user", [False, True])
async def test_consumer_without_the_token_middleware_answers_as_to_an_anonymous_user(
    hub, alice, agent, has_user
):
    """Another middleware's user has presented no token, on which the socket's lifetime depends."""
    communicator = WebsocketCommunicator(PositionConsumer.as_asgi(), f"/?agentId={agent.pk}")
    if has_user:
        communicator.scope["user"] = alice
    await communicator.connect(PATIENCE_SECONDS)
    assert (await received(communicator))["data"]["code"] == "authentication_failed"
    assert (await received(communicator))["data"]["reason"] == "Authentication failed"
    await communicator.disconnect(timeout=PATIENCE_SECONDS)


@pytest.mark.parametrize("kind", ["daphne", "uvicorn"])
async def test_server_without_the_shutdown_wrapper_streams_and_ends(
    kind, transactional_db, tmp_path, alice, agent, position
):
    application = "tests.realtime.applications:bare"
    with Server(kind, log=tmp_path / "log", application=application) as server:
        async with watching(server, alice, agent) as socket:
            await sync_to_async(services.move_stop_loss)(position_id=position.pk, percentage=Decimal(-5))
            assert (await socket.expect("position_update"))["data"]["seq"] == 2
            await socket.send(type="ping")
            await socket.expect("pong")
        async with client(server, token="nonsense", agent=agent) as socket:
            assert (await socket.closed())[:2] == (1008, "Authentication failed")
        server.stop()
        log = server.log.read_text()
        assert "Traceback" not in log, log
        assert "ASGI's send" not in log, log  # nothing is lost, so nothing is warned of
