"""`make bench`: measures, prints, and writes docs/performance.md. See `--help`."""

from __future__ import annotations

import argparse
import importlib
import os
import shutil
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime

from testbed import scratch

FOLDER = scratch.make("nxb-")
os.environ["DJANGO_SETTINGS_MODULE"] = "nexgent.settings"

import django  # noqa: E402

django.setup()

from benchmarks import document, machine  # noqa: E402
from benchmarks.report import Report  # noqa: E402
from benchmarks.rows import BY_NAME, versions  # noqa: E402
from benchmarks.stage import Stage  # noqa: E402
from benchmarks.workloads import Options  # noqa: E402

WORKLOADS = (
    "fan-out",
    "growth",
    "history",
    "events",
    "writes",
    "connect",
    "storm",
    "memory",
    "slow-clients",
    "scale-out",
    "price-shards",
)


def run(workload: str, options: Options, command: str) -> Report:
    """Run one workload on its own servers."""
    sys.stderr.write(f"{workload}\n")
    started = time.perf_counter()
    module = importlib.import_module(f"benchmarks.workloads.{workload.replace('-', '_')}")
    with Stage(FOLDER / workload) as stage:
        report: Report = module.run(stage, options)
        report.void = [line.replace(f"{FOLDER}/", "") for line in report.void]
    shutil.rmtree(FOLDER / workload, ignore_errors=True)
    sys.stderr.write(f"  took {time.perf_counter() - started:.0f} s\n")
    report.when = datetime.now(UTC).date().isoformat()
    report.machine = machine.describe()
    report.versions = versions()
    report.command = command
    return report


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "workloads", nargs="*", metavar="WORKLOAD", help=f"of {', '.join(WORKLOADS)}; all without"
    )
    parser.add_argument("--quick", action="store_true", help="fewer repetitions, smaller; writes no document")
    parser.add_argument(
        "--rows", default="", metavar="ROW,…", help=f"only these, of {', '.join(BY_NAME)}; writes no document"
    )
    parser.add_argument("--repetitions", type=int, metavar="N", help="measure each row so often")
    parser.add_argument("--sockets", type=int, metavar="N", help="so many sockets; writes no document")
    parser.add_argument(
        "--rounds", type=int, metavar="N", help="so many rounds of prices; writes no document"
    )
    options = parser.parse_args(arguments)
    options.rows = frozenset(filter(None, options.rows.split(",")))
    for what, given, known in (("workload", options.workloads, WORKLOADS), ("row", options.rows, BY_NAME)):
        for each in given:
            if each not in known:
                parser.error(f"there is no {what} {each!r}; there are {', '.join(known)}")
    return options


def main() -> None:
    arguments = parse(sys.argv[1:])
    options = Options(
        arguments.quick, arguments.rows, arguments.repetitions, arguments.sockets, arguments.rounds
    )
    command = f'make bench ARGS="{" ".join(sys.argv[1:])}"' if sys.argv[1:] else "make bench"
    for workload in arguments.workloads or WORKLOADS:
        report = run(workload, options, command)
        sys.stdout.write(f"\n{report.title}\n\n{report.text()}\n")
        sys.stdout.flush()
        if not arguments.quick and not (arguments.rows or arguments.sockets or arguments.rounds):
            document.write([report])  # at once: a later workload that fails takes nothing from this one
    sys.stdout.write(f"\n{machine.describe()}\n{versions()}\n")


if __name__ == "__main__":
    main()
