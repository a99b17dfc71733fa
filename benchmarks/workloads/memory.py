"""Idle sockets: growth of the resident set from 500 to 5,000 of them, and their CPU time."""

from __future__ import annotations

import time

from benchmarks.children import ChildError
from benchmarks.report import Bar, Chart, Report, Spread, Verdict, at_most
from benchmarks.rows import BY_NAME
from benchmarks.side import Side
from benchmarks.stage import Stage
from benchmarks.workloads import Options, note, raise_sides
from benchmarks.workloads.growth import IDLE_SECONDS

STEPS = (500, 2_000, 3_500, 5_000)
QUICK_STEPS = (100, 300, 500)
TOKENS = 200
MOST_KB = 12.0
ROWS = (
    "ours-daphne", "ours-uvicorn", "floor-daphne", "floor-uvicorn", "tutorial-pubsub-daphne", "tutorial-pubsub-uvicorn",
    "node-ws", "picows",
)  # fmt: skip
IDLE_ROWS = ("ours-daphne", "ours-uvicorn", "floor-daphne", "floor-uvicorn")


def run(stage: Stage, options: Options) -> Report:
    steps = QUICK_STEPS if options.quick else STEPS
    report = Report(
        name="memory",
        title="Memory of an idle socket",
        columns=[
            "server",
            f"kB per socket, {steps[0]:,} to {steps[-1]:,} (range over the steps)",
            "MB with one socket",
            "CPU µs per second and socket",
        ],
    )
    slopes: dict[str, Spread] = {}
    for row in options.pick(ROWS):
        for side in raise_sides(stage, [row], report, sockets=steps[-1], tokens=TOKENS, connected=False):
            sizes = []
            try:
                for before, upto in zip((0, *steps), steps, strict=False):
                    note(f"{row.name}: {upto:,} sockets")
                    side.connect(upto - before, first=before)
                    side.settle()
                    sizes.append(side.resident_bytes())
                idle_us = _idle_us(side, steps[-1]) if row.name in IDLE_ROWS else None
            except ChildError as error:
                report.void.append(f"{row.title}: {error}")
                continue
            finally:
                side.close()
            by_step = [
                (after - before) / (many - few) / 1e3
                for before, after, few, many in zip(sizes, sizes[1:], steps, steps[1:], strict=False)
            ]
            whole = (sizes[-1] - sizes[0]) / (steps[-1] - steps[0]) / 1e3
            slopes[row.name] = spread = Spread(whole, min(by_step), max(by_step))
            idle = "" if idle_us is None else f"{idle_us:.1f}"
            report.rows.append([row.title, spread.text(), f"{sizes[0] / 1e6:.0f}", idle])
            if idle_us is not None:
                report.figures[f"{row.name} us a second"] = idle_us
            report.figures[f"{row.name} kB a socket"] = whole
            report.figures[f"{row.name} MB"] = (sizes[0] - steps[0] * whole * 1e3) / 1e6
    for server in ("uvicorn", "daphne"):
        bar = f"on {server} a socket takes at most {MOST_KB:g} kB more than on the bare server"
        ours, floor = slopes.get(f"ours-{server}"), slopes.get(f"floor-{server}")
        if ours is None or floor is None:
            report.verdicts.append(Verdict(bar, "a row is missing", None))
        else:
            more = ours.median - floor.median
            figures = f"{ours.median:.1f} − {floor.median:.1f} = {more:.1f} kB"
            report.verdicts.append(at_most(bar, more, MOST_KB, figures=figures))
    bars = [Bar(BY_NAME[name].title, each, BY_NAME[name].way == "ours") for name, each in slopes.items()]
    report.chart = Chart(
        "Memory of one more idle socket", "kB", sorted(bars, key=lambda bar: bar.spread.median)
    )
    return report


def _idle_us(side: Side, sockets: int) -> float:
    """Return the CPU microseconds that an idle socket costs per second."""
    note(f"{side.row.name}: {IDLE_SECONDS:g} s idle")
    before, begin = side.cpu_seconds(), time.monotonic()
    time.sleep(IDLE_SECONDS)
    return 1e6 * (side.cpu_seconds() - before) / (time.monotonic() - begin) / sockets
