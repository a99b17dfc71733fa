"""Connect storm: 1,000 clients at once, ten positions each, from the first byte to `initial_data`."""

from __future__ import annotations

from typing import Any

from benchmarks.report import Bar, Chart, Report, Spread, Verdict, at_most
from benchmarks.rows import BY_NAME
from benchmarks.side import Side
from benchmarks.stage import Stage
from benchmarks.workloads import ON_DJANGO, Options, note, raise_sides

SOCKETS = 1_000
TOKENS = 200
COUNTED = 50
"""Clients of the small storm in which statements are counted: PostgreSQL's log would slow the large one."""
MOST_STATEMENTS = 3
RECONCILER_MARGIN = 1.1
"""MGETs per connect: the reconciler may read prices once or twice meanwhile."""


def run(stage: Stage, options: Options) -> Report:
    report = Report(
        name="connect",
        title="Connect storm",
        columns=[
            "server",
            "succeeded",
            "seconds to the last initial_data",
            "CPU ms per connect",
            "SQL statements per connect",
            "MGETs per connect",
        ],
    )
    sockets = options.sockets or (200 if options.quick else SOCKETS)
    sides = raise_sides(
        stage, options.pick(ON_DJANGO), report, sockets=max(sockets, COUNTED), tokens=TOKENS, connected=False
    )
    counts = {side.row.name: _count(side) for side in sides}
    seconds: dict[str, list[float]] = {}
    cpu: dict[str, list[float]] = {}
    succeeded: dict[str, int] = {}
    repetitions = options.times(3, 2)
    for repetition in range(repetitions + 1):
        note("warming up" if not repetition else f"repetition {repetition} of {repetitions}")
        for side in sides:
            before = side.cpu_seconds()
            answer = _storm(side, sockets)
            spent = side.cpu_seconds() - before
            side.processes[0].generator.ask("disconnect")
            side.settle()
            name = side.row.name
            if answer["problems"]:
                note(f"{name}: {answer['problems'][0]}")
            succeeded[name] = min(succeeded.get(name, sockets), answer["opened"])
            if repetition:
                seconds.setdefault(name, []).append(answer["seconds"])
                cpu.setdefault(name, []).append(1e3 * spent / max(answer["opened"], 1))
    bars = []
    for name in seconds:
        took, cost, (statements, mgets) = Spread.of(seconds[name]), Spread.of(cpu[name]), counts[name]
        report.rows.append(
            [BY_NAME[name].title, f"{succeeded[name]:,} of {sockets:,}", took.text(2), cost.text(2),
             f"{statements:.2f}", f"{mgets:.2f}"]
        )  # fmt: skip
        bars.append(Bar(BY_NAME[name].title, cost, BY_NAME[name].way == "ours"))
        report.figures[f"{name} ms a connect"] = cost.median
        report.figures[f"{name} statements a connect"] = statements
    report.chart = Chart(f"{sockets:,} clients connect at once", "CPU ms of the server per connect", bars)
    report.verdicts = _verdicts(succeeded, sockets, counts)
    return report


def _storm(side: Side, sockets: int) -> dict[str, Any]:
    answers = side.connect(sockets, at_once=sockets + 1)
    return dict(answers[0])


def _count(side: Side) -> tuple[float, float]:
    """Return the numbers of statements and MGETs per connect."""
    note(f"{side.row.name}: counting statements")
    before = _mgets(side)
    with side.stage.statements() as statements:
        opened = _storm(side, COUNTED)["opened"]
        side.processes[0].generator.ask("disconnect")
        side.settle()
    return len(statements) / opened, (_mgets(side) - before) / opened


def _mgets(side: Side) -> int:
    calls = side.valkey.info("commandstats").get("cmdstat_mget", {}).get("calls", 0)
    return int(calls)


def _verdicts(
    succeeded: dict[str, int],
    sockets: int,
    counts: dict[str, tuple[float, float]],
) -> list[Verdict]:
    verdicts = []
    for name in ("ours-daphne", "ours-uvicorn"):
        title = BY_NAME[name].title
        if name not in succeeded:
            verdicts.append(Verdict(f"{title}: all connect", "a row is missing", None))
            continue
        figures = f"{succeeded[name]:,} of {sockets:,}, in the worst storm"
        verdicts.append(Verdict(f"{title}: all connect", figures, succeeded[name] == sockets))
        statements, mgets = counts[name]
        verdicts.append(
            at_most(f"{title}: at most {MOST_STATEMENTS} statements per connect", statements, MOST_STATEMENTS)
        )
        verdicts.append(at_most(f"{title}: prices are read in one MGET", mgets, RECONCILER_MARGIN))
    return verdicts
