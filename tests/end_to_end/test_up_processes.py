"""`manage.py up --processes 2`: one port, replaced one after the other, none of it seen by a client that resumes."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
from collections.abc import Callable
from itertools import count
from pathlib import Path

import httpx
import pytest

from testbed.templates import Templates
from tests.end_to_end.test_up import Up, processes_of
from tests.reliability.watcher import Watcher
from tests.waiting import eventually

CLIENTS = 5
"""At once; an agent may have ten, and those of a killed process keep their places until these expire."""
ESTABLISHED = "01"

pytestmark = pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="looks processes up in /proc")


class Crowd:
    """Watches an agent from several clients while it changes."""

    def __init__(self, up: Up) -> None:
        self._up = up
        self._http = httpx.AsyncClient(
            base_url=up.url, headers={"Authorization": f"Bearer {up.token()}"}, timeout=30
        )
        self.watchers: list[Watcher] = []
        self._watching: list[asyncio.Task[None]] = []
        self.seq = 0

    async def on_each(self, servers: set[int]) -> None:
        """Connect clients until each process has one. The kernel decides which of them gets a client."""
        agents = (await self._http.get("api/agents/")).json()["results"]
        agent = next(each["id"] for each in agents if each["name"] == "Momentum")
        url = f"ws://127.0.0.1:{self._up.port}/ws"
        while not all(has_connection(pid, self._up.port) for pid in servers):
            if len(self.watchers) == CLIENTS:
                await self.leave()
            watcher = Watcher(agent, self._up.token(), lambda: [url], owns=False)
            self.watchers.append(watcher)
            self._watching.append(asyncio.create_task(watcher.run()))
            await soon(watcher.connected.is_set, "a client is connected")

    async def write(self, stop: asyncio.Event) -> None:
        """Change a position until told to stop, each time until it is known to be booked."""
        position = next(iter(self.watchers[0].state))
        for number in count(1):
            await self._book(f"api/positions/{position}/stop-loss/", {"percentage": -10 - number % 2}, number)
            if stop.is_set():
                break
            await asyncio.sleep(0.05)  # as fast as it can, it would only compete with what starts

    async def _book(self, path: str, change: dict[str, int], number: int) -> None:
        while True:
            try:
                answer = await self._http.post(path, json=change, headers={"Idempotency-Key": f"up-{number}"})
            except httpx.TransportError:  # of a process that ends
                continue
            if answer.status_code < 400:
                return
            assert answer.status_code in {429, 503}, answer.text
            await asyncio.sleep(float(answer.headers["Retry-After"]))

    def are_here(self) -> bool:
        return all(watcher.connected.is_set() for watcher in self.watchers)

    async def leave(self) -> None:
        for task in self._watching:
            task.cancel()
        await asyncio.gather(*self._watching, return_exceptions=True)
        self.watchers, self._watching = [], []

    async def aclose(self) -> None:
        await self.leave()
        await self._http.aclose()


async def soon(condition: Callable[[], bool], what: str) -> None:
    async def holds() -> bool:
        return condition()

    await eventually(holds, what)


def has_connection(pid: int, port: int) -> bool:
    """Return whether a client is connected to the process on this port."""
    rows = (line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:])
    wanted = {
        f"socket:[{row[9]}]" for row in rows if row[1].endswith(f":{port:04X}") and row[3] == ESTABLISHED
    }
    return any(target_of(file) in wanted for file in Path(f"/proc/{pid}/fd").iterdir())


def target_of(file: Path) -> str:
    """Return what an open file of another process is; "" where it has been closed meanwhile."""
    with contextlib.suppress(FileNotFoundError):
        return str(file.readlink())
    return ""


def servers_of(up: Up) -> set[int]:
    return {pid for pid, line in processes_of(up.data_dir).items() if "realtime.launcher.worker" in line}


@pytest.mark.parametrize("server", ["daphne", "uvicorn"])
async def test_up_processes_are_replaced_and_restarted_without_a_lost_event(
    tmp_path: Path, templates: Templates, server: str
) -> None:
    shutil.copy(templates.file(), tmp_path / "nexgent.sqlite3")
    up = Up(tmp_path, "--processes", "2", "--server", server)
    crowd, stop = None, asyncio.Event()
    try:
        up.wait_for(r"^  Stop ")
        replaces = f"SIGHUP to pid {up.process.pid} replaces them"
        assert f"  Server   {server}, 2 processes; {replaces}" in up.lines
        first = servers_of(up)
        assert len(first) == 2
        crowd = Crowd(up)
        await crowd.on_each(first)
        writing = asyncio.create_task(crowd.write(stop))

        up.process.send_signal(signal.SIGHUP)
        await asyncio.to_thread(up.wait_for, r"^All server processes have been replaced\.$")
        second = servers_of(up)
        assert len(second) == 2
        assert not first & second
        # Each of them: one may not have noticed yet that its connection has ended.
        await soon(lambda: all(watcher.resumes for watcher in crowd.watchers), "every client has resumed")
        await soon(crowd.are_here, "every client is back")

        killed = next(pid for pid in second if has_connection(pid, up.port))
        os.kill(killed, signal.SIGKILL)
        await asyncio.to_thread(
            up.wait_for, r"^server [12] was killed by SIGKILL; restarting in [0-9.]+ s\.$"
        )
        await soon(lambda: len(servers_of(up) - {killed}) == 2, "the process has been restarted")
        await soon(crowd.are_here, "every client is back")

        stop.set()
        await writing
        last = max(watcher.seq for watcher in crowd.watchers)
        await soon(lambda: all(each.seq >= last for each in crowd.watchers), "every client has all events")
        for watcher in crowd.watchers:
            assert watcher.violations == []
            assert watcher.fresh_snapshots == 0
            assert watcher.first_seq is not None
            assert list(watcher.delivered) == list(range(watcher.first_seq + 1, watcher.seq + 1))
        await crowd.leave()
        assert up.end(signal.SIGTERM) == 0
        assert processes_of(tmp_path) == {}
    finally:
        if crowd is not None:
            await crowd.aclose()
        up.kill()
