"""Writes docs/performance.md: replaces what is between markers, and keeps the prose around it.

docs/performance/results.json keeps the last report of each workload, so that a run of one does not change the others.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

from benchmarks import capacity
from benchmarks.drawing import draw
from benchmarks.report import Report
from testbed.processes import ROOT

PAGE = ROOT / "docs/performance.md"
FOLDER = ROOT / "docs/performance"


def write(new: list[Report], *, page: Path = PAGE, folder: Path = FOLDER) -> None:
    """Put these reports into the document, in place of earlier ones of the same workloads."""
    folder.mkdir(exist_ok=True)
    stored = folder / "results.json"
    reports = {name: Report.from_json(each) for name, each in _read(stored).items()}
    reports.update({report.name: report for report in new})
    data = {name: report.as_json() for name, report in reports.items()}
    stored.write_text(json.dumps(data, indent=1, ensure_ascii=False) + "\n")
    text = page.read_text()
    for report in reports.values():
        if report.chart is not None and report.chart.bars:
            (folder / f"{report.name}.svg").write_text(draw(report.chart))
        text = _replace(text, report.name, _section(report, folder))
    costs = capacity.unit_costs(reports)
    if costs is not None:
        text = _replace(text, "capacity", capacity.text(costs))
    page.write_text(text)


def _read(stored: Path) -> dict[str, dict[str, object]]:
    return dict(json.loads(stored.read_text())) if stored.exists() else {}


def _section(report: Report, folder: Path) -> str:
    parts = [f"{report.when}, `{report.command}`: {report.machine}; {report.versions}.", report.table()]
    if report.chart is not None and report.chart.bars:
        parts.append(f"![{report.chart.title}]({folder.name}/{report.name}.svg)")
    if report.void:
        parts.append("\n".join(f"- void: {line[:300]}" for line in report.void))
    parts.append("\n".join(f"- {verdict.text()}" for verdict in report.verdicts))
    return "\n\n".join(parts)


def _replace(text: str, name: str, content: str) -> str:
    begin, end = f"<!-- {name}: written by make bench -->", f"<!-- {name}: end -->"
    pattern = re.compile(re.escape(begin) + ".*?" + re.escape(end), re.DOTALL)
    if not pattern.search(text):
        raise ValueError(f"docs/performance.md has no markers for {name!r}: {begin} … {end}")
    return pattern.sub(lambda _: f"{begin}\n{content}\n{end}", text)
