"""`make soak`: every fault at full size, under both servers; prints a table, exits with 1 if a guarantee broke."""

from __future__ import annotations

import asyncio
import os
import platform
import sys
from itertools import product

from testbed import scratch

FOLDER = scratch.make("nxs-")
os.environ["DJANGO_SETTINGS_MODULE"] = "nexgent.settings"

import django  # noqa: E402

django.setup()

from tests.reliability.cluster import Cluster  # noqa: E402
from tests.reliability.experiment import Account, Experiment  # noqa: E402
from tests.reliability.faults import DISK_FULL, FAULTS, Fault  # noqa: E402

SOCKETS = 200
OUTAGE_SECONDS = 10.0
TRANSACTIONS_PER_SECOND = 200.0
EVENTS = 5_700
"""Delivered in each experiment, at least; there are 18 of them."""
MUST_BE_DELIVERED = 100_000
COLUMNS = (
    "fault", "server", "sockets", "written", "delivered", "resumes", "fresh_snapshots", "lost", "duplicated",
    "reordered",
)  # fmt: skip


async def run(cluster: Cluster, fault: Fault) -> tuple[Account, list[str]]:
    experiment = Experiment(
        cluster,
        fault.name,
        fault.inject,
        outage_seconds=OUTAGE_SECONDS,
        per_second=TRANSACTIONS_PER_SECOND,
        events=EVENTS,
    )
    account = await experiment.run()
    problems = account.problems(writes_fail=fault.writes_fail, sockets_end=fault.sockets_end)
    note(f"{account.server}, {fault.name}: {account.delivered} delivered, {len(problems)} problems")
    for problem in problems:
        note(f"  {problem}")
    note(
        f"  closed {dict(account.closes)}, refused {dict(account.refusals)}, writes {account.writer_failures}"
    )
    return account, problems


def soak() -> tuple[list[Account], list[str]]:
    """Run it all; return the accounts, and every promise that broke."""
    accounts: list[Account] = []
    problems: list[str] = []
    for kind, sqlite in product(("daphne", "uvicorn"), (False, True)):
        folder = FOLDER / f"{kind}-{'sqlite' if sqlite else 'postgresql'}"
        try:
            with Cluster(folder, kinds=(kind, kind), sockets=SOCKETS, sqlite=sqlite) as cluster:
                for fault in (DISK_FULL,) if sqlite else FAULTS:
                    account, found = asyncio.run(run(cluster, fault))
                    accounts.append(account)
                    problems += found
        except AssertionError as error:  # a time-out: the others of this cluster cannot follow
            note(f"{kind}: {error}")
            problems.append(str(error))
    delivered = sum(account.delivered for account in accounts)
    if delivered < MUST_BE_DELIVERED:
        problems.append(f"only {delivered} events were delivered, of {MUST_BE_DELIVERED}")
    return accounts, problems


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
    accounts, problems = soak()
    machine = f"{os.cpu_count()} cores, {platform.system()} {platform.machine()}, Python {platform.python_version()}"
    sys.stdout.write(f"{machine}\n\n{table(accounts)}\n")
    sys.exit(1 if problems else 0)


if __name__ == "__main__":
    main()
