"""History: whether the broadcaster keeps its rounds while it writes what they were, and how much disk that takes."""

from __future__ import annotations

import resource

from benchmarks.report import Report, Spread, at_most
from benchmarks.stage import Stage
from benchmarks.workloads import Options, note
from benchmarks.workloads.growth import OPEN_POSITIONS, ROUND_SECONDS, WIDEST_TOKENS, broadcast_rounds

MINUTES = 5
"""Of rounds: several writes of all candles, and as many points of all agents."""


def run(stage: Stage, options: Options) -> Report:
    report = Report(
        name="history",
        title="History",
        columns=["", "rows", "bytes a row, indexes included"],
    )
    part = 10 if options.quick else 1
    tokens, positions = WIDEST_TOKENS // part, OPEN_POSITIONS // part
    rounds = options.rounds or round((1 if options.quick else MINUTES) * 60 / ROUND_SECONDS)
    note(f"{rounds} rounds: {tokens:,} tokens, {positions:,} open positions of {positions // 10:,} agents")
    stage.populate(agents=positions // 10, tokens=tokens)
    valkey, before = stage.start_valkey(), _children_cpu_seconds()
    took = broadcast_rounds(stage, valkey, rounds)
    cpu_seconds = (_children_cpu_seconds() - before) / rounds
    for title, (rows, size) in stage.history().items():
        report.rows.append([title, f"{rows:,}", f"{size / rows:,.0f}" if rows else ""])
        report.figures[f"bytes of {title}"] = size / rows if rows else 0.0
    seconds = Spread.of([each.seconds for each in took[1:]])  # the first begins every token's walk
    report.figures["seconds a round"] = seconds.median
    report.figures["CPU seconds a round"] = cpu_seconds
    bar = (
        f"with {tokens:,} tokens and {positions:,} open positions, the broadcaster keeps a {ROUND_SECONDS} s round"
        " while it records history"
    )
    figures = f"{rounds} rounds of {seconds.text(2)} s; {cpu_seconds:.2f} s of CPU each, history included"
    report.verdicts.append(at_most(bar, seconds.most, ROUND_SECONDS, figures=figures))
    return report


def _children_cpu_seconds() -> float:
    """Return the CPU time of the children that have ended."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime
