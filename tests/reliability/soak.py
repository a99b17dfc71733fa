"""`make soak`: every fault at full size, under both servers; prints a table, exits with 1 if a guarantee broke.

    make soak                                     100,000 events delivered, in about a quarter of an hour
    make soak ARGS="--delivered 10000000"         ten million: 100 further sockets of each agent check their order
    make soak ARGS="--fault network --server uvicorn"
    make soak ARGS="--delivered 10000000 --minutes 20"

A fault that fails does not stop the others: they get new servers.
"""

from __future__ import annotations

import argparse
import asyncio
import math
import os
import platform
import sys
import time
from contextlib import ExitStack
from itertools import product
from typing import Any, NamedTuple

from testbed import scratch

FOLDER = scratch.make("nxs-")
os.environ["DJANGO_SETTINGS_MODULE"] = "nexgent.settings"

import django  # noqa: E402

django.setup()

from tests.reliability.account import Account  # noqa: E402
from tests.reliability.cluster import Cluster  # noqa: E402
from tests.reliability.experiment import Experiment  # noqa: E402
from tests.reliability.faults import COMMITS_LOST, DISK_FULL, FAULTS, SILENT, Fault  # noqa: E402

ALL = (*FAULTS, SILENT, COMMITS_LOST, DISK_FULL)
COLUMNS = (
    "fault", "server", "sockets", "written", "delivered", "resumes", "fresh_snapshots", "lost", "duplicated",
    "reordered", "seconds",
)  # fmt: skip


class Size(NamedTuple):
    """How much of everything."""

    agents: int
    positions: int
    """Of each agent: one statement changes them all, and makes an event of each."""
    listeners: int
    """Sockets of each agent, beside its watcher."""
    outage_seconds: float
    per_second: float
    """Transactions."""
    meanwhile_per_second: float
    """While something is broken: what is missed then is read from the database, for each socket."""


NORMAL = Size(200, 3, 0, outage_seconds=10.0, per_second=200.0, meanwhile_per_second=200.0)
LARGE = Size(10, 20, 100, outage_seconds=8.0, per_second=30.0, meanwhile_per_second=5.0)
ONE_USER = {
    "NEXGENT_USER_SOCKETS": "5000",
    "NEXGENT_USER_CONNECTS_PER_SECOND": "1000",
    "NEXGENT_CONNECTS_PER_SECOND": "1000",
    "NEXGENT_USER_CONNECT_BURST": "5000",
    "NEXGENT_CONNECT_BURST": "5000",
    "NEXGENT_USER_ROWS_PER_SECOND": "1000000",
    "NEXGENT_USER_ROWS_BURST": "100000000",
}
"""All sockets are one user's, and their share is not what is looked at."""
LARGE_FROM = 1_000_000
"""Delivered events."""


class Soak:
    def __init__(
        self, size: Size, faults: list[Fault], kinds: list[str], delivered: int, minutes: float
    ) -> None:
        self._size = size
        self._plan = list(product(kinds, faults))
        self._wanted = delivered
        self._ends_at = time.monotonic() + 60 * minutes
        self.accounts: list[Account] = []
        self.problems: list[str] = []
        self._stack = ExitStack()
        self._running: tuple[Any, Cluster] | None = None

    @property
    def delivered(self) -> int:
        return sum(account.delivered for account in self.accounts)

    def run(self) -> None:
        with self._stack:
            for number, (kind, fault) in enumerate(self._plan):
                left = len(self._plan) - number
                events = max(0, self._wanted - self.delivered) // left + 1
                seconds = (self._ends_at - time.monotonic()) / left
                try:
                    self._experiment(self._cluster(kind, fault, number), fault, events, seconds)
                except Exception as error:  # noqa: BLE001  what a time-out says, say: the others go on, on new servers
                    note(f"{kind}, {fault.name}: {error!r}")
                    self.problems.append(f"{kind}, {fault.name}: {type(error).__name__}: {str(error)[:500]}")
                    self._end()
        if self.delivered < self._wanted:
            self.problems.append(f"only {self.delivered} events were delivered, of {self._wanted}")

    def _cluster(self, kind: str, fault: Fault, number: int) -> Cluster:
        """Return the servers of the fault before, where they suit this one, too."""
        wanted = kind, fault.needs
        if self._running is None or self._running[0] != wanted:
            self._end()
            size = self._size
            cluster = Cluster(
                FOLDER / str(number),
                kinds=(kind, kind),
                sockets=size.agents,
                positions=size.positions,
                settings=ONE_USER | {"NEXGENT_AGENT_WATCHERS": str(size.listeners + 10)},
                **fault.needs,
            )
            self._running = wanted, self._stack.enter_context(cluster)
        return self._running[1]

    def _end(self) -> None:
        self._running = None
        self._stack.close()

    def _experiment(self, cluster: Cluster, fault: Fault, events: int, seconds: float) -> None:
        size, started = self._size, time.monotonic()
        experiment = Experiment(
            cluster,
            fault.name,
            fault.inject,
            outage_seconds=size.outage_seconds,
            per_second=size.per_second,
            meanwhile_per_second=size.meanwhile_per_second,
            listeners=size.listeners,
            events=events,
            seconds=seconds,
        )
        account = asyncio.run(experiment.run())
        account.seconds = round(time.monotonic() - started)
        self.accounts.append(account)
        found = account.problems(writes_fail=fault.writes_fail, sockets_end=fault.sockets_end)
        self.problems += found
        note(
            f"{account.server}, {fault.name}: {account.delivered} delivered in {account.seconds} s,"
            f" {len(found)} problems"
        )
        for problem in found:
            note(f"  {problem}")
        closed, refused = dict(account.closes), dict(account.refusals)
        note(f"  closed {closed}, refused {refused}, writes {account.writer_failures}")


def table(accounts: list[Account]) -> str:
    lines = [[name.replace("_", " ") for name in COLUMNS], ["---"] * 3 + ["--:"] * (len(COLUMNS) - 3)]
    lines += [[_text(getattr(account, name)) for name in COLUMNS] for account in accounts]
    sums = [_text(sum(getattr(account, name) for account in accounts)) for name in COLUMNS[3:]]
    lines.append(["all", "", "", *sums])
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _text(value: object) -> str:
    return f"{value:,}" if isinstance(value, int) else str(value)


def note(text: str) -> None:
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


def main() -> None:
    parser = argparse.ArgumentParser(prog="make soak", description="Every fault, while clients watch.")
    parser.add_argument(
        "--delivered", type=int, default=100_000, help="events, of all faults together (100000)"
    )
    parser.add_argument(
        "--minutes", type=float, default=math.inf, help="end sooner than that many events if it takes longer"
    )
    parser.add_argument("--fault", default="", help="only those whose name contains this")
    parser.add_argument("--server", choices=("daphne", "uvicorn"), help="only under this one")
    options = parser.parse_args()
    faults = [fault for fault in ALL if options.fault in fault.name]
    kinds = [options.server] if options.server else ["daphne", "uvicorn"]
    soak = Soak(
        LARGE if options.delivered >= LARGE_FROM else NORMAL,
        faults,
        kinds,
        options.delivered,
        options.minutes,
    )
    started = time.process_time()
    try:
        soak.run()
    finally:
        machine = f"{os.cpu_count()} cores, {platform.system()} {platform.machine()}"
        sys.stdout.write(f"{machine}, Python {platform.python_version()}\n\n{table(soak.accounts)}\n")
        note(f"{time.process_time() - started:.0f} s of CPU in the clients")
    for problem in soak.problems:
        note(problem)
    sys.exit(1 if soak.problems else 0)


if __name__ == "__main__":
    main()
