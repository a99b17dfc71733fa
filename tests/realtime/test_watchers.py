"""Sockets that watch an agent beside the one that owns it: neither ends the other, and all hear the same."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import Any
from uuid import UUID

import pytest
from asgiref.sync import sync_to_async
from websockets.exceptions import ConnectionClosed

from positions import valkey
from positions.accounts.families import Ending, end
from positions.models import Agent, TokenFamily
from realtime.hub.hub import get_hub
from realtime.hub.presence import Connected, connected
from realtime.monitoring.metrics import counts
from realtime.publish.broadcast import broadcast_prices
from tests.conftest import BONK, quote
from tests.live import Client, Server, StartServer, access_token, client, http
from tests.realtime.test_resume import move, move_silently
from tests.waiting import eventually

in_thread = sync_to_async
REPLACED = (1000, "New connection established")
FULL = (1013, "Try again later", "this agent has as many watchers as it may have: 2")


@pytest.fixture
def other_agent(alice) -> Agent:
    return Agent.objects.create(owner=alice, name="beta")


@pytest.fixture
def servers(transactional_db, shared_server: StartServer) -> list[Server]:
    """Two processes, which give an agent two watchers."""
    return [shared_server(kind, NEXGENT_AGENT_WATCHERS="2") for kind in ("daphne", "uvicorn")]


@asynccontextmanager
async def opened(
    server: Server, user: Any, agent: Any, *, mode: str | None = "watch", read_only: bool = False
) -> AsyncIterator[Client]:
    """Open a socket and pass its first two messages; `initial` is the first."""
    query = {"token": access_token(user, read_only=read_only), "agentId": str(agent.pk)}
    async with client(server, query=query | ({"mode": mode} if mode else {})) as socket:
        socket.initial = (await socket.expect("connected"))["data"]
        await socket.expect("initial_data")
        yield socket


async def is_open(socket: Client) -> None:
    await socket.send(type="ping")
    await socket.until("pong")


async def are_counted(wanted: dict[UUID, Connected]) -> None:
    async def counted() -> bool:
        return await in_thread(connected)(list(wanted)) == wanted

    await eventually(counted, f"{wanted} are connected")


async def refusal(server: Server, user: Any, agent: Any) -> tuple[int | None, str, str]:
    """Return code and reason of a watcher's close, and the error before it."""
    query = {"token": access_token(user), "agentId": str(agent.pk), "mode": "watch"}
    async with client(server, query=query) as socket:
        code, reason, messages = await socket.closed()
        assert messages[-1]["data"]["reconnect"]
        return code, reason, messages[-2]["data"]["message"]


async def test_owner_and_watchers_of_two_processes_hear_the_same_and_end_nobody(
    servers, alice, agent, position
):
    async with (
        opened(servers[0], alice, agent, mode=None) as older,
        opened(servers[0], alice, agent) as here,
        opened(servers[1], alice, agent) as there,
    ):
        assert [each.initial["mode"] for each in (older, here, there)] == ["own", "watch", "watch"]
        async with opened(servers[1], alice, agent, mode="own") as owner:
            assert (await older.closed())[:2] == REPLACED
            await in_thread(move)(position, 5, 6)
            for socket in (owner, here, there):
                updates = [await socket.expect("position_update") for _ in range(2)]
                assert [update["data"]["seq"] for update in updates] == [2, 3]
            await broadcast_prices([quote(BONK, "0.375")])
            for socket in (owner, here, there):
                batch = await socket.expect("price_update_batch")
                assert batch["data"]["updates"][0]["price"] == 0.375
        await is_open(here)
        await is_open(there)


@pytest.mark.parametrize("where", [0, 1], ids=["same process", "another process"])
async def test_read_only_token_watches_also_after_a_refresh_and_ends_no_owner_of_another_agent(
    servers, alice, agent, other_agent, where
):
    async with (
        opened(servers[0], alice, agent, mode=None) as owner,
        opened(servers[where], alice, other_agent, mode=None) as other_owner,
        opened(servers[where], alice, agent, mode=None, read_only=True) as socket,
    ):
        assert socket.initial["mode"] == "watch"
        await socket.send(type="refresh", data={"token": access_token(alice)})
        await socket.until("refreshed")
        await socket.send(type="subscribe", data={"agentId": str(other_agent.pk)})
        await socket.until("initial_data")
        for each in (owner, other_owner, socket):
            await is_open(each)


async def test_owner_whose_new_token_may_only_read_watches_from_its_next_agent_on(
    servers, alice, agent, other_agent
):
    async with (
        opened(servers[0], alice, other_agent, mode=None) as owner,
        opened(servers[1], alice, agent, mode=None) as socket,
    ):
        await socket.send(type="refresh", data={"token": access_token(alice, read_only=True)})
        await socket.until("refreshed")
        await socket.send(type="subscribe", data={"agentId": str(other_agent.pk)})
        await socket.until("initial_data")
        await is_open(owner)

        async def are_counted() -> bool:
            counted = await in_thread(connected)([agent.pk, other_agent.pk])
            return counted[other_agent.pk] == Connected(owners=1, watchers=1)

        await eventually(are_counted, "both are counted")


async def test_unknown_mode_is_an_error_and_ends_no_owner(servers, alice, agent):
    async with (
        opened(servers[0], alice, agent, mode=None) as owner,
        client(
            servers[0], query={"token": access_token(alice), "agentId": str(agent.pk), "mode": "Watch"}
        ) as socket,
    ):
        assert (await socket.expect("connected"))["data"]["mode"] == "watch"
        problem = (await socket.expect("error"))["data"]
        assert problem == {
            "code": "invalid_message",
            "message": "mode must be own or watch, not 'Watch': this socket watches",
        }
        await socket.expect("initial_data")
        await is_open(owner)


async def test_watcher_without_a_place_is_told_and_closed_until_one_is_free(
    servers, alice, agent, other_agent
):
    async with opened(servers[0], alice, agent, mode=None) as owner, opened(servers[0], alice, agent):
        async with opened(servers[1], alice, agent) as leaving:
            for server in servers:
                assert await refusal(server, alice, agent) == FULL
            await leaving.send(type="subscribe", data={"agentId": str(other_agent.pk)})
            await leaving.until("initial_data")

            async def gets_in() -> bool:
                async with client(
                    servers[0],
                    query={"token": access_token(alice), "agentId": str(agent.pk), "mode": "watch"},
                ) as socket:
                    await socket.expect("connected")
                    return bool((await socket.receive())["type"] == "initial_data")

            await eventually(gets_in, "the place is free")
        await is_open(owner)


async def test_one_owner_and_all_watchers_survive_any_race(servers, alice, agent):
    async with AsyncExitStack() as stack:

        async def connect(server: Server, mode: str) -> Client:
            query = {"token": access_token(alice), "agentId": str(agent.pk), "mode": mode}
            return await stack.enter_async_context(client(server, query=query))

        modes = ["own", "watch", "own", "own"]
        sockets = await asyncio.gather(*(connect(server, mode) for mode in modes for server in servers))
        watchers = sockets[2:4]
        left = set(sockets) - set(watchers)

        said: dict[Client, list[str]] = {socket: [] for socket in left}

        async def until_closed(socket: Client) -> None:
            with suppress(ConnectionClosed):
                while True:
                    said[socket].append((await socket.receive())["type"])
            left.discard(socket)

        reading = [asyncio.create_task(until_closed(socket)) for socket in list(left)]

        async def one_is_left() -> bool:
            for task in reading:
                if task.done():
                    task.result()  # raises what was wrong with a message
            return len(left) == 1

        try:
            await eventually(one_is_left, "one owner is left")
        except AssertionError as error:
            still_open = [(said[socket], socket.connection.remote_address) for socket in left]
            logs = "".join(f"\n{server.url}:\n{server.log.read_text()[-4000:]}" for server in servers)
            raise AssertionError(f"{still_open}{logs}") from error
        for task in reading:
            task.cancel()
        await asyncio.gather(*reading, return_exceptions=True)
        for socket in (*left, *watchers):
            await is_open(socket)


async def test_revoked_token_ends_its_watcher_and_a_lost_agent_ends_all(servers, alice, bob, agent, position):
    async with (
        opened(servers[0], alice, agent, mode=None) as owner,
        opened(servers[0], alice, agent) as here,
        opened(servers[1], alice, agent) as there,
    ):
        newest = await TokenFamily.objects.filter(user=alice).alatest("created_at")
        await in_thread(end)(TokenFamily.objects.filter(pk=newest.pk), Ending.REVOKED)
        assert (await there.closed())[:2] == (1008, "Access revoked")
        await is_open(owner)
        await is_open(here)
        agent.owner = bob
        await agent.asave()
        for socket in (owner, here):
            assert (await socket.closed())[:2] == (1008, "Access revoked")


async def test_watchers_are_counted_by_agent_and_in_the_health_check(servers, alice, agent, other_agent):
    async with (
        opened(servers[0], alice, agent, mode=None),
        opened(servers[0], alice, agent),
        opened(servers[1], alice, agent),
        opened(servers[1], alice, other_agent),
    ):
        await are_counted({agent.pk: Connected(1, 2), other_agent.pk: Connected(0, 1)})

        async def all_are_counted() -> bool:
            health = await asyncio.to_thread(http.get, f"{servers[0].url}/health")
            return bool(health.json()["connectionCount"] == 4)

        await eventually(all_are_counted, "4 sockets are counted")


@pytest.fixture
def seldom(settings) -> None:
    """The reconciler runs when a test wants it, and not by itself."""
    settings.NEXGENT = {**settings.NEXGENT, "RECONCILE_SECONDS": 3600.0}


async def test_events_that_all_sockets_of_an_agent_miss_are_read_once_for_them(
    seldom,
    realtime_socket,
    alice,
    agent,
    position,
):
    async with AsyncExitStack() as stack:
        sockets = [
            await stack.enter_async_context(realtime_socket(alice, agent, mode=mode))
            for mode in ("own", "watch", "watch")
        ]
        before = counts.gap_events
        await in_thread(move_silently)(position, 1, 2)
        await get_hub()._reconciler.events_and_access()
        for socket in sockets:
            assert [(await socket.receive())["data"]["seq"] for _ in range(2)] == [2, 3]
        assert counts.gap_events - before == 2


async def test_watcher_whose_place_was_lost_to_another_is_closed_by_reconciliation(
    seldom,
    realtime_socket,
    alice,
    agent,
    settings,
):
    settings.NEXGENT = {**settings.NEXGENT, "AGENT_WATCHERS": 1}
    async with realtime_socket(alice, agent, mode="watch") as first:
        await valkey.async_client().flushdb()
        async with realtime_socket(alice, agent, mode="watch") as second:
            await get_hub()._reconciler.owners()
            code, _, (error, closing) = await first.closed()
            assert error["data"]["message"] == "this agent has as many watchers as it may have: 1"
            assert (code, closing["data"]["code"], closing["data"]["reconnect"]) == (1013, 1013, True)
            await second.send("ping")
            await second.expect("pong")
