"""Scale-out: 1, 2 and 4 server processes on one Valkey, each with its own sockets."""

from __future__ import annotations

from functools import partial

from benchmarks.report import Bar, Chart, Report, Verdict, at_most
from benchmarks.stage import Stage
from benchmarks.workloads import Costs, Options, note, raise_sides

PROCESSES = (1, 2, 4)
SOCKETS = 500
TOKENS = 200
INTERVAL_SECONDS = 0.5
FLAT = 1.15


def run(stage: Stage, options: Options) -> Report:
    report = Report(
        name="scale-out",
        title="Scale-out",
        columns=["server", "processes", "sockets", "CPU µs per delivered message"],
    )
    sockets = options.sockets or (250 if options.quick else SOCKETS)
    bars = []
    for row in options.pick(("ours-uvicorn", "ours-daphne")):
        sides = {}
        for processes in PROCESSES:
            for side in raise_sides(
                stage, [row], report, sockets=sockets, tokens=TOKENS, processes=processes
            ):
                sides[processes] = side
        costs = Costs(report)
        repetitions = options.times(5, 2)
        for repetition in range(repetitions + 1):
            note(
                f"{row.name}: "
                + (f"repetition {repetition} of {repetitions}" if repetition else "warming up")
            )
            for processes, side in sides.items():
                if repetition:
                    measure = partial(side.rounds, options.rounds or 10, INTERVAL_SECONDS)
                    costs.add(f"{row.name}, {processes}", measure)
                else:
                    side.rounds(3, INTERVAL_SECONDS)
        for side in sides.values():
            side.close()
        spreads = costs.spreads()
        found = [processes for processes in PROCESSES if f"{row.name}, {processes}" in spreads]
        for processes in found:
            spread = spreads[f"{row.name}, {processes}"]
            report.rows.append([row.title, str(processes), f"{sockets * processes:,}", spread.text()])
            bars.append(Bar(f"{processes} × {sockets:,} sockets, {row.server}", spread, ours=True))
        bar = f"on {row.server} a message costs the same with 4 processes as with 1, within {FLAT - 1:.0%}"
        if found == list(PROCESSES):
            one, four = spreads[f"{row.name}, 1"].median, spreads[f"{row.name}, 4"].median
            report.verdicts.append(
                at_most(bar, four / one, FLAT, figures=f"{four:.1f} / {one:.1f} = {four / one:.2f}")
            )
        else:
            report.verdicts.append(Verdict(bar, "a row is missing", None))
    report.chart = Chart(
        "Server processes on one Valkey", "CPU µs of the servers per delivered message", bars
    )
    return report
