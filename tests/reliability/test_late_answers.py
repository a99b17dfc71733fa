"""A late answer from the database must not be applied to a socket that has changed in the meantime."""

from __future__ import annotations

import asyncio
import json
import time
from decimal import Decimal
from typing import Any

import psycopg
import pytest
from asgiref.sync import sync_to_async
from channels.layers import get_channel_layer
from rest_framework_simplejwt.tokens import AccessToken

from positions import services, valkey
from positions.models import Agent, Position, PositionEvent, Wallet
from realtime.hub.outbox import Outbox
from realtime.hub.ownership import owner_key
from realtime.hub.presence import connected
from realtime.hub.reconciler import Reconciler
from realtime.hub.sockets import Sockets
from realtime.hub.token_index import TokenIndex
from realtime.protocol.envelopes import access_message, event_message
from realtime.protocol.messages import agent_group
from tests.conftest import WIF
from tests.live import Client, Server, StartServer, access_token, client, database_url, watching
from tests.realtime.conftest import closed_connections  # noqa: F401  a fixture of every test
from tests.realtime.test_resume import move, move_silently
from tests.reliability.locks import (
    AGENTS,
    EVENTS,
    FAMILIES,
    USERS,
    answers,
    cancel_waiting,
    locked,
    until_waiting,
)
from tests.reliability.raw_client import TEXT, RawClient
from tests.waiting import eventually

pytestmark = pytest.mark.postgresql
in_thread = sync_to_async


@pytest.fixture
async def beta(alice) -> Agent:
    """Another agent of alice's, with WIF."""
    agent = await Agent.objects.acreate(owner=alice, name="beta")
    wallet = await Wallet.objects.acreate(agent=agent, address="Beta1")
    await in_thread(services.open_position)(
        wallet=wallet, token_address=WIF, token_symbol="WIF", tokens=Decimal(5), spent_sol=Decimal(1)
    )
    return agent


@pytest.fixture(params=["daphne", "uvicorn"])
def patient_server(request, transactional_db, shared_server: StartServer) -> Server:
    """A server whose reconciler does nothing while a test lasts."""
    return shared_server(request.param, NEXGENT_RECONCILE_SECONDS="600", NEXGENT_CLOSE_SECONDS="1")


async def send(agent: Agent, message: dict[str, Any]) -> None:
    await get_channel_layer().group_send(agent_group(agent.pk), message)


async def is_streaming(socket: Client, agent: Agent, *, seq: int) -> None:
    """Return once the socket has the agent's event `seq`, which this makes, and nothing else before it."""
    position = await Position.objects.aget(agent=agent)
    await in_thread(move)(position, 50)
    update = (await socket.expect("position_update"))["data"]
    assert (update["seq"], update["position"]["agentId"]) == (seq, str(agent.pk))


END = "UPDATE positions_tokenfamily SET ended_at = now(), ended_because = 'logged_out' WHERE id = %s"


def end(database: psycopg.Connection, token: str) -> None:
    """End a token as a log-out does, on the connection that holds a lock; no message is sent."""
    database.execute(END, [AccessToken(token)["sid"]])  # type: ignore[arg-type]


async def change_token(socket: Client, token: str) -> None:
    await socket.send(type="refresh", data={"token": token})
    await socket.expect("refreshed")


async def test_lost_access_to_an_agent_leaves_a_socket_alone_that_has_moved_on(
    patient_server, alice, bob, agent, position, beta
):
    async with client(patient_server, token=access_token(alice), agent=agent) as socket:
        await socket.until("initial_data")
        with locked(FAMILIES):
            await Agent.objects.filter(pk=agent.pk).aupdate(owner=bob)
            await send(agent, access_message(agent.pk))
            await until_waiting(1)
            await socket.send(type="subscribe", data={"agentId": str(beta.pk)})

            async def moved() -> bool:
                return (await asyncio.to_thread(connected, [beta.pk]))[beta.pk].owners == 1

            await eventually(moved, "the socket has moved")
        await socket.expect("subscribed")
        await socket.expect("initial_data")
        await is_streaming(socket, beta, seq=2)


async def test_log_out_ends_no_socket_that_has_got_a_token_of_another_session(
    patient_server, alice, agent, position
):
    token, newer = access_token(alice), access_token(alice)
    async with client(patient_server, token=token, agent=agent) as socket:
        await socket.until("initial_data")
        with locked(AGENTS) as database:
            end(database, token)
            await send(agent, access_message(agent.pk))
            await until_waiting(1, AGENTS)
            await change_token(socket, newer)
        await is_streaming(socket, agent, seq=2)


async def test_log_out_during_a_move_ends_the_socket_where_it_has_come_to(
    patient_server, alice, agent, position, beta
):
    """The message finds it at neither agent; what is read of the new one says so."""
    token = access_token(alice)
    async with client(patient_server, token=token, agent=agent) as socket:
        await socket.until("initial_data")
        with locked(AGENTS):
            await socket.send(type="subscribe", data={"agentId": str(beta.pk)})
            await until_waiting(1, AGENTS)
            async with await psycopg.AsyncConnection.connect(database_url()) as database:
                await database.execute(END, [AccessToken(token)["sid"]])  # type: ignore[arg-type]
        code, reason, messages = await socket.closed()
    assert (code, reason) in {(1008, "Agent not found"), (1008, "Access revoked")}
    assert "initial_data" not in {message["type"] for message in messages}


async def test_socket_that_was_closed_while_it_moved_takes_nothing_from_the_one_that_is_there(
    patient_server, alice, agent, position, beta
):
    """Its client does not answer the close, so that the connection is there still when the database answers."""
    # In time for a slow machine to connect and to move.
    log, token = patient_server.log, access_token(alice, exp=int(time.time()) + 7)
    async with watching(patient_server, alice, beta) as there:
        owner = await valkey.async_client().get(owner_key(str(beta.pk)))
        socket = await RawClient.connect(patient_server, token, agent)
        await socket.until("initial_data")
        ended_before = log.read_text().count("socket closed")
        with locked(AGENTS):
            await socket.send(TEXT, json.dumps({"type": "subscribe", "agentId": str(beta.pk)}).encode())
            assert (await socket.until("closing"))["data"]["reason"] == "Token expired"

        async def has_ended() -> bool:
            return bool(log.read_text().count("socket closed") > ended_before)

        await eventually(has_ended, "the server has cut it off")
        socket.abandon()
        assert await valkey.async_client().get(owner_key(str(beta.pk))) == owner
        await is_streaming(there, beta, seq=2)


async def test_stream_that_was_to_start_over_and_has_moved_begins_once(
    patient_server, alice, agent, position, beta
):
    async with watching(patient_server, alice, agent) as socket:
        await in_thread(move_silently)(position, 1, 2)
        ahead = event_message(await PositionEvent.objects.aget(agent=agent, seq=3))
        await PositionEvent.objects.filter(agent=agent, seq=2).adelete()
        with locked(AGENTS):
            await socket.send(type="subscribe", data={"agentId": str(beta.pk)})
            await until_waiting(1, AGENTS)
            await send(agent, ahead)  # a gap that nothing fills
            for _ in range(5):
                await answers(patient_server)
        await socket.expect("subscribed")
        await socket.expect("initial_data")
        await is_streaming(socket, beta, seq=2)


async def test_stream_that_starts_over_goes_on_after_a_token_of_another_session_came_meanwhile(
    patient_server, alice, agent, position
):
    """What was read is of the tokens that have ended since."""
    token, newer = access_token(alice), access_token(alice)
    async with client(patient_server, token=token, agent=agent) as socket:
        await socket.until("initial_data")
        await in_thread(move_silently)(position, 1, 2)
        ahead = event_message(await PositionEvent.objects.aget(agent=agent, seq=3))
        await PositionEvent.objects.filter(agent=agent, seq=2).adelete()
        with locked(AGENTS) as database:
            await send(agent, ahead)  # a gap that nothing fills
            await until_waiting(1, AGENTS)
            end(database, token)
            await change_token(socket, newer)
        assert (await socket.expect("initial_data"))["data"]["seq"] == 3


async def test_gap_of_the_new_agent_is_filled_while_that_of_the_old_one_is_still_read(
    patient_server, alice, agent, position, beta
):
    async with watching(patient_server, alice, agent) as socket:
        await in_thread(move_silently)(position, 1, 2)
        ahead = event_message(await PositionEvent.objects.aget(agent=agent, seq=3))
        of_beta = await PositionEvent.objects.aget(agent=beta)
        with locked(EVENTS) as database:
            await send(agent, ahead)
            await until_waiting(1, EVENTS)
            await socket.send(type="subscribe", data={"agentId": str(beta.pk)})
            await socket.expect("subscribed")
            assert (await socket.expect("initial_data"))["data"]["seq"] == 1
            columns = "agent_id, event_type, position_id, position, created_at"
            database.execute(
                f"INSERT INTO {EVENTS} (id, seq, {columns}) "  # noqa: S608
                f"SELECT gen_random_uuid(), generate_series(2, 3), {columns} FROM {EVENTS} WHERE agent_id = %s",
                [beta.pk],
            )
            await send(beta, {**event_message(of_beta), "seq": 3})
            for _ in range(3):
                await answers(patient_server)
        assert [(await socket.expect("position_update"))["data"]["seq"] for _ in range(2)] == [2, 3]


async def test_state_that_was_read_for_one_socket_is_not_applied_to_the_next(
    transactional_db, alice, bob, agent
):
    sockets = Sockets()
    sockets.add(_outbox(alice, agent))
    revoked: list[Outbox] = []
    nothing: Any = None  # it uses none of them for this
    reconciler = Reconciler(
        sockets, events=nothing, fan_out=nothing, ownership=nothing, epochs=nothing, revoke=revoked.append
    )
    with locked(USERS):
        looking = asyncio.create_task(reconciler.events_and_access())
        await until_waiting(1)
        sockets.add(_outbox(bob, agent))
    await looking
    assert revoked == []
    await reconciler.events_and_access()
    assert revoked == sockets.each()


@pytest.mark.parametrize("way", ["subscribe", "start over", "refresh", "access check"])
async def test_database_that_fails_closes_with_1013_whatever_the_stream_was_doing(
    patient_server, alice, agent, position, beta, way
):
    async with watching(patient_server, alice, agent) as socket:
        await in_thread(move_silently)(position, 1, 2)
        ahead = event_message(await PositionEvent.objects.aget(agent=agent, seq=3))
        await PositionEvent.objects.filter(agent=agent, seq=2).adelete()
        token = access_token(alice)
        with locked(USERS):
            if way == "subscribe":
                await socket.send(type="subscribe", data={"agentId": str(beta.pk)})
            elif way == "start over":
                await send(agent, ahead)
            elif way == "refresh":
                await socket.send(type="refresh", data={"token": token})
            else:
                await send(agent, access_message(agent.pk))
            await until_waiting(1)
            await asyncio.to_thread(cancel_waiting)
            code, reason, messages = await socket.closed()
    assert (code, reason) == (1013, "Try again later")
    assert messages[0] == {
        "type": "error",
        "data": {"code": "try_again_later", "message": "positions are unavailable right now"},
    }
    assert "Traceback" not in patient_server.log.read_text()


def _outbox(user: Any, agent: Agent) -> Outbox:
    async def nowhere(message: dict[str, Any]) -> None: ...

    return Outbox(
        nowhere,
        lambda text: False,
        user_id=user.pk,
        agent_id=str(agent.pk),
        index=TokenIndex[Outbox](),
        max_unsent=5,
        retry_after_seconds=1.0,
        on_gap=lambda outbox: None,
        on_lost=lambda outbox: None,
        on_close=lambda outbox: None,
        on_new_token=lambda outbox, tokens: None,
    )
