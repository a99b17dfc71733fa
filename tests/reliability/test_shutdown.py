"""Graceful shutdown under load: every socket is closed with a reason, and nothing is left behind."""

from __future__ import annotations

import asyncio
import json
import random
import signal
import time
from contextlib import ExitStack

import httpx
import pytest
from asgiref.sync import sync_to_async
from websockets.exceptions import ConnectionClosed

from positions import valkey
from realtime.conf import conf
from realtime.hub import presence
from realtime.hub.ownership import owner_key
from realtime.publish.broadcast import broadcast_prices
from tests.live import NO_TLS, PATIENCE_SECONDS, Server, access_token, client, watching
from tests.realtime.conftest import closed_connections  # noqa: F401  a fixture of every test
from tests.reliability.fleet import addresses, change, fleet, prices
from tests.reliability.locks import POSITIONS, answers, locked, until_waiting
from tests.reliability.raw_client import RawClient
from tests.waiting import eventually

SOCKETS = 100
"""Closed over a second, while it goes on: each must end in order, and some dozens are on their way at any moment."""
PATIENT = "tests.realtime.applications:patient"
PER_SECOND = 10
"""Rounds of prices, and events: fifteen times as many rounds as the price feed sends."""


@sync_to_async
def left_behind() -> tuple[int, int]:
    """Return how many sockets count as open, and how many claims on agents there are."""
    return presence.connection_count(), len(list(valkey.client().scan_iter(owner_key("*"), count=1000)))


async def stopped(server: Server) -> int:
    return await asyncio.get_running_loop().run_in_executor(None, server.stop)


@pytest.mark.parametrize("kind", ["daphne", "uvicorn"])
async def test_server_that_shuts_down_under_load_closes_all_its_sockets(
    kind, transactional_db, tmp_path, alice
):
    tokens = addresses(3)
    agents = await fleet(alice, size=SOCKETS, tokens=tokens)
    token = access_token(alice)
    arrived, batch_came, done = asyncio.Semaphore(0), asyncio.Event(), asyncio.Event()
    batches = events = 0

    async def watch(agent) -> tuple[int | None, str, dict]:
        """Read to the end; return the close and the message before it."""
        nonlocal batches, events
        async with client(server, token=token, agent=agent, compression=None) as socket:
            await socket.until("initial_data")
            arrived.release()
            text = ""
            while True:
                try:
                    text = str(await socket.connection.recv())
                except ConnectionClosed:
                    return socket.connection.close_code, socket.connection.close_reason, json.loads(text)
                batches += '"price_update_batch"' in text[:40]
                events += '"position_update"' in text[:40]
                batch_came.set()

    async def flood() -> None:
        number = 0
        while not done.is_set():
            number += 1
            await broadcast_prices(prices(tokens, number))
            await asyncio.sleep(1 / PER_SECOND)

    async def write() -> None:
        number = 0
        while not done.is_set():
            number += 1
            await change(random.choice(agents), number)  # noqa: S311
            await asyncio.sleep(1 / PER_SECOND)

    async def all_count() -> bool:
        return await left_behind() == (SOCKETS, SOCKETS)

    with Server(kind, log=tmp_path / "log", application=PATIENT) as server:
        watchers = [asyncio.ensure_future(watch(agent)) for agent in agents]
        async with asyncio.timeout(2 * PATIENCE_SECONDS):
            for _ in agents:
                await arrived.acquire()
        await eventually(all_count, "all sockets count as open")
        load = [asyncio.ensure_future(each()) for each in (flood, write)]
        async with asyncio.timeout(2 * PATIENCE_SECONDS):
            while batches < 5 * SOCKETS or events < 5:
                batch_came.clear()
                await batch_came.wait()
        began = time.monotonic()
        exit_code = await stopped(server)
        took = time.monotonic() - began
        endings = await asyncio.gather(*watchers)
        done.set()
        await asyncio.gather(*load)
    print(f"{kind}: {SOCKETS} sockets, {batches} batches, {events} events; ended in {took:.1f} s")  # noqa: T201
    assert {(code, reason) for code, reason, _ in endings} == {(1000, "Server shutdown")}
    assert {message["type"] for *_, message in endings} == {"closing"}
    waits = {message["data"]["retryAfter"] for *_, message in endings}
    assert len(waits) > SOCKETS / 10  # spread
    # Who is closed first does not come back before the process is gone: 100 sockets are closed over a second.
    assert min(waits) > 1_000 + 1_000 * conf.RETRY_AFTER_SECONDS / 2 - 1
    assert await left_behind() == (0, 0)
    # uvicorn raises the signal again when it has ended.
    assert exit_code == (0 if kind == "daphne" else -15), server.log.read_text()
    assert "Traceback" not in server.log.read_text(), server.log.read_text()


@pytest.mark.parametrize("kind", ["daphne", "uvicorn"])
async def test_server_that_ends_does_not_wait_for_a_client_that_does_not_read(
    kind, transactional_db, tmp_path, alice
):
    """Meanwhile it is not ready, and turns newcomers away with a time to come back."""
    tokens = addresses(50)
    agent, other, newcomer = await fleet(alice, size=3, tokens=tokens)
    with Server(kind, log=tmp_path / "log", application=PATIENT) as server, ExitStack() as stack:
        slow = await RawClient.connect(server, access_token(alice), agent)
        stack.callback(slow.abandon)
        await slow.until("initial_data")
        async with (
            watching(server, alice, other) as fast,
            httpx.AsyncClient(verify=NO_TLS, timeout=PATIENCE_SECONDS) as http,
        ):
            for number in range(20):
                await broadcast_prices(prices(tokens, number))
                await fast.until("price_update_batch")
            checks: dict[str, str] = {}

            async def is_ready() -> bool:
                ready = await http.get(f"{server.url}/health/ready")
                checks.update(ready.json()["checks"])
                return (ready.status_code, set(checks.values())) == (200, {"ok"})

            await eventually(is_ready, "every check is ok")
            ended = asyncio.ensure_future(stopped(server))
            assert (await fast.closed())[:2] == (1000, "Server shutdown")
            ready = await http.get(f"{server.url}/health/ready")
            assert ready.status_code == 503
            assert ready.json() == {"status": "not ready", "checks": checks | {"server": "ending"}}
            async with client(server, token=access_token(alice), agent=newcomer) as late:
                code, reason, messages = await late.closed()
            assert (code, reason) == (1000, "Server shutdown")
            assert [message["type"] for message in messages] == ["closing"]
            assert messages[0]["data"]["retryAfter"] > 0
        assert await ended == (0 if kind == "daphne" else -15), server.log.read_text()
    assert await left_behind() == (0, 0)
    assert "Traceback" not in server.log.read_text(), server.log.read_text()


@pytest.mark.parametrize("kind", ["daphne", "uvicorn"])
async def test_server_whose_hub_fails_at_its_close_ends_all_the_same(
    kind, transactional_db, tmp_path, alice, agent
):
    failing = "tests.realtime.applications:failing_at_close"
    with Server(kind, log=tmp_path / "log", application=failing) as server:
        async with watching(server, alice, agent) as socket:
            code, end = await asyncio.gather(stopped(server), socket.closed())
        assert end[:2] == (1000, "Server shutdown")
        assert code in (0, -signal.SIGTERM)
        log = server.log.read_text()
        assert "the shutdown goes on without a part that failed" in log
        assert "RuntimeError: a bug at the end" in log


@pytest.mark.postgresql
@pytest.mark.parametrize("kind", ["daphne", "uvicorn"])
async def test_server_that_ends_closes_sockets_that_have_only_begun_in_order(
    kind, transactional_db, tmp_path, alice
):
    """Before the handshake is accepted, and before its positions are read."""
    agents = await fleet(alice, size=2, tokens=addresses(1))
    token = access_token(alice)

    async def come(agent) -> tuple[int | None, str, list[str]]:
        async with client(server, token=token, agent=agent) as socket:
            code, reason, messages = await socket.closed()
        return code, reason, [message["type"] for message in messages]

    # The one who reads has the only thread, for which the other one's handshake waits.
    with Server(kind, log=tmp_path / "log", application=PATIENT, NEXGENT_DATABASE_THREADS="1") as server:
        with locked(POSITIONS):
            comers = [asyncio.ensure_future(come(agents[0]))]
            await until_waiting(1, POSITIONS)
            comers.append(asyncio.ensure_future(come(agents[1])))
            for _ in range(3):
                await answers(server)
            ending = asyncio.ensure_future(stopped(server))
            reading, accepted = await asyncio.gather(*comers)
        assert await ending == (0 if kind == "daphne" else -15), server.log.read_text()
    assert reading == (1000, "Server shutdown", ["connected", "closing"])
    assert accepted == (1000, "Server shutdown", ["closing"])
    assert "Traceback" not in server.log.read_text(), server.log.read_text()
    assert await left_behind() == (0, 0)
