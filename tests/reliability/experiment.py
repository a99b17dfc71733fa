"""One fault while many clients watch and a writer writes, and the result. Every wait is for a condition."""

from __future__ import annotations

import asyncio
import json
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.live import PATIENCE_SECONDS, Server
from tests.reliability.cluster import WAIT_SECONDS, Cluster
from tests.reliability.watcher import Watcher

POLL_SECONDS = 0.02


@dataclass
class Account:
    """The result of one experiment."""

    fault: str
    server: str
    sockets: int
    written: int = 0
    """Events committed since each client's first snapshot."""
    delivered: int = 0
    resumes: int = 0
    fresh_snapshots: int = 0
    lost: int = 0
    duplicated: int = 0
    reordered: int = 0
    rolled_back: int = 0
    price_batches: int = 0
    violations: list[str] = field(default_factory=list)
    """Everything that a client saw and should not have, the above included."""
    writer_failures: dict[str, int] = field(default_factory=dict)
    closes: Counter[str] = field(default_factory=Counter)
    """How connections ended that had begun."""
    refusals: Counter[str] = field(default_factory=Counter)
    """How attempts to connect ended."""
    log: str = ""
    access_in_log: bool = False

    def problems(self, *, writes_fail: bool, sockets_end: bool) -> list[str]:
        """Return what was promised and not kept. Which faults may fail writes or end sockets, the caller knows."""
        found = self.violations[:20]
        if self.lost or self.duplicated or self.reordered or len(self.violations) > 20:
            found.append(f"{self.lost} lost, {self.duplicated} duplicated, {self.reordered} reordered")
        if self.writer_failures and not writes_fail:
            found.append(f"writes failed: {self.writer_failures}")
        if self.closes and not sockets_end:
            found.append(f"sockets ended: {dict(self.closes)}")
        # A browser can read nothing of a handshake that is refused.
        found += [f"handshake: {how}" for how in self.refusals if "rejected" in how]
        if "Traceback" in self.log:
            found.append("traceback: " + self.log[self.log.index("Traceback") - 500 :][:4000])
        if self.access_in_log:
            found.append("a token is in a log")
        return found


class Experiment:
    """One fault, while clients watch and a writer writes.

    `fault` breaks something, waits for what must be seen while it is broken, and repairs it. One client in ten comes
    only when it calls `latecomers`.
    """

    def __init__(
        self,
        cluster: Cluster,
        name: str,
        fault: Callable[[Any], Awaitable[None]],
        *,
        outage_seconds: float,
        per_second: float,
        events: int,
    ) -> None:
        self.cluster = cluster
        self.name = name
        self.outage_seconds = outage_seconds
        """How long things stay broken, at least."""
        self._fault = fault
        self._per_second = per_second
        self._events = events
        self.watchers = [
            Watcher(agent_id, cluster.access, lambda: [server.ws_url for server in cluster.servers])
            for agent_id in cluster.agents
        ]
        self._early = len(self.watchers) - len(self.watchers) // 10
        self._tasks: list[asyncio.Task[None]] = []

    async def run(self) -> Account:
        cluster = self.cluster
        cluster.new_log_lines()
        cluster.trader.send(do="write", per_second=self._per_second)
        try:
            # The writer writes while they connect: nothing may fall between snapshot and stream.
            self._watch(self.watchers[: self._early])
            await self.all_connected(self.watchers[: self._early])
            await self.more_delivered(len(self.watchers))
            await self._fault(self)
            self.latecomers()
            await self.all_connected()
            await self.more_delivered(2 * len(self.watchers))
            await self.more_prices()
            await self.until(lambda: self.delivered >= self._events, "the number of events asked for")
            stopped = await asyncio.to_thread(cluster.trader.ask, do="stop")
            since = {watcher.agent_id: watcher.first_seq for watcher in self.watchers}
            expected = await asyncio.to_thread(cluster.trader.ask, do="database_state", since=since)
            await self.until(lambda: self._converged(expected), "every client at the last event", must=False)
        finally:
            cluster.trader.send(do="write", per_second=0)
            for task in self._tasks:
                task.cancel()
            ended = await asyncio.gather(*self._tasks, return_exceptions=True)
        for outcome in ended:
            if not isinstance(outcome, asyncio.CancelledError):
                raise RuntimeError("a watcher failed") from outcome
        return self._account(expected, stopped)

    # What a fault may wait for

    @property
    def delivered(self) -> int:
        return sum(len(watcher.delivered) for watcher in self.watchers)

    def latecomers(self) -> None:
        """Let the last clients come now, where they have not come yet."""
        self._watch(self.watchers[len(self._tasks) :])

    async def all_connected(self, watchers: Sequence[Watcher] | None = None) -> None:
        watchers = self.watchers if watchers is None else watchers
        await self.until(
            lambda: all(watcher.connected.is_set() for watcher in watchers), "every client connected"
        )

    async def more_delivered(self, events: int) -> None:
        goal = self.delivered + events
        await self.until(lambda: self.delivered >= goal, f"{events} more events")

    async def more_written(self, transactions: int) -> None:
        trader = self.cluster.trader
        goal = trader.transactions + transactions
        await self.until(lambda: trader.transactions >= goal, f"{transactions} more transactions")

    async def writer_failed(self) -> None:
        """Wait until a write has failed."""
        before = self.cluster.trader.failures.total()
        await self.until(lambda: self.cluster.trader.failures.total() > before, "a write that failed")

    async def more_prices(self) -> None:
        """Wait until most clients have had two more batches of prices."""
        before = [watcher.price_batches for watcher in self.watchers]
        await self.until(
            lambda: (
                2 * sum(w.price_batches >= b + 2 for w, b in zip(self.watchers, before, strict=True))
                >= len(before)
            ),
            "more prices",
        )

    async def until_asked(self, respond: Callable[[Any], Any]) -> None:
        """Let the price API answer so from now on, and wait until it has."""
        api = self.cluster.price_api
        api.respond = respond
        asked = len(api.requests)
        await self.until(lambda: len(api.requests) > asked, "a question to the price API")

    async def ready(self, **failing: str) -> None:
        """Wait until every running server reports these failing checks, and no others, with the right status."""
        wanted = (503 if failing else 200, failing)
        deadline = asyncio.get_running_loop().time() + WAIT_SECONDS
        for server in self.cluster.running():
            while (reported := await asyncio.to_thread(_failing, server)) != wanted:
                assert asyncio.get_running_loop().time() < deadline, (
                    f"{server.kind} reports {reported}, not {wanted}"
                )
                await asyncio.sleep(POLL_SECONDS)

    async def until(self, condition: Callable[[], bool], what: str, *, must: bool = True) -> None:
        deadline = asyncio.get_running_loop().time() + WAIT_SECONDS
        while not condition():
            if asyncio.get_running_loop().time() >= deadline:
                assert not must, f"{self.name}: timed out waiting for {what}; {self._standing()}"
                return
            await asyncio.sleep(POLL_SECONDS)

    # The account

    def _watch(self, watchers: Sequence[Watcher]) -> None:
        self._tasks += [asyncio.create_task(watcher.run()) for watcher in watchers]

    def _converged(self, expected: dict[str, Any]) -> bool:
        return all(w.connected.is_set() and w.seq == expected[w.agent_id]["seq"] for w in self.watchers)

    def _standing(self) -> str:
        connected = sum(watcher.connected.is_set() for watcher in self.watchers)
        refusals = sum((watcher.refusals for watcher in self.watchers), Counter[str]())
        closes = sum((watcher.closes for watcher in self.watchers), Counter[str]())
        return (
            f"{connected} of {len(self.watchers)} connected, {self.delivered} events delivered,"
            f" closed: {dict(closes)}, refused: {dict(refusals)},"
            f" the writer failed: {dict(self.cluster.trader.failures)}\n"
            + self.cluster.new_log_lines()[-8000:]
        )

    def _account(self, expected: dict[str, Any], stopped: dict[str, Any]) -> Account:
        cluster = self.cluster
        kinds = " + ".join(dict.fromkeys(server.kind for server in cluster.servers))
        account = Account(self.name, kinds, len(self.watchers))
        for watcher in self.watchers:
            report = expected[watcher.agent_id]
            if not watcher.connected.is_set():
                watcher.violations.append("is not connected at the end")
            watcher.account(report)
            account.written += len(report["events"])
            account.delivered += len(watcher.delivered)
            account.resumes += watcher.resumes
            account.fresh_snapshots += watcher.fresh_snapshots
            account.lost += watcher.lost
            account.duplicated += watcher.duplicated
            account.reordered += watcher.reordered
            account.price_batches += watcher.price_batches
            account.violations += [f"agent {watcher.agent_id}: {what}" for what in watcher.violations]
            account.closes += watcher.closes
            account.refusals += watcher.refusals
        account.rolled_back, account.writer_failures = stopped["rolled_back"], stopped["failures"]
        account.log = cluster.new_log_lines()
        account.access_in_log = cluster.access in account.log
        return account


def _failing(server: Server) -> tuple[int, dict[str, str]]:
    """Return the status of /health/ready, and which of its checks are not ok."""
    try:
        answer = urllib.request.urlopen(f"{server.url}/health/ready", timeout=PATIENCE_SECONDS)  # noqa: S310
    except urllib.error.HTTPError as error:
        answer = error
    with answer:
        checks = json.load(answer)["checks"]
        return answer.status, {name: outcome for name, outcome in checks.items() if outcome != "ok"}
