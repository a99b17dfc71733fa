"""Connect storm: 1,000 clients at once, ten positions each, from the first byte to `initial_data`.

Beside the bare servers, which answer 4 kB without looking anything up.
"""

from __future__ import annotations

from typing import Any

from benchmarks.report import Bar, Chart, Report, Spread, Verdict, at_most, ratio
from benchmarks.rows import BY_NAME
from benchmarks.side import Side
from benchmarks.stage import Stage
from benchmarks.workloads import ON_DJANGO, Options, note, raise_sides

SOCKETS = 1_000
TOKENS = 200
COUNTED = 50
"""Clients of the small storm in which statements are counted: PostgreSQL's log would slow the large one."""
MOST_STATEMENTS = 1
MOST_MGETS = 0.5
"""Per connect, of many that come at once. One that comes alone takes three statements and one MGET."""
FLOORS = ("floor-uvicorn", "floor-daphne")
FLOOR = "floor-uvicorn"
TUTORIAL = "tutorial-pubsub-uvicorn"
MOST_FLOORS = {"ours-uvicorn": 4.0, "ours-daphne": 6.0}
"""What a connect may cost, in those of the bare uvicorn."""
MOST_TUTORIALS = 0.5


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
        stage,
        options.pick((*ON_DJANGO, *FLOORS)),
        report,
        sockets=max(sockets, COUNTED),
        tokens=TOKENS,
        connected=False,
    )
    counts = {side.row.name: _count(side) for side in sides if side.row.name in ON_DJANGO}
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
        took, cost = Spread.of(seconds[name]), Spread.of(cpu[name])
        counted = [f"{count:.2f}" for count in counts.get(name, ())] or ["", ""]
        report.rows.append(
            [BY_NAME[name].title, f"{succeeded[name]:,} of {sockets:,}", took.text(2), cost.text(2),
             *counted]
        )  # fmt: skip
        bars.append(Bar(BY_NAME[name].title, cost, BY_NAME[name].way == "ours"))
        report.figures[f"{name} ms a connect"] = cost.median
        if name in counts:
            report.figures[f"{name} statements a connect"] = counts[name][0]
    report.chart = Chart(f"{sockets:,} clients connect at once", "CPU ms of the server per connect", bars)
    report.verdicts = _verdicts(
        succeeded, sockets, counts, {name: Spread.of(each) for name, each in cpu.items()}
    )
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
    costs: dict[str, Spread],
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
            at_most(f"{title}: at most {MOST_STATEMENTS} statement per connect", statements, MOST_STATEMENTS)
        )
        verdicts.append(at_most(f"{title}: at most {MOST_MGETS:g} MGETs per connect", mgets, MOST_MGETS))
        value, figures = ratio(costs, name, FLOOR, decimals=2)
        most = MOST_FLOORS[name]
        bar = f"{title}: a connect costs at most {most:g} × that of {BY_NAME[FLOOR].title}"
        verdicts.append(at_most(bar, value, most, figures=figures))
    value, figures = ratio(costs, "ours-uvicorn", TUTORIAL, decimals=2)
    ours, tutorial = BY_NAME["ours-uvicorn"].title, BY_NAME[TUTORIAL].title
    bar = f"{ours}: a connect costs at most {MOST_TUTORIALS:g} × that of the {tutorial}"
    verdicts.append(at_most(bar, value, MOST_TUTORIALS, figures=figures))
    return verdicts
