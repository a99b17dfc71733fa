"""A client that does not read costs little, delays no other, and loses nothing: on daphne and on uvicorn."""

from __future__ import annotations

import asyncio
import sys
from contextlib import AsyncExitStack
from typing import Any

import pytest

from realtime.publish.broadcast import broadcast_prices
from tests.live import Client, Server, access_token, client, watching
from tests.realtime.conftest import closed_connections  # noqa: F401  a fixture of every test
from tests.reliability.fleet import (
    addresses,
    change,
    connection_count,
    fleet,
    only,
    open_sockets,
    prices,
    resident_bytes,
)
from tests.reliability.raw_client import CLOSE, RawClient
from tests.waiting import eventually, until

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks at server processes through /proc")

KIB = 1024
TOKENS = 50  # of an agent: a batch of their prices has 6 kB
FULL = 20
"""Batches, 125 kB in all: more than there is room for where nobody reads. Of them, 14 kB waited in the kernel."""
MAX_UNSENT = 30


def servers(tmp_path_factory, kind, **environment):
    with Server(kind, log=tmp_path_factory.mktemp(kind) / "log", **environment) as server:
        yield server
        assert "Traceback" not in server.log.read_text(), server.log.read_text()
        server.stop()


@pytest.fixture(scope="module", params=["daphne", "uvicorn"])
def patient_process(request, django_db_setup, tmp_path_factory):
    """A server that leaves clients all the time they want to take their close."""
    environment = {"NEXGENT_MAX_UNSENT_EVENTS": str(MAX_UNSENT), "NEXGENT_CLOSE_SECONDS": "300"}
    yield from servers(tmp_path_factory, request.param, **environment)


@pytest.fixture(scope="module", params=["daphne", "uvicorn"])
def curt_process(request, django_db_setup, tmp_path_factory):
    """A server that soon cuts off who does not take its close, and has little room."""
    environment = {"NEXGENT_CLOSE_SECONDS": "0.5", "NEXGENT_MAX_SOCKETS": "2"}
    yield from servers(tmp_path_factory, request.param, NEXGENT_MAX_UNSENT_EVENTS="10", **environment)


@pytest.fixture
def patient_server(patient_process: Server, transactional_db) -> Server:
    return patient_process


@pytest.fixture
def curt_server(curt_process: Server, transactional_db) -> Server:
    until(
        lambda: open_sockets(curt_process) == 0,
        "the clients of the test before are gone: there is room for two",
    )
    return curt_process


@pytest.fixture
def slow_client():
    """Connect clients that have read up to their snapshot, or nothing; each is closed with the test."""
    opened = []

    async def connect(server, user, agent, *, until: str | None = "initial_data") -> RawClient:
        socket = await RawClient.connect(server, access_token(user), agent)
        opened.append(socket)
        if until is not None:
            await socket.until(until)
        return socket

    yield connect
    for socket in opened:
        socket.abandon()


async def flood(reader: Client, tokens, *, first: int, last: int) -> int:
    """Send batches of prices, each when `reader` has the one before; return the bytes that one client was sent."""
    size = 0
    for number in range(first, last + 1):
        await broadcast_prices(prices(tokens, number))
        batch = await reader.until("price_update_batch")
        assert {int(update["price"]) for update in batch["data"]["updates"]} == {number}
        size += len(reader.raw)
    return size


async def test_clients_that_do_not_read_cost_bounded_memory_and_get_the_newest_when_they_do(
    patient_server, slow_client, alice
):
    count, batches, size = 6, 240, 2 * TOKENS
    tokens = addresses(size)
    agent, *others = await fleet(alice, size=count + 1, tokens=tokens)
    async with watching(patient_server, alice, agent, compression=None) as fast:
        slow = [await slow_client(patient_server, alice, other) for other in others]
        await flood(fast, tokens, first=1, last=40)  # nobody takes more, and the process has warmed up
        before = resident_bytes(patient_server)
        sent, seq = 0, size
        for number in range(41, batches, 20):
            sent += await flood(fast, tokens, first=number, last=number + 19)
            seq += 1
            for other in (agent, others[0]):
                await change(other, number)
            assert (await fast.until("position_update"))["data"]["seq"] == seq
        growth = resident_bytes(patient_server) - before
        # Each may hold the newest price of every token and the events; and the process, some room to breathe.
        bound = count * 3 * sent // 100 + 2 * KIB * KIB
        print(f"grew by {growth:,} bytes; allowed {bound:,}; unbounded {count * sent:,}")  # noqa: T201
        assert bound < count * sent / 4
        assert growth < bound

        for socket in slow:  # now they read
            received: list[dict[str, Any]] = []
            while not received or int(received[-1]["updates"][0]["price"]) < batches:
                received.append((await socket.until("price_update_batch"))["data"])
            assert len(received[-1]["updates"]) == size
            assert len(received) <= batches / 12  # what had left for the client, and the newest


async def test_slow_client_that_reads_again_has_its_events_in_order_before_the_newest_prices(
    patient_server, slow_client, alice
):
    tokens = addresses(TOKENS)
    agent, other = await fleet(alice, size=2, tokens=tokens)
    async with watching(patient_server, alice, other) as fast:
        slow = await slow_client(patient_server, alice, agent)
        await flood(fast, tokens, first=1, last=FULL)
        for number in range(20):
            await change(agent, number)
        await flood(fast, tokens, first=FULL + 1, last=FULL + 5)
        messages: list[dict[str, Any]] = []
        while not messages or int(messages[-1]["data"].get("updates", [{"price": 0}])[0]["price"]) < FULL + 5:
            messages.append(await slow.message())
    assert [event["seq"] for event in only(messages, "position_update")] == list(
        range(TOKENS + 1, TOKENS + 21)
    )


async def test_client_too_slow_for_its_events_is_closed_with_1013_and_resumes_with_every_one(
    patient_server, slow_client, alice
):
    tokens = addresses(TOKENS)
    agent, other = await fleet(alice, size=2, tokens=tokens)
    async with watching(patient_server, alice, other) as fast:
        slow = await slow_client(patient_server, alice, agent)
        await flood(fast, tokens, first=1, last=FULL)
        for number in range(MAX_UNSENT + 2):
            await change(agent, number)

        async def is_closed() -> bool:
            return await connection_count(patient_server) == 1

        await eventually(is_closed, "the slow client is closed")
        messages, close = await slow.rest()
        assert close == (1013, "Try again later")
        closing = messages[-1]["data"]
        assert closing.pop("retryAfter") > 0
        assert closing == {"code": 1013, "reason": "Try again later", "reconnect": True}
        seqs = [event["seq"] for event in only(messages, "position_update")]
        await change(agent)
        last_seq = seqs[-1] if seqs else TOKENS
        query = {"token": access_token(alice), "agentId": str(agent.pk), "lastSeq": str(last_seq)}
        async with client(patient_server, query=query) as socket:
            assert (await socket.until("subscribed"))["data"]["recovered"] is True
            while not seqs or seqs[-1] < TOKENS + MAX_UNSENT + 3:
                seqs.append((await socket.expect("position_update"))["data"]["seq"])
    assert seqs == list(range(TOKENS + 1, TOKENS + MAX_UNSENT + 4))


async def test_client_that_never_reads_again_is_cut_off_and_leaves_nothing_behind(
    curt_server, slow_client, alice
):
    tokens = addresses(TOKENS)
    agent, other, newcomer = await fleet(alice, size=3, tokens=tokens)
    async with watching(curt_server, alice, other) as fast:
        await slow_client(curt_server, alice, agent)

        async def are_two() -> bool:
            return open_sockets(curt_server) == 2

        await eventually(are_two, "the two are all that is connected")  # a health check may still be ending
        await flood(fast, tokens, first=1, last=FULL)
        for number in range(12):
            await change(agent, number)
        await _is_alone(curt_server)
        await flood(fast, tokens, first=FULL + 1, last=FULL + 2)
        async with watching(curt_server, alice, newcomer):  # there is room for two
            pass


async def test_client_that_does_not_read_its_close_is_cut_off(curt_server, slow_client, alice):
    """Its snapshot fits into the server's buffer, so that nothing waits; then a newer socket takes its place."""
    (agent,) = await fleet(alice, size=1, tokens=addresses(50))
    await slow_client(curt_server, alice, agent, until=None)

    async def joined() -> bool:
        return await connection_count(curt_server) == 1

    await eventually(joined, "it is the agent's socket")
    async with watching(curt_server, alice, agent):
        await _is_alone(curt_server)


@pytest.mark.parametrize("reads", [True, False])
async def test_client_that_closes_with_a_full_buffer_is_released(curt_server, slow_client, alice, reads):
    tokens = addresses(TOKENS)
    agent, other = await fleet(alice, size=2, tokens=tokens)
    async with watching(curt_server, alice, other) as fast:
        slow = await slow_client(curt_server, alice, agent)
        await flood(fast, tokens, first=1, last=FULL)
        await slow.send(CLOSE, (1000).to_bytes(2))
        if reads:
            _, close = await slow.rest()
            assert close is None or close[0] == 1000
        await _is_alone(curt_server)


async def _is_alone(server: Server) -> None:
    """Wait until one socket is left, by every account."""

    async def alone() -> bool:
        return open_sockets(server) == 1 and await connection_count(server) == 1

    await eventually(alone, "one socket is left")


async def test_clients_that_vanish_with_a_full_buffer_leave_nothing_behind(curt_server, slow_client, alice):
    tokens = addresses(TOKENS)
    agent, other = await fleet(alice, size=2, tokens=tokens)
    async with watching(curt_server, alice, other) as fast:
        slow = await slow_client(curt_server, alice, agent)
        await flood(fast, tokens, first=1, last=FULL)
        slow.abandon()
        await _is_alone(curt_server)
        await asyncio.gather(change(agent), change(other))
        await fast.until("position_update")


async def test_clients_that_vanish_while_they_are_written_to_are_no_faults_in_the_log(patient_server, alice):
    tokens = addresses(20)
    agent, *others = await fleet(alice, size=20, tokens=tokens)
    logged = len(patient_server.log.read_text())
    async with watching(patient_server, alice, agent) as reader, AsyncExitStack() as stack:
        sockets = [
            await stack.enter_async_context(watching(patient_server, alice, other)) for other in others
        ]
        for number, socket in enumerate(sockets, start=1):
            await broadcast_prices(prices(tokens, number))
            socket.connection.transport.abort()
            await reader.until("price_update_batch")

        async def gone() -> bool:
            return await connection_count(patient_server) == 1

        await eventually(gone, "the server has noticed them all")
    lines = patient_server.log.read_text()[logged:]
    assert "could not be sent" not in lines, lines
    assert "Traceback" not in lines, lines
