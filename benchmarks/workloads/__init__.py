"""What is measured. Each module has one `run(stage, options) -> Report`."""

from __future__ import annotations

import statistics
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.children import ChildError
from benchmarks.report import Report, Spread
from benchmarks.rows import BY_NAME, MissingError, Row
from benchmarks.side import Measured, Side, start_side
from benchmarks.stage import Stage

MOST_TRIES = 3
ON_DJANGO = (
    "ours-daphne", "ours-uvicorn", "tutorial-core-daphne", "tutorial-pubsub-daphne", "tutorial-pubsub-uvicorn",
)  # fmt: skip
"""The rows whose positions can be changed."""


@dataclass(frozen=True, slots=True)
class Options:
    """The command line's options."""

    quick: bool = False
    rows: frozenset[str] = frozenset()
    """Only these; all if empty."""
    repetitions: int | None = None
    sockets: int | None = None
    rounds: int | None = None

    def pick(self, names: Iterable[str]) -> list[Row]:
        return [BY_NAME[name] for name in names if not self.rows or name in self.rows]

    def times(self, usual: int, quick: int) -> int:
        return self.repetitions or (quick if self.quick else usual)


def note(text: str) -> None:
    """Report progress."""
    sys.stderr.write(f"  {text}\n")
    sys.stderr.flush()


def raise_sides(
    stage: Stage, rows: Sequence[Row], report: Report, *, sockets: int, tokens: int, **options: Any
) -> list[Side]:
    """Start these rows; one that cannot be started is void, with the reason."""
    sides = []
    for row in rows:
        note(f"starting {row.name}, {sockets} sockets")
        try:
            sides.append(start_side(stage, row, sockets=sockets, tokens=tokens, **options))
        except (ChildError, MissingError) as error:
            report.void.append(f"{row.title}: {error}")
            note(f"void: {row.name}: {error}")
    return sides


class Costs:
    """Measurements by row; a row is void as soon as a message is wrong or missing."""

    def __init__(self, report: Report) -> None:
        self._report = report
        self._costs: dict[str, list[float]] = {}
        self._seconds: dict[str, tuple[float, float]] = {}
        self.bytes: dict[str, float] = {}
        self.repeated: dict[str, int] = {}
        self._void: set[str] = set()

    def add(self, name: str, measure: Callable[[], Measured]) -> None:
        """Measure, and repeat if other load on the machine made this server skip rounds."""
        measured = measure()
        for _ in range(MOST_TRIES - 1):
            if measured.problems or not measured.skipped:
                break
            note(f"{name}: {measured.skipped} prices were skipped, as for slow clients; measured again")
            measured = measure()
        if measured.skipped:
            measured.problems.append(f"{measured.skipped} prices were skipped")
        if measured.problems:
            if name not in self._void:
                self._report.void.append(f"{name}: {'; '.join(measured.problems)}")
                note(f"void: {name}: {measured.problems[0]}")
            self._void.add(name)
            return
        self._costs.setdefault(name, []).append(measured.cost_us)
        cpu, user = self._seconds.get(name, (0.0, 0.0))
        self._seconds[name] = cpu + measured.cpu_seconds, user + measured.user_seconds
        self.repeated[name] = self.repeated.get(name, 0) + measured.repeated
        self.bytes[name] = measured.bytes / measured.delivered

    def user_share(self, name: str) -> float:
        """Return how much of the CPU time of all repetitions was in user mode; the rest is the kernel's."""
        cpu, user = self._seconds[name]
        return user / cpu

    def spreads(self) -> dict[str, Spread]:
        return {name: Spread.of(values) for name, values in self._costs.items() if name not in self._void}


def percentile(values: Sequence[float], percent: int) -> float:
    """Return a percentile by linear interpolation."""
    return statistics.quantiles(values, n=100, method="inclusive")[percent - 1]
