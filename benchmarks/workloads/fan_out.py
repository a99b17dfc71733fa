"""Price fan-out: 1,000 sockets, each with 10 of 200 tokens, prices ten times a second from a separate process."""

from __future__ import annotations

from functools import partial

from benchmarks.report import Bar, Chart, Report, Spread, Verdict, at_most, ratio
from benchmarks.rows import BY_NAME, ROWS, Row
from benchmarks.side import default_interval
from benchmarks.stage import Stage
from benchmarks.workloads import Costs, Options, note, raise_sides

SOCKETS = 1_000
TOKENS = 200


def run(stage: Stage, options: Options) -> Report:
    report = Report(
        name="fan-out",
        title="Price fan-out",
        columns=[
            "server",
            "CPU µs per delivered message",
            "bytes per message",
            "rounds per second",
            "partial or repeated",
        ],
    )
    sockets = options.sockets or SOCKETS
    sides = raise_sides(stage, options.pick(row.name for row in ROWS), report, sockets=sockets, tokens=TOKENS)
    costs = Costs(report)
    repetitions = options.times(5, 3)
    for repetition in range(repetitions + 1):
        note("warming up" if not repetition else f"repetition {repetition} of {repetitions}")
        for side in sides:
            count, interval = _rounds(side.row, options, warm=not repetition), default_interval(side.row)
            if repetition:
                costs.add(side.row.name, partial(side.rounds, count, interval))
            else:
                side.rounds(count, interval)
    spreads = costs.spreads()
    for name, spread in spreads.items():
        rate = 1 / default_interval(BY_NAME[name])
        report.rows.append(
            [
                BY_NAME[name].title,
                spread.text(),
                f"{costs.bytes[name]:,.0f}",
                f"{rate:.2g}",
                f"{costs.repeated[name]:,}",
            ]
        )
        report.figures[f"{name} us"] = spread.median
        report.figures[f"{name} bytes"] = costs.bytes[name]
    report.verdicts = _verdicts(spreads)
    bars = [Bar(BY_NAME[name].title, each, BY_NAME[name].way == "ours") for name, each in spreads.items()]
    bars.sort(key=lambda bar: bar.spread.median)
    title = f"One price message of 10 tokens to each of {sockets:,} sockets"
    report.chart = Chart(title, "CPU µs of the server per delivered message", bars, logarithmic=True)
    return report


def _rounds(row: Row, options: Options, *, warm: bool) -> int:
    if options.rounds:
        return options.rounds
    usual = 30 if row.way != "tutorial" else (2 if "core" in row.layer else 4)
    return max(1, usual // 2) if warm else usual


def _verdicts(spreads: dict[str, Spread]) -> list[Verdict]:
    verdicts = []
    for server in ("uvicorn", "daphne"):
        value, figures = ratio(spreads, f"ours-{server}", f"floor-{server}")
        bar = f"this project costs at most 1.15 × the floor on {server}"
        verdicts.append(at_most(bar, value, 1.15, figures=figures))
    value, figures = ratio(spreads, "ours-uvicorn", "node-ws")
    verdicts.append(at_most("on uvicorn at most 0.8 × Node ws", value, 0.8, figures=figures))
    value, figures = ratio(spreads, "tutorial-core-daphne", "ours-daphne")
    bar = "on daphne at least 20 × cheaper than the tutorial way on RedisChannelLayer"
    verdicts.append(Verdict(bar, figures, None if value is None else value >= 20))
    return verdicts
