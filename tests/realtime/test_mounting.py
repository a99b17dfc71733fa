"""The consumer as other projects may mount it: Channels' own communicator, no shutdown wrapper, no token middleware."""

from __future__ import annotations

import asyncio
from decimal import Decimal

import pytest
from asgiref.sync import sync_to_async

from positions import services
from realtime.hub.hub import Hub, get_hub
from realtime.monitoring.metrics import counts
from realtime.socket.consumers import PositionConsumer
from realtime.testing.sockets import connect
from tests.live import Server, client, watching


def sockets(hub: Hub) -> float:
    hub.reporter.snapshot()
    return counts.gauges["nexgent_sockets"]


async def test_communicator_sees_the_close_of_a_refused_socket(hub, alice, agent):
    async with connect(token="nonsense", agentId=agent.pk) as socket:
        code, reason, messages = await socket.closed()
    assert [message["type"] for message in messages] == ["error", "closing"]
    assert (code, reason) == (1008, "Authentication failed")


async def test_connection_that_its_server_cancels_is_forgotten(realtime_socket, alice, agent):
    """As daphne cancels a consumer that has not ended 10 s after its client, which a slow query may cause."""
    async with realtime_socket(alice, agent) as socket:
        serving = get_hub()
        assert (sockets(serving), list(serving.sockets.agents())) == (1, [str(agent.pk)])
        socket.communicator.future.cancel()
        await asyncio.wait({socket.communicator.future})
        assert (sockets(serving), list(serving.sockets.agents())) == (0, [])


@pytest.mark.parametrize("has_user", [False, True])
async def test_consumer_without_the_token_middleware_answers_as_to_an_anonymous_user(
    hub, alice, agent, has_user
):
    """Another middleware's user has presented no token, on which the socket's lifetime depends."""
    consumer = PositionConsumer.as_asgi()

    async def application(scope, receive, send):
        await consumer({**scope, "user": alice} if has_user else scope, receive, send)

    async with connect(application=application, agentId=agent.pk) as socket:
        assert (await socket.expect("error"))["data"]["code"] == "authentication_failed"
        assert (await socket.expect("closing"))["data"]["reason"] == "Authentication failed"


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
