"""5,000 clients at once, beside 500 that are connected and get prices; then as many that come back with `lastSeq`."""

from __future__ import annotations

import math
from typing import Any

from benchmarks.report import Report, Verdict, at_most
from benchmarks.side import Measured
from benchmarks.stage import Stage
from benchmarks.workloads import Options, note, percentile, raise_sides

OPEN = 500
GUESTS = 5_000
TOKENS = 220
"""A market of its own: its agents have events."""
EVENTS = 20
"""What each that comes back has missed."""
INTERVAL_SECONDS = 0.2
MOST = 2.0


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
        ],
    )
    _storms(stage, "", guests, options, report)
    with stage.on_sqlite() as on_sqlite:
        _storms(on_sqlite, " on SQLite", guests, options, report)
    return report


def _storms(stage: Stage, database: str, guests: int, options: Options, report: Report) -> None:
    """Measure both servers on the database of this stage."""
    rows = options.pick(("ours-uvicorn", "ours-daphne"))
    sides = raise_sides(stage, rows, report, sockets=OPEN, tokens=TOKENS, connected=False)
    stage.populate(agents=OPEN + guests, tokens=TOKENS, missed=EVENTS)
    for side in sides:
        title = side.row.title + database
        side.connect(OPEN)
        side.rounds(5, INTERVAL_SECONDS)
        before = _p99(side.rounds(options.rounds or 50, INTERVAL_SECONDS, timed=True))
        visitors = side.start_guests()
        for what, query, missed in (
            ("new clients", "", 0),
            (f"{EVENTS} missed events each", "&lastSeq=0", EVENTS),
        ):
            note(f"{title}: {what}")
            side.settle()
            cpu = side.cpu_seconds()
            side.send_guests(visitors, guests, query=query, missed=missed)
            during = side.rounds(options.rounds or max(10, guests // 50), INTERVAL_SECONDS, timed=True)
            answer: dict[str, Any] = visitors.answer(300)
            side.settle()
            cost = 1e3 * (side.cpu_seconds() - cpu) / guests
            meanwhile = _p99(during, within_seconds=answer["seconds"])
            visitors.ask("disconnect")
            report.rows.append(
                [title, what, f"{answer['opened']:,} of {guests:,}", f"{answer['seconds']:.1f}", f"{cost:.2f}",
                 f"{before:.0f}", f"{meanwhile:.0f}"]
            )  # fmt: skip
            for problem in answer["problems"][:1]:
                note(problem)
            bar = f"{title}, {what}: all succeed at the first try"
            figures = f"{answer['opened']:,} of {guests:,}"
            report.verdicts.append(Verdict(bar, figures, answer["opened"] == guests))
            bar = f"{title}, {what}: the p99 of the others is at most {MOST:g} × that before"
            ratio = meanwhile / before
            figures = f"{meanwhile:.0f} / {before:.0f} = {ratio:.2f}"
            report.verdicts.append(at_most(bar, ratio, MOST, figures=figures))
        side.close()


def _p99(measured: Measured, *, within_seconds: float = float("inf")) -> float:
    """Return the 99th percentile, in ms, from the broadcaster to the clients, of the rounds of the first seconds."""
    until = measured.began[0] + within_seconds
    took = [
        1e3 * (arrived - began)
        for arrivals in measured.arrivals
        for began, arrived in zip(measured.began, arrivals, strict=False)
        if began <= until and not math.isnan(arrived)  # a round that the server skipped for a newer one
    ]
    return percentile(took, 99)
