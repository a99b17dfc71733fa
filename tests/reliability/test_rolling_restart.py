"""Two server processes behind nginx with deploy/nginx.conf, restarted one after the other."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from asgiref.sync import sync_to_async

from positions.models import PositionEvent
from realtime.publish.broadcast import flush
from tests.live import PATIENCE_SECONDS, Server, access_token
from tests.realtime.conftest import closed_connections  # noqa: F401  a fixture of every test
from tests.reliability.fleet import addresses, change, fleet
from tests.reliability.proxy import Proxy, nginx
from tests.reliability.watcher import Watcher
from tests.waiting import eventually

CLIENTS = 40


@pytest.fixture
def machines(transactional_db, tmp_path) -> Iterator[tuple[list[Server], Proxy]]:
    """A daphne and a uvicorn behind nginx."""
    binary = nginx()
    with ExitStack() as stack:
        servers = [
            stack.enter_context(Server(kind, log=tmp_path / kind, NEXGENT_RETRY_AFTER_SECONDS="0.3"))
            for kind in ("daphne", "uvicorn")
        ]
        folder = tmp_path / "nginx"
        folder.mkdir()
        yield servers, stack.enter_context(Proxy(binary, folder, [server.port for server in servers]))


async def test_rolling_restart_behind_nginx_loses_doubles_and_reorders_nothing(machines, alice):
    servers, proxy = machines
    agents = await fleet(alice, size=CLIENTS, tokens=addresses(1))
    token = access_token(alice)
    watchers = [Watcher(str(agent.pk), token, lambda: [proxy.ws_url]) for agent in agents]
    watching = [asyncio.ensure_future(watcher.run()) for watcher in watchers]
    stop = asyncio.Event()

    async def write() -> int:
        number = 0
        while not stop.is_set() or number < 3 * CLIENTS:
            number += 1
            await change(random.choice(agents), number)  # noqa: S311
        return number

    async def all_here() -> bool:
        return all(watcher.connected.is_set() for watcher in watchers)

    loop = asyncio.get_running_loop()
    writing = asyncio.ensure_future(write())
    try:
        await eventually(all_here, "every client is connected")
        for server in servers:
            resumes = sum(watcher.resumes for watcher in watchers)
            await loop.run_in_executor(None, server.stop)
            await eventually(all_here, "every client is back")
            assert sum(watcher.resumes for watcher in watchers) > resumes  # some were there
            await loop.run_in_executor(None, server.start)
    finally:
        stop.set()
        written = await writing
    try:
        rows = await sync_to_async(_events)()
        assert sum(map(len, rows.values())) == CLIENTS + written

        async def all_received() -> bool:
            return all(watcher.seq == rows[watcher.agent_id][-1] for watcher in watchers)

        await eventually(all_received, "every client has the last event")
    finally:
        for task in watching:
            task.cancel()
        await asyncio.gather(*watching, return_exceptions=True)
    for watcher in watchers:
        assert watcher.violations == []
        assert watcher.fresh_snapshots == 0
        # In the order in which they came: each once, none missing.
        assert list(watcher.delivered) == [
            seq for seq in rows[watcher.agent_id] if seq > (watcher.first_seq or 0)
        ]
    delivered = sum(len(watcher.delivered) for watcher in watchers)
    closes = sum((watcher.closes for watcher in watchers), start=Counter())
    resumes = sum(watcher.resumes for watcher in watchers)
    print(f"{delivered} events, {resumes} resumes, {dict(closes)}")  # noqa: T201  a figure for the docs
    assert set(closes) == {"1000 Server shutdown"}
    assert delivered > CLIENTS
    logs = proxy.logs()
    assert "GET /ws 101" in logs
    assert "token=" not in logs
    assert token.split(".")[1] not in logs


def _events() -> dict[str, list[int]]:
    """Return the numbers of each agent's events, in order; all are sent by then."""
    assert flush(PATIENCE_SECONDS)
    rows: dict[str, list[int]] = {}
    for agent_id, seq in PositionEvent.objects.order_by("agent_id", "seq").values_list("agent_id", "seq"):
        rows.setdefault(str(agent_id), []).append(seq)
    return rows
