"""Price fan-out: 1,000 sockets, each with 10 of 200 tokens, prices ten times a second from a separate process."""

from __future__ import annotations

from functools import partial

from benchmarks import market
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
            "of which in user mode",
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
                f"{spread.median * costs.user_share(name):.1f}",
                f"{costs.bytes[name]:,.0f}",
                f"{rate:.2g}",
                f"{costs.repeated[name]:,}",
            ]
        )
        report.figures[f"{name} us"] = spread.median
        report.figures[f"{name} bytes"] = costs.bytes[name]
    report.verdicts = [*_verdicts(spreads), *_compact_verdicts(spreads, costs.bytes)]
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
    for ours, than, most, bar in (
        ("ours-uvicorn", "floor-uvicorn", 1.05, "this project costs at most 1.05 × the floor on uvicorn"),
        ("ours-daphne", "floor-daphne", 0.35, "this project costs at most 0.35 × the floor on daphne"),
        ("ours-uvicorn", "node-ws", 0.6, "on uvicorn at most 0.6 × Node ws"),
        ("ours-uvicorn", "picows", 1.8, "on uvicorn at most 1.8 × the limit"),
    ):
        value, figures = ratio(spreads, ours, than)
        verdicts.append(at_most(bar, value, most, figures=figures))
    value, figures = ratio(spreads, "tutorial-core-daphne", "ours-daphne")
    bar = "on daphne at least 20 × cheaper than the tutorial way on RedisChannelLayer"
    verdicts.append(Verdict(bar, figures, None if value is None else value >= 20))
    return verdicts


def _compact_verdicts(spreads: dict[str, Spread], sizes: dict[str, float]) -> list[Verdict]:
    verdicts = []
    for server in ("uvicorn", "daphne"):
        value, figures = ratio(spreads, f"compact-{server}", f"ours-{server}")
        verdicts.append(
            at_most(
                f"on {server} a compact message costs at most what a plain one does",
                value,
                1.0,
                figures=figures,
            )
        )
    size = sizes.get("compact-uvicorn")
    figures = "not measured" if size is None else f"{size / market.POSITIONS_PER_AGENT:.1f}"
    bar = "a compact price takes at most 45 bytes in a batch of ten"
    verdicts.append(Verdict(bar, figures, None if size is None else size <= 45 * market.POSITIONS_PER_AGENT))
    return verdicts
