"""One user cannot take what the others need: connects, sockets, work, memory."""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

import httpx
import pytest

from realtime.conf import conf
from realtime.hub.ownership import sockets_of_users
from tests.live import NO_TLS, PATIENCE_SECONDS, Server, access_token, client, watching
from tests.realtime.conftest import closed_connections  # noqa: F401  a fixture of every test
from tests.reliability.fleet import addresses, change, connection_count, fleet, resident_bytes
from tests.reliability.locks import AGENTS, locked, until_waiting
from tests.reliability.raw_client import TEXT, RawClient
from tests.waiting import eventually


async def refusal(server: Server, user: Any, agent: Any, **query: str) -> str:
    """Connect, and be refused with 1013; return what the server gives as the reason."""
    names = {"token": access_token(user), "agentId": str(agent.pk), **query}
    async with client(server, query=names) as socket:
        code, reason, messages = await socket.closed()
    assert (code, reason) == (1013, "Try again later")
    closing = messages[-1]["data"]
    assert closing["reconnect"]
    assert closing["retryAfter"] > 0
    error = messages[-2]["data"]
    assert error["code"] == "try_again_later"
    return str(error["message"])


async def test_user_at_the_limit_of_sockets_gets_no_further_one_and_others_do(
    shared_server, transactional_db, alice, bob
):
    server = shared_server("uvicorn", NEXGENT_USER_SOCKETS="2")
    first, second, third = await fleet(alice, size=3, tokens=[])
    (others,) = await fleet(bob, size=1, tokens=[])
    async with watching(server, alice, first):
        async with watching(server, alice, second) as socket:
            for agent in (third, second):  # a socket takes its place with it
                await socket.send(type="subscribe", agentId=str(agent.pk))
                await socket.expect("subscribed")
                await socket.expect("initial_data")
            assert await refusal(server, alice, third) == "too many sockets: at most 2 for each user"
            async with watching(server, bob, others):
                pass
            async with watching(server, alice, first):  # replaces the one of the same agent
                pass

        async def has_left() -> bool:
            return await connection_count(server) == 0 and not sockets_of_users([alice.pk])

        await eventually(has_left, "all have left")
        async with watching(server, alice, third), watching(server, alice, second):
            pass


async def test_storm_of_one_users_connects_turns_nobody_else_away(
    shared_server, transactional_db, alice, bob
):
    """The process accepts four more; alice has used up hers, and what she is refused takes none of them."""
    server = shared_server(
        "daphne",
        NEXGENT_CONNECT_BURST="6",
        NEXGENT_CONNECTS_PER_SECOND="0.001",
        NEXGENT_USER_CONNECT_BURST="2",
        NEXGENT_USER_CONNECTS_PER_SECOND="0.001",
    )
    (agent,) = await fleet(alice, size=1, tokens=[])
    (others,) = await fleet(bob, size=1, tokens=[])
    for _ in range(2):
        async with watching(server, alice, agent):
            pass
    for _ in range(8):
        message = await refusal(server, alice, agent)
        assert message == "too many connects: at most 0.001 a second for each user"
    async with client(server, token="nonsense", agent=others) as socket:
        assert (await socket.closed())[:2] == (1008, "Authentication failed")
    async with watching(server, bob, others):
        pass


MIB = 1024 * 1024
POSITIONS = 600
"""More events than are replayed: each request is answered with a snapshot, of 0.6 MB."""
HARDLY_ANY = {"NEXGENT_USER_ROWS_PER_SECOND": "1", "NEXGENT_USER_ROWS_BURST": "250"}


@pytest.mark.skipif(sys.platform != "linux", reason="looks at server processes through /proc")
@pytest.mark.parametrize("kind", ["daphne", "uvicorn"])
async def test_client_that_asks_for_snapshots_without_reading_costs_no_more_than_one(
    kind, transactional_db, tmp_path, alice, bob
):
    """And when it reads, everything that it has sent meanwhile is answered."""
    asked, pings = 10, 300
    (agent,) = await fleet(alice, size=1, tokens=addresses(POSITIONS))
    (others,) = await fleet(bob, size=1, tokens=[])
    with Server(kind, log=tmp_path / "log", NEXGENT_INBOUND_BURST="1000") as server:
        socket = await RawClient.connect(server, access_token(alice), agent)
        request = json.dumps({"type": "subscribe", "agentId": str(agent.pk), "lastSeq": 0}).encode()
        for _ in range(2):  # the process has warmed up
            size = len(json.dumps(await socket.until("initial_data")))
            await socket.send(TEXT, request)
        before = resident_bytes(server, at_most=True)
        for _ in range(asked - 1):
            await socket.send(TEXT, request)
        for _ in range(pings):
            await socket.send(TEXT, b'{"type":"ping"}')
        async with watching(server, bob, others):
            pass
        seqs = [(await socket.until("initial_data"))["data"]["seq"] for _ in range(asked)]
        assert seqs == [POSITIONS] * asked  # each is answered, once there is room
        for _ in range(pings):
            await socket.until("pong")
        growth = resident_bytes(server, at_most=True) - before
        print(f"grew by {growth / MIB:.1f} MiB; a snapshot has {size / MIB:.1f}")  # noqa: T201
        assert growth < 4 * size < asked * size / 2
        socket.abandon()
        server.stop()


@pytest.mark.parametrize("kind", ["daphne", "uvicorn"])
async def test_user_whose_clients_do_not_read_gets_no_further_snapshot_and_others_do(
    shared_server, transactional_db, alice, bob, kind
):
    server = shared_server(kind, NEXGENT_MAX_USER_UNSENT_BYTES=str(MIB // 8))
    (large,), (small,) = [await fleet(alice, size=1, tokens=addresses(count)) for count in (400, 1)]
    (others,) = await fleet(bob, size=1, tokens=addresses(1))
    socket = await RawClient.connect(server, access_token(alice), large)
    await socket.until("connected")
    await socket.something()
    assert await refusal(server, alice, small) == "too much is waiting for this user's clients to read it"
    async with watching(server, bob, others):
        pass
    await socket.until("initial_data")
    async with watching(server, alice, small):
        pass
    socket.abandon()


async def test_user_who_asks_for_too_much_work_is_closed_with_1008_and_others_are_served(
    shared_server, transactional_db, alice, bob
):
    """Every socket of hers counts: 60 positions each time, and what a connect costs besides."""
    server = shared_server("uvicorn", **HARDLY_ANY)
    agents = await fleet(alice, size=3, tokens=addresses(60))
    (others,) = await fleet(bob, size=1, tokens=addresses(60))
    async with watching(server, alice, agents[0]) as first:
        async with watching(server, alice, agents[1]) as second:
            await first.send(type="subscribe", agentId=str(agents[0].pk), lastSeq=60)
            await first.until("subscribed")
            await second.send(type="ping")
            code, reason, messages = await second.closed()
        assert (code, reason) == (1008, "Rate limit exceeded")
        assert messages[-2]["data"]["code"] == "rate_limited"
        assert messages[-1]["data"]["reconnect"] is True
        async with client(server, token=access_token(alice), agent=agents[2]) as third:
            assert (await third.closed())[:2] == (1008, "Rate limit exceeded")
        async with watching(server, bob, others) as socket:
            assert len(socket.initial["positions"]) == 60
            await socket.send(type="ping")
            await socket.expect("pong")
        await change(agents[0])  # what she has stays as it was
        assert (await first.until("position_update"))["data"]["seq"] == 61


async def test_user_who_asks_for_more_work_than_there_is_waits_for_it(shared_server, transactional_db, alice):
    server = shared_server("daphne", NEXGENT_USER_ROWS_PER_SECOND="500", NEXGENT_USER_ROWS_BURST="1")
    (agent,) = await fleet(alice, size=1, tokens=addresses(60))
    async with watching(server, alice, agent) as socket:
        for _ in range(5):
            await socket.send(type="subscribe", agentId=str(agent.pk), lastSeq=10_000)
            assert len((await socket.until("initial_data"))["data"]["positions"]) == 60


@pytest.mark.postgresql
async def test_requests_of_one_user_that_hang_leave_connections_to_the_database_for_others(
    shared_server, transactional_db, alice, bob
):
    server = shared_server("uvicorn")
    hanging, others = ({"Authorization": f"Bearer {access_token(user)}"} for user in (alice, bob))
    async with httpx.AsyncClient(
        verify=NO_TLS, base_url=server.url, timeout=PATIENCE_SECONDS, limits=httpx.Limits()
    ) as http:
        with locked(AGENTS):
            sent = [asyncio.create_task(http.get("/api/agents/", headers=hanging)) for _ in range(40)]
            await until_waiting(conf.REQUESTS_AT_ONCE, AGENTS)
            assert (await http.get("/api/tokens/", headers=others)).status_code == 200
        assert {answer.status_code for answer in await asyncio.gather(*sent)} == {200}
