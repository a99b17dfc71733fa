"""One fault while many clients watch and a writer writes, and the result. Every wait is for a condition."""

from __future__ import annotations

import asyncio
import json
import math
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from tests.live import PATIENCE_SECONDS, Server
from tests.reliability.account import Account
from tests.reliability.cluster import WAIT_SECONDS, Cluster
from tests.reliability.crowd import Crowd
from tests.reliability.listeners import Listener
from tests.reliability.watcher import Watcher

POLL_SECONDS = 0.02
HEALTH_SECONDS = 0.2
"""Between two looks at /health/ready, for each of which a server asks database and Valkey."""
MOST_WAITS = 10


class Experiment:
    """One fault, while clients watch and a writer writes.

    The writer does `per_second` transactions, `meanwhile_per_second` while something is broken, until `events` were
    delivered, or `seconds` are over. `listeners`: further sockets of each agent, which check the order only. `fault`
    breaks something, waits for what must be seen while it is broken, and repairs it. One client in ten comes only when
    it calls `latecomers`.
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
        meanwhile_per_second: float | None = None,
        listeners: int = 0,
        seconds: float = math.inf,
    ) -> None:
        self.cluster = cluster
        self.name = name
        self.outage_seconds = outage_seconds
        """How long things stay broken, at least."""
        self._fault = fault
        self._per_second = per_second
        self._meanwhile_per_second = meanwhile_per_second or per_second
        self._events, self._seconds = events, seconds
        self.watchers = [
            Watcher(agent_id, cluster.access, lambda: [server.ws_url for server in cluster.servers])
            for agent_id in cluster.agents
        ]
        self.listeners: list[Listener] = []
        for agent_id in cluster.agents:
            positions: dict[int, bytes] = {}
            self.listeners += [
                Listener(
                    agent_id, cluster.access, lambda: [server.ws_url for server in cluster.servers], positions
                )
                for _ in range(listeners)
            ]
        self._early = len(self.watchers) - len(self.watchers) // 10
        self._tasks: list[asyncio.Task[None]] = []
        self._watched = 0
        self._snapshots: dict[Watcher | Listener, int] = {}
        self._crowds: list[Crowd] = []

    async def run(self) -> Account:
        cluster = self.cluster
        ends_at = asyncio.get_running_loop().time() + self._seconds
        cluster.new_log_lines()
        cluster.trader.send(do="write", per_second=self._per_second)
        try:
            # The writer writes while they connect: nothing may fall between snapshot and stream.
            self._watch(self.watchers[: self._early])
            self._tasks += [asyncio.create_task(listener.run()) for listener in self.listeners]
            await self.all_connected(self.watchers[: self._early])
            await self.more_delivered(len(self.watchers))
            cluster.trader.send(do="write", per_second=self._meanwhile_per_second)
            await self._fault(self)
            self.latecomers()
            await self.all_connected()
            await self.more_delivered(2 * len(self.watchers))
            await self.more_prices()
            cluster.trader.send(do="write", per_second=self._per_second)
            await self.until(
                lambda: self.delivered >= self._events or asyncio.get_running_loop().time() >= ends_at,
                "the number of events asked for",
                progress=lambda: self.delivered,
            )
            stopped = await asyncio.to_thread(cluster.trader.ask, do="stop")
            firsts = [(each.agent_id, each.first_seq or 0) for each in self._clients]
            since = {agent_id: min(seq for a, seq in firsts if a == agent_id) for agent_id in cluster.agents}
            expected = await asyncio.to_thread(cluster.trader.ask, do="database_state", since=since)
            await self.until(
                lambda: self._converged(expected),
                "every client at the last event",
                must=False,
                progress=lambda: self.delivered,
            )
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
        delivered = sum(watcher.counted + len(watcher.delivered) for watcher in self.watchers)
        return delivered + sum(listener.delivered for listener in self.listeners)

    def latecomers(self) -> None:
        """Let the last clients come now, where they have not come yet."""
        self._watch(self.watchers[self._watched :])

    async def all_connected(self, watchers: Sequence[Watcher] | None = None) -> None:
        watchers = self.watchers if watchers is None else watchers

        def missing() -> int:
            return sum(not watcher.connected.is_set() for watcher in watchers) + sum(
                not listener.connected for listener in self.listeners
            )

        await self.until(lambda: not missing(), "every client connected", progress=missing)

    async def more_delivered(self, events: int) -> None:
        goal = self.delivered + events
        await self.until(
            lambda: self.delivered >= goal, f"{events} more events", progress=lambda: self.delivered
        )

    async def more_written(self, transactions: int) -> None:
        trader = self.cluster.trader
        goal = trader.transactions + transactions
        await self.until(
            lambda: trader.transactions >= goal,
            f"{transactions} more transactions",
            progress=lambda: trader.transactions,
        )

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
            progress=lambda: sum(watcher.price_batches for watcher in self.watchers),
        )

    @property
    def _clients(self) -> list[Watcher | Listener]:
        return [*self.watchers, *self.listeners]

    def may_start_over(self) -> None:
        """From now on a fresh snapshot may be older than what was delivered."""
        for each in self._clients:
            each.may_start_over = True
            if each.first_seq is not None:
                self._snapshots[each] = each.fresh_snapshots

    async def all_started_over(self) -> None:
        """Wait until each client that was there then has had a fresh snapshot."""

        def missing() -> int:
            return sum(each.fresh_snapshots == before for each, before in self._snapshots.items())

        await self.until(lambda: not missing(), "fresh snapshots", progress=missing)

    def crowd(self, server: Server) -> Crowd:
        """Let a crowd of further sockets connect to one server at once."""
        crowd = Crowd(self.cluster.agents, self.cluster.access, server)
        self._crowds.append(crowd)
        return crowd

    async def not_ready(self, *names: str) -> None:
        """Wait until every running server names these checks as unavailable, whatever else fails."""
        async with asyncio.timeout(WAIT_SECONDS):
            for server in self.cluster.running():
                said: dict[str, str] = {}
                while {said.get(name) for name in names} != {"unavailable"}:
                    said = (await asyncio.to_thread(_failing, server))[1]
                    await asyncio.sleep(HEALTH_SECONDS)

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
                await asyncio.sleep(HEALTH_SECONDS)

    async def until(
        self,
        condition: Callable[[], bool],
        what: str,
        *,
        must: bool = True,
        progress: Callable[[], object] = lambda: None,
    ) -> None:
        """Wait for the condition: as long as `progress` changes, and WAIT_SECONDS after it last has.

        A busy machine is slow, and no time would suit all: what matters is that it goes on. It has an end all the same.
        """
        clock = asyncio.get_running_loop().time
        deadline, latest, seen = clock() + WAIT_SECONDS, clock() + MOST_WAITS * WAIT_SECONDS, progress()
        while not condition():
            if (now := progress()) != seen:
                deadline, seen = min(clock() + WAIT_SECONDS, latest), now
            if clock() >= deadline:
                assert not must, f"{self.name}: timed out waiting for {what}; {self._standing()}"
                return
            await asyncio.sleep(POLL_SECONDS)

    # The account

    def _watch(self, watchers: Sequence[Watcher]) -> None:
        self._watched += len(watchers)
        self._tasks += [asyncio.create_task(watcher.run()) for watcher in watchers]

    def _converged(self, expected: dict[str, Any]) -> bool:
        return all(
            w.connected.is_set() and w.seq == expected[w.agent_id]["seq"] for w in self.watchers
        ) and all(each.connected and each.seq == expected[each.agent_id]["seq"] for each in self.listeners)

    def _standing(self) -> str:
        connected = sum(watcher.connected.is_set() for watcher in self.watchers)
        refusals = sum((watcher.refusals for watcher in self.watchers), Counter[str]())
        closes = sum((watcher.closes for watcher in self.watchers), Counter[str]())
        return (
            f"{connected} of {len(self.watchers)} connected, {self.delivered} events delivered,"
            f" closed: {dict(closes)}, refused: {dict(refusals)},"
            f" the writer failed: {dict(self.cluster.trader.failures)}\n"
            + "".join(self.cluster.new_log_lines().values())[-8000:]
        )

    def _account(self, expected: dict[str, Any], stopped: dict[str, Any]) -> Account:
        cluster = self.cluster
        kinds = " + ".join(dict.fromkeys(server.kind for server in cluster.servers))
        account = Account(self.name, kinds, len(self._clients))
        for watcher in self.watchers:
            account.enter_watcher(watcher, expected[watcher.agent_id])
        for listener in self.listeners:
            account.enter_listener(listener, expected[listener.agent_id])
        for crowd in self._crowds:
            account.violations += crowd.violations
            account.refusals += crowd.refusals
        account.rolled_back, account.writer_failures = stopped["rolled_back"], stopped["failures"]
        account.enter_logs(cluster.new_log_lines(), cluster.access)
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
