"""The result of a workload: figures with their spread, verdicts on claims, and their text."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, NamedTuple


class Spread(NamedTuple):
    """One figure, measured several times."""

    median: float
    least: float
    most: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        return cls(statistics.median(values), min(values), max(values))

    def text(self, decimals: int = 1) -> str:
        return f"{self.median:,.{decimals}f} ({self.least:,.{decimals}f}–{self.most:,.{decimals}f})"


class Verdict(NamedTuple):
    """A claim, and whether it holds."""

    bar: str
    figures: str
    """The figures behind it, so that a reader can check the calculation."""
    holds: bool | None
    """None if a row that it needs is missing."""

    def text(self) -> str:
        word = {True: "holds", False: "FALLS SHORT", None: "not measured"}[self.holds]
        return f"{word}: {self.bar} ({self.figures})"


class Bar(NamedTuple):
    """One line of a chart."""

    label: str
    spread: Spread
    ours: bool


@dataclass(slots=True)
class Chart:
    title: str
    unit: str
    bars: list[Bar]
    logarithmic: bool = False


@dataclass(slots=True)
class Report:
    """All results of one workload. Survives JSON, so that the document can be rewritten without measuring."""

    name: str
    title: str
    columns: list[str]
    rows: list[list[str]] = field(default_factory=list)
    verdicts: list[Verdict] = field(default_factory=list)
    chart: Chart | None = None
    void: list[str] = field(default_factory=list)
    """Rows that are missing or whose messages were incomplete or wrong, with the reason."""
    figures: dict[str, float] = field(default_factory=dict)
    """Unit costs, for the capacity model."""
    when: str = ""
    machine: str = ""
    versions: str = ""
    command: str = ""

    def table(self) -> str:
        lines = [self.columns, ["---", *["--:"] * (len(self.columns) - 1)], *self.rows]
        return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)

    def text(self) -> str:
        parts = [
            self.table(),
            *(f"void: {line}" for line in self.void),
            *(each.text() for each in self.verdicts),
        ]
        return "\n".join([parts[0], "", *parts[1:]])

    def as_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Report:
        report = cls(**data)
        report.verdicts = [Verdict(*each) for each in report.verdicts]
        if report.chart is not None:
            chart: Any = report.chart
            bars = [Bar(label, Spread(*spread), ours) for label, spread, ours in chart["bars"]]
            report.chart = Chart(chart["title"], chart["unit"], bars, chart["logarithmic"])
        return report


def at_most(bar: str, value: float | None, limit: float, *, figures: str = "") -> Verdict:
    """Return the verdict that a value is at most a bar; None is a missing value."""
    if value is None:
        return Verdict(bar, figures or "a row is missing", None)
    return Verdict(bar, figures or f"{value:.2f}", value <= limit)


def ratio(costs: dict[str, Spread], of: str, to: str, *, decimals: int = 1) -> tuple[float | None, str]:
    """Return the ratio of two rows' median costs, and the calculation as text."""
    if of not in costs or to not in costs:
        return None, "a row is missing"
    value = costs[of].median / costs[to].median
    return value, f"{costs[of].median:.{decimals}f} / {costs[to].median:.{decimals}f} = {value:.2f}"
