"""One row's processes: servers, their clients and the sender of prices; and rounds of prices through all of them."""

from __future__ import annotations

import os
import socket
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import redis

from benchmarks import market
from benchmarks.children import Child, ChildError
from benchmarks.machine import cpu_seconds, resident_bytes, user_seconds
from benchmarks.rows import CORE, Row
from benchmarks.stage import Stage
from testbed import forkserver
from testbed.backends import Valkey
from testbed.processes import ROOT, free_port

START_SECONDS = 40.0
SETTLED_SECONDS = 0.5
GUESTS_NICE = 10
"""Guests run on machines of their own elsewhere: here they are not to take the processor from what is measured."""
AT_ONCE = 40
"""How many clients connect at the same time, unless connecting itself is measured."""


@dataclass(slots=True)
class Process:
    """One server process and its clients."""

    server: forkserver.Process | subprocess.Popen[bytes]
    generator: Child
    url: str
    first_agent: int
    log: Path


@dataclass(slots=True)
class Measured:
    """The result of some rounds."""

    delivered: int
    skipped: int
    """Rounds that a socket skipped because a newer one arrived."""
    repeated: int
    """Messages with a part of a round or with a repeated one: not counted as delivered, but their cost is included."""
    bytes: int
    cpu_seconds: float
    """Of the server processes."""
    user_seconds: float
    """How much of that was in user mode."""
    problems: list[str]
    arrivals: list[list[float]] = field(default_factory=list)
    """When each counted socket got each round, if requested."""
    began: list[float] = field(default_factory=list)
    """When each round was sent, if requested."""

    @property
    def cost_us(self) -> float:
        """CPU microseconds per delivered message."""
        return 1e6 * self.cpu_seconds / max(self.delivered, 1)


class Side:
    """One row's processes, and rounds of prices through them."""

    def __init__(
        self, stage: Stage, row: Row, *, sockets: int, tokens: int, shards: int = 1, disk: bool = True
    ) -> None:
        self.stage = stage
        self.row = row
        self.bot: Child | None = None
        self.sockets = sockets
        self.tokens = tokens
        self.broadcaster: Child | None = None
        self.processes: list[Process] = []
        self.neighbour: Process | None = None
        """One more, which has guests only."""
        self._round = market.FIRST_ROUND
        self._environment = {
            **row.environment(),
            "BENCHMARK_TOKENS": str(tokens),
            "NEXGENT_PRICE_SHARDS": str(shards),
        }
        self._valkey: Valkey | None = None
        if not row.makes_its_prices:
            self._valkey = stage.start_valkey()
            self._environment["REDIS_URL"] = self._valkey.url
            self.valkey = redis.Redis.from_url(self._valkey.url)
            if not disk:
                self.valkey.config_set("appendonly", "no")
            way = "ours" if row.way == "ours" else "tutorial"
            self.broadcaster = stage.child("benchmarks.broadcaster", way, environment=self._environment)

    def start_server(self, *, first_agent: int) -> None:
        self.processes.append(self._start(first_agent))

    def start_neighbour(self) -> None:
        """Start one more server process, with the same database and prices, for guests alone."""
        self.neighbour = self._start(self.processes[0].first_agent)

    def _start(self, first_agent: int) -> Process:
        port = free_port()
        log = self.stage.log(self.row.name)
        environment = {**self.stage.environment, **self._environment}
        with log.open("ab") as output:
            server = self.stage.start(
                self.row.command(port), env=environment, cwd=ROOT, stdout=output, stderr=output
            )
        url = f"ws://127.0.0.1:{port}/ws?token={self.stage.token}&agentId={{agent}}"
        generator = self.stage.child("benchmarks.generator", environment={})
        started = Process(server, generator, url, first_agent, log)
        deadline = time.monotonic() + START_SECONDS
        while True:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    return started
            if server.poll() is not None or time.monotonic() > deadline:
                server.kill()
                server.wait()
                raise ChildError(f"{self.row.name} did not start: {log.read_text()[-2000:]}")
            time.sleep(0.05)  # between two checks of a condition

    def connect(self, sockets: int, *, first: int = 0, at_once: int = AT_ONCE, slow: int = 0) -> list[Any]:
        """Open sockets first … first + `sockets` of each process; return what each generator says of it."""
        for process in self.processes:
            process.generator.send(
                "connect", url=process.url, first=process.first_agent + first, count=sockets, tokens=self.tokens,
                at_once=at_once, slow=slow, offers=self.row.offers,
            )  # fmt: skip
        answers = [process.generator.answer(180) for process in self.processes]
        problems = [problem for answer in answers for problem in answer["problems"]]
        if problems and at_once == AT_ONCE:
            raise ChildError("; ".join(problems))
        return answers

    def start_guests(self) -> Child:
        """Start another load generator, whose clients come while the others' are connected."""
        guests = self.stage.child("benchmarks.generator", environment={})
        os.setpriority(os.PRIO_PROCESS, guests.process.pid, GUESTS_NICE)
        self.stage.on_close(guests.close)
        return guests

    def send_guests(
        self, guests: Child, count: int, *, query: str, missed: int, to: Process | None = None
    ) -> None:
        """Have so many clients connect at once, as further agents; `guests.answer` says how they fared.

        They come to the first process, unless another one is named.
        """
        process = to or self.processes[0]
        guests.send(
            "connect", url=process.url + query, first=process.first_agent + self.sockets, count=count,
            tokens=self.tokens, at_once=count + 1, missed=missed,
        )  # fmt: skip

    def cpu_seconds(self) -> float:
        return sum(cpu_seconds(process.server.pid) for process in self.processes)

    def user_seconds(self) -> float:
        return sum(user_seconds(process.server.pid) for process in self.processes)

    def next_round(self, count: int) -> int:
        """Return the number of the first of `count` rounds to come."""
        first, self._round = self._round, self._round + count
        return first

    def rounds(self, count: int, interval_seconds: float, *, timed: bool = False, skip: int = 0) -> Measured:
        """Send this many rounds of prices; return when all have arrived, or long after they should have."""
        first = self.next_round(count)
        fixed = self.row.way in {"floor", "limit"}
        for process in self.processes:
            process.generator.ask(
                "expect", rounds=count, first_round=first, fixed=fixed, timed=timed, skip=skip
            )
        before, user_before = self.cpu_seconds(), self.user_seconds()
        began: list[float] = []
        command = {"first_round": first, "rounds": count, "interval_seconds": interval_seconds}
        if self.broadcaster is not None:
            self.broadcaster.send("rounds", **command)
        else:
            told = [process.generator.ask("trigger", **command) for process in self.processes]
            began = [told[0] + number * interval_seconds for number in range(count)]
        # A row that cannot keep up gets the time it needs; one that has lost a message does not.
        patience = 10.0 + count * interval_seconds * 2
        for process in self.processes:
            process.generator.send("finish", timeout_seconds=patience)
        answers = [process.generator.answer(patience + 30) for process in self.processes]
        spent, user = self.cpu_seconds() - before, self.user_seconds() - user_before
        if self.broadcaster is not None:
            began = self.broadcaster.answer(patience + 60)["began"]
        problems = [problem for answer in answers for problem in answer["problems"]]
        busy = max(answer["busy"] for answer in answers)
        if busy > 0.9:
            problems.append(f"the load generator was {busy:.0%} busy: it may be what was measured")
        return Measured(
            delivered=sum(answer["delivered"] for answer in answers),
            skipped=sum(answer["skipped"] for answer in answers),
            repeated=sum(answer["repeated"] for answer in answers),
            bytes=sum(answer["bytes"] for answer in answers),
            cpu_seconds=spent,
            user_seconds=user,
            problems=problems,
            arrivals=[arrivals for answer in answers for arrivals in answer["arrivals"]],
            began=began,
        )

    def start_bot(self) -> Child:
        """Start a process that writes to the database as this row's processes do."""
        self.bot = self.stage.child("benchmarks.bot", environment=self._environment)
        return self.bot

    def settle(self) -> None:
        """Wait until the servers have nothing left to do, 30 s at most."""
        deadline = time.monotonic() + 30
        pids = [process.server.pid for process in self._all()]
        before = sum(map(cpu_seconds, pids))
        while time.monotonic() < deadline:
            time.sleep(SETTLED_SECONDS)
            now = sum(map(cpu_seconds, pids))
            if now - before < 0.02 * SETTLED_SECONDS * len(pids):
                return
            before = now

    def _all(self) -> list[Process]:
        return [*self.processes, *filter(None, [self.neighbour])]

    def resident_bytes(self) -> int:
        return sum(resident_bytes(process.server.pid) for process in self.processes)

    def close(self) -> None:
        for process in self._all():
            if process.server.poll() is None:
                process.server.kill()
                process.server.wait()
            process.generator.close()
        for child in (self.broadcaster, self.bot):
            if child is not None:
                child.close()
        self.processes, self.neighbour = [], None
        self.broadcaster = self.bot = None
        if self._valkey is not None:
            self.valkey.close()
            self._valkey.close()
            self._valkey = None


def start_side(
    stage: Stage,
    row: Row,
    *,
    sockets: int,
    tokens: int,
    processes: int = 1,
    first_agent: int = 0,
    connected: bool = True,
    slow: int = 0,
    shards: int = 1,
    disk: bool = True,
) -> Side:
    """Start a row: `sockets` clients for each of its server processes. Raises ChildError, MissingError.

    `first_agent`: where its agents begin, for rows whose database is written to. `slow`: so many of the clients
    can stop reading at once. `shards`: in how many groups, by token, prices are sent. `disk`: whether Valkey writes
    everything to disk at once, as for the tests, which in production it need not.
    """
    if row.way in {"ours", "tutorial"}:
        stage.populate(agents=first_agent + sockets * processes, tokens=tokens)
    side = Side(stage, row, sockets=sockets, tokens=tokens, shards=shards, disk=disk)
    stage.on_close(side.close)
    for number in range(processes):
        side.start_server(first_agent=first_agent + number * sockets)
    if side.broadcaster is not None:
        side.broadcaster.ask("prepare", tokens=tokens, first=first_agent, agents=sockets * processes)
    if connected:
        side.connect(sockets, slow=slow)
    return side


def default_interval(row: Row) -> float:
    """Return seconds between two rounds of 1,000 messages: ten a second, and what the tutorial way can do."""
    if row.way != "tutorial":
        return 0.1
    return 3.0 if row.layer == CORE else 1.0
