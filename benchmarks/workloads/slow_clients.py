"""Slow clients: 50 of 1,000 stop reading; the effect on the others."""

from __future__ import annotations

from benchmarks.report import Bar, Chart, Report, Spread, at_most
from benchmarks.side import Measured, Side
from benchmarks.stage import Stage
from benchmarks.workloads import MOST_TRIES, Options, note, percentile, raise_sides

SOCKETS, SLOW = 1_000, 50
TOKENS = 200
INTERVAL_SECONDS = 0.2
ROUNDS = 40
BLOCKING_ROUNDS = 120
"""Until the buffers of a client that does not read are full: 1.2 kB a round, 8 kB here, about 80 kB in the server."""
MOST = 1.2


def run(stage: Stage, options: Options) -> Report:
    report = Report(
        name="slow-clients",
        title="Slow clients",
        columns=["server", "p99 of the others, ms, while all read", "while 50 do not", "ratio"],
    )
    sockets, slow = options.sockets or (200 if options.quick else SOCKETS), 10 if options.quick else SLOW
    report.columns[2] = f"while {slow} of {sockets:,} do not"
    bars = []
    for side in raise_sides(
        stage,
        options.pick(("ours-uvicorn", "ours-daphne")),
        report,
        sockets=sockets,
        tokens=TOKENS,
        slow=slow,
    ):
        side.rounds(5, INTERVAL_SECONDS)
        found: dict[bool, list[float]] = {False: [], True: []}
        repetitions = options.times(3, 2)
        for repetition in range(1, repetitions + 1):
            note(f"{side.row.name}: repetition {repetition} of {repetitions}")
            for blocked in (False, True):
                found[blocked] += _p99(side, report, slow, blocked=blocked, rounds=options.rounds or ROUNDS)
        side.close()
        if not found[False] or not found[True]:
            continue
        reading, stuck = Spread.of(found[False]), Spread.of(found[True])
        ratio = stuck.median / reading.median
        report.rows.append([side.row.title, reading.text(), stuck.text(), f"{ratio:.2f}"])
        bars += [
            Bar(f"{side.row.server}, all read", reading, ours=True),
            Bar(f"{side.row.server}, {slow} do not", stuck, ours=True),
        ]
        bar = f"on {side.row.server} the p99 of the others is at most {MOST} × that without slow clients"
        figures = f"{stuck.median:.1f} / {reading.median:.1f} = {ratio:.2f}"
        report.verdicts.append(at_most(bar, ratio, MOST, figures=figures))
    report.chart = Chart("From the broadcaster to the clients that read: p99", "milliseconds", bars)
    return report


def _p99(side: Side, report: Report, slow: int, *, blocked: bool, rounds: int) -> list[float]:
    """Return the p99 of the clients that read, in milliseconds; empty if it could not be measured."""
    generator = side.processes[0].generator
    if blocked:
        generator.ask("pause", count=slow)
        side.rounds(BLOCKING_ROUNDS, 0.05, skip=slow)
    try:
        for _ in range(MOST_TRIES):
            measured = side.rounds(rounds, INTERVAL_SECONDS, timed=True, skip=slow)
            if measured.problems:
                break
            if not measured.skipped:
                return [percentile(_latencies(measured), 99)]
        report.void.append(f"{side.row.name}: {measured.problems or 'rounds were skipped'}")
        return []
    finally:
        if blocked:
            generator.ask("resume", count=slow)
            side.rounds(5, INTERVAL_SECONDS)  # what waited for them, and their newest prices


def _latencies(measured: Measured) -> list[float]:
    return [
        1e3 * (came - began)
        for arrivals in measured.arrivals
        for came, began in zip(arrivals, measured.began, strict=True)
    ]
