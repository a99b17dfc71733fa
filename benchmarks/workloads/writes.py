"""Writes: what the trade, its transaction id and an idempotency key add to a position's change and its event."""

from __future__ import annotations

from typing import NamedTuple

from benchmarks.report import Bar, Chart, Report, Spread, Verdict, at_most, ratio
from benchmarks.stage import Stage
from benchmarks.workloads import Options, note

WRITES = 300
MOST_TIMES = 1.2


class Kind(NamedTuple):
    """One way to book a purchase: a command's argument of benchmarks.bot."""

    name: str
    title: str
    base: str | None
    """What it may cost 1.2 times of."""


KINDS = (
    Kind("event", "the position and its event, without a trade", None),
    Kind("trade", "`buy_more`", "event"),
    Kind("transaction", "`buy_more` with a transaction id", "event"),
    Kind("post", "POST, without a key", None),
    Kind("key", "POST with an Idempotency-Key", "post"),
)


def run(stage: Stage, options: Options) -> Report:
    report = Report(
        name="writes",
        title="Writes",
        columns=["a purchase", "ms", "CPU ms of the writer"],
    )
    bot = stage.bot({})
    count = 100 if options.quick else WRITES
    milliseconds: dict[str, list[float]] = {kind.name: [] for kind in KINDS}
    cpu: dict[str, list[float]] = {kind.name: [] for kind in KINDS}
    repetitions = options.times(7, 3)
    for repetition in range(repetitions + 1):
        note(f"repetition {repetition} of {repetitions}" if repetition else "warming up")
        # One of each kind after the other: what else runs on the machine hits all of them.
        found = bot.ask("purchases", kinds=[kind.name for kind in KINDS], count=count, timeout_seconds=300)
        for kind in KINDS if repetition else ():
            milliseconds[kind.name].append(found[kind.name]["milliseconds"])
            cpu[kind.name].append(found[kind.name]["cpu_milliseconds"])
    spreads = {name: Spread.of(values) for name, values in milliseconds.items()}
    for kind in KINDS:
        report.rows.append([kind.title, spreads[kind.name].text(2), Spread.of(cpu[kind.name]).text(2)])
        report.figures[f"{kind.name} ms"] = spreads[kind.name].median
    report.verdicts = [_verdict(spreads, kind) for kind in KINDS if kind.base]
    bars = [Bar(kind.title.replace("`", ""), spreads[kind.name], ours=True) for kind in KINDS]
    report.chart = Chart("One purchase, committed", "milliseconds", bars)
    return report


def _verdict(spreads: dict[str, Spread], kind: Kind) -> Verdict:
    titles = {each.name: each.title for each in KINDS}
    assert kind.base is not None  # noqa: S101
    value, figures = ratio(spreads, kind.name, kind.base)
    bar = f"{kind.title} takes at most {MOST_TIMES} × as long as {titles[kind.base]}"
    return at_most(bar, value, MOST_TIMES, figures=figures)
