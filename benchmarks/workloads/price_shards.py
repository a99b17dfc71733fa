"""Price shards: what a round costs a process whose sockets hold few tokens, by the number of shards it is sent in."""

from __future__ import annotations

from typing import NamedTuple

from benchmarks.report import Bar, Chart, Report, Spread, Verdict, at_most
from benchmarks.side import Side
from benchmarks.stage import Stage
from benchmarks.workloads import Options, note, raise_sides

TOKENS = 20_000
SHARDS = (1, 4, 16, 256)
SOCKETS = (1, 10)
"""Each holds ten tokens, which no other has."""
INTERVAL_SECONDS = 1.0
FLAT = 1.15


class Cell(NamedTuple):
    sockets: int
    shards: int

    def __str__(self) -> str:
        return f"{10 * self.sockets} tokens, {self.shards} shard{'s' if self.shards > 1 else ''}"


class Figures(NamedTuple):
    """Of one round."""

    kilobytes: float
    cpu_ms: float


def run(stage: Stage, options: Options) -> Report:
    report = Report(
        name="price-shards",
        title="Price shards",
        columns=["server", "tokens held", "shards", "of which joined", "kB per round", "CPU ms per round"],
    )
    (row,) = options.pick(["ours-uvicorn"]) or options.pick(["ours-daphne"])
    tokens = TOKENS // 10 if options.quick else TOKENS
    sides: dict[Cell, Side] = {}
    for sockets in SOCKETS:
        for shards in SHARDS:
            for side in raise_sides(
                stage, [row], report, sockets=sockets, tokens=tokens, shards=shards, disk=False
            ):
                sides[Cell(sockets, shards)] = side
    figures: dict[Cell, list[Figures]] = {cell: [] for cell in sides}
    repetitions = options.times(5, 2)
    for repetition in range(repetitions + 1):
        note(f"repetition {repetition} of {repetitions}" if repetition else "warming up")
        for cell, side in sides.items():
            measured = _measure(side, options.rounds or 5)
            if isinstance(measured, str):
                report.void.append(f"{cell}: {measured}")
            elif repetition:
                figures[cell].append(measured)
    bars = []
    for cell, found in figures.items():
        if not found:
            continue
        kilobytes = Spread.of([each.kilobytes for each in found])
        cpu = Spread.of([each.cpu_ms for each in found])
        joined = _joined(sides[cell])
        report.rows.append(
            [
                row.title,
                str(10 * cell.sockets),
                str(cell.shards),
                str(joined),
                f"{kilobytes.median:,.0f}",
                cpu.text(),
            ]
        )
        bars.append(Bar(str(cell), cpu, ours=True))
        report.figures[f"kB per round, {cell}"] = kilobytes.median
        report.figures[f"CPU ms per round, {cell}"] = cpu.median
    for side in sides.values():
        side.close()
    report.chart = Chart(
        f"A round of {tokens:,} tokens to a process that holds few of them",
        "CPU ms of the process per round",
        bars,
    )
    report.verdicts += [
        _verdict(report, "kB", Cell(1, 16), Cell(1, 1), 0.6),
        _verdict(report, "CPU ms", Cell(1, 16), Cell(1, 1), 0.8),
        _verdict(report, "CPU ms", Cell(10, 16), Cell(10, 1), FLAT),
    ]
    return report


def _measure(side: Side, rounds: int) -> Figures | str:
    """Return what some rounds have cost, or why they do not count."""
    before = _written(side)
    measured = side.rounds(rounds, INTERVAL_SECONDS)
    if measured.skipped:
        measured.problems.append(f"{measured.skipped} prices were skipped")
    if measured.problems:
        return "; ".join(measured.problems)
    return Figures((_written(side) - before) / rounds / 1e3, 1e3 * measured.cpu_seconds / rounds)


def _written(side: Side) -> int:
    """Return the bytes that Valkey has written to the process's subscription."""
    return sum(int(client["tot-net-out"]) for client in side.valkey.client_list(_type="pubsub"))


def _joined(side: Side) -> int:
    """Return how many groups the process is a member of, without that for all where there are several."""
    groups = side.valkey.pubsub_channels("*__group__prices*")
    return max(1, len(groups) - 1)


def _verdict(report: Report, what: str, cell: Cell, against: Cell, most: float) -> Verdict:
    bar = f"{what} of a round: {cell} take at most {most:g} × {against}"
    values = [report.figures.get(f"{what} per round, {each}") for each in (cell, against)]
    if None in values:
        return Verdict(bar, "a row is missing", None)
    one, other = (value or 0.0 for value in values)
    return at_most(bar, one / other, most, figures=f"{one:,.1f} / {other:,.1f} = {one / other:.2f}")
