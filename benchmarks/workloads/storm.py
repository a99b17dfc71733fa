"""5,000 clients at once, beside 500 that are connected and get prices; then as many that come back with `lastSeq`. All
of them leave at once, too.

Beside the bare server, which answers each with 4 kB as soon as it has read its handshake, and whose others wait; and
beside storms that another process of the same machine has: what the 500 wait then, the machine lets them wait.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from benchmarks.children import Child
from benchmarks.report import Report, Spread, Verdict, at_most
from benchmarks.rows import Row
from benchmarks.side import Measured, Process, Side
from benchmarks.stage import Stage
from benchmarks.workloads import Options, note, percentile, raise_sides

OPEN = 500
GUESTS = 5_000
TOKENS = 220
"""A market of its own: its agents have events."""
EVENTS = 20
"""What each that comes back has missed."""
INTERVAL_SECONDS = 0.2
LEAVING_ROUNDS = 10
MOST = 2.0
OURS, FLOOR = ("ours-uvicorn", "ours-daphne"), "floor-uvicorn"
ELSEWHERE = ", of another process"


class Storm(NamedTuple):
    """One kind of guests."""

    what: str
    query: str
    missed: int
    seconds: float
    """For how long prices are sent meanwhile: longer than a storm takes where nothing else runs."""


NEW = Storm("new clients", "", 0, 12.0)
BACK = Storm(f"{EVENTS} missed events each", "&lastSeq=0", EVENTS, 20.0)


@dataclass
class Measurements:
    """All storms of one kind through one row."""

    opened: list[int] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    cost_ms: list[float] = field(default_factory=list)
    """Of the process whose guests they are; none for those of another one."""
    before_ms: list[float] = field(default_factory=list)
    meanwhile_ms: list[float] = field(default_factory=list)
    leaving_ms: list[float] = field(default_factory=list)
    """The longest that any of the others waited for a round while the guests left."""

    def succeeded(self, guests: int) -> str:
        return f"{min(self.opened):,} of {guests:,}"

    def ratio(self) -> Spread:
        return Spread.of(
            [meanwhile / before for before, meanwhile in zip(self.before_ms, self.meanwhile_ms, strict=True)]
        )


def run(stage: Stage, options: Options) -> Report:
    guests = options.sockets or (500 if options.quick else GUESTS)
    report = Report(
        name="storm",
        title="Storm beside open sockets",
        columns=[
            "server",
            "what comes",
            "succeeded",
            "seconds",
            "CPU ms per connect, prices included",
            f"p99 of the {OPEN} others, ms, before",
            "meanwhile",
            "times as long",
            "longest while all leave, ms",
        ],
    )
    _storms(stage, "", (*OURS, FLOOR), guests, options, report, with_neighbours=True)
    with stage.on_sqlite() as on_sqlite:
        _storms(on_sqlite, " on SQLite", OURS, guests, options, report)
    return report


def _storms(
    stage: Stage,
    database: str,
    names: Sequence[str],
    guests: int,
    options: Options,
    report: Report,
    *,
    with_neighbours: bool = False,
) -> None:
    """Measure these rows on the database of this stage, in turns."""
    sides = raise_sides(stage, options.pick(names), report, sockets=OPEN, tokens=TOKENS, connected=False)
    stage.populate(agents=OPEN + guests, tokens=TOKENS, missed=EVENTS)
    visitors = {side.row.name: side.start_guests() for side in sides}
    measured: dict[tuple[Row, str, Storm], Measurements] = {}
    for side in sides:
        side.connect(OPEN)
        if with_neighbours and side.row.name in OURS:
            side.start_neighbour()
        side.rounds(5, INTERVAL_SECONDS)
    repetitions = options.times(3, 1)
    for repetition in range(1, repetitions + 1):
        for side in sides:
            note(f"{side.row.title}{database}: repetition {repetition} of {repetitions}")
            before = _p99(side.rounds(options.rounds or 50, INTERVAL_SECONDS, timed=True))
            for where in ("", ELSEWHERE) if side.neighbour else ("",):
                for storm in (NEW, BACK) if side.row.name in OURS else (NEW,):
                    into = measured.setdefault((side.row, where, storm), Measurements())
                    into.before_ms.append(before)
                    to = side.neighbour if where else None
                    _one(side, visitors[side.row.name], storm, guests, options, into, to=to)
    for side in sides:
        side.close()
    for (row, where, storm), each in measured.items():
        _show(row.title + database, storm.what + where, each, guests, report)
        if row.name in OURS and not where:  # the floor shows what a server without turns does
            _judge(f"{row.title}{database}, {storm.what}", each, guests, report)


def _one(
    side: Side,
    visitors: Child,
    storm: Storm,
    guests: int,
    options: Options,
    into: Measurements,
    *,
    to: Process | None,
) -> None:
    """Have the guests come, while prices are sent, and go again."""
    side.settle()
    cpu = side.cpu_seconds()
    side.send_guests(visitors, guests, query=storm.query, missed=storm.missed, to=to)
    rounds = options.rounds or max(10, round(storm.seconds / INTERVAL_SECONDS * guests / GUESTS))
    during = side.rounds(rounds, INTERVAL_SECONDS, timed=True)
    answer: dict[str, Any] = visitors.answer(300)
    side.settle()
    if to is None:
        into.cost_ms.append(1e3 * (side.cpu_seconds() - cpu) / guests)
    into.opened.append(answer["opened"])
    into.seconds.append(answer["seconds"])
    into.meanwhile_ms.append(_p99(during, within_seconds=answer["seconds"]))
    visitors.send("disconnect")
    leaving = side.rounds(LEAVING_ROUNDS, INTERVAL_SECONDS, timed=True)
    visitors.answer()
    into.leaving_ms.append(max(_waits(leaving)))
    side.settle()
    for problem in answer["problems"][:1]:
        note(problem)


def _show(title: str, what: str, each: Measurements, guests: int, report: Report) -> None:
    spreads = (
        Spread.of(each.seconds).text(1),
        Spread.of(each.cost_ms).text(2) if each.cost_ms else "",
        Spread.of(each.before_ms).text(0),
        Spread.of(each.meanwhile_ms).text(0),
        each.ratio().text(2),
        Spread.of(each.leaving_ms).text(0),
    )
    report.rows.append([title, what, each.succeeded(guests), *spreads])


def _judge(name: str, each: Measurements, guests: int, report: Report) -> None:
    bar = f"{name}: all succeed at the first try"
    figures = f"{each.succeeded(guests)}, in the worst storm"
    report.verdicts.append(Verdict(bar, figures, min(each.opened) == guests))
    bar = f"{name}: the p99 of the others is at most {MOST:g} × that before"
    ratio = each.ratio()
    report.verdicts.append(at_most(bar, ratio.median, MOST, figures=f"{ratio.text(2)} ×"))


def _p99(measured: Measured, *, within_seconds: float = float("inf")) -> float:
    return percentile(_waits(measured, within_seconds), 99)


def _waits(measured: Measured, within_seconds: float = float("inf")) -> list[float]:
    """Return the waits, in ms, from the broadcaster to the clients, of the rounds of the first seconds."""
    until = measured.began[0] + within_seconds
    return [
        1e3 * (arrived - began)
        for arrivals in measured.arrivals
        for began, arrived in zip(measured.began, arrivals, strict=False)
        if began <= until and not math.isnan(arrived)  # a round that the server skipped for a newer one
    ]
