"""A chart as SVG: one bar per row, a line from minimum to maximum. As text, so that a new run is a readable diff."""

from __future__ import annotations

import math
from html import escape

from benchmarks.report import Chart

WIDTH, LABELS, RIGHT = 900, 360, 120
ROW, TOP, BOTTOM = 26, 46, 34
OURS, OTHERS, INK, PAPER = "#2563eb", "#9ca3af", "#111827", "#ffffff"


def draw(chart: Chart) -> str:
    """Return the SVG. A logarithmic axis begins at the power of ten below the smallest figure."""
    height = TOP + ROW * len(chart.bars) + BOTTOM
    most = max(bar.spread.most for bar in chart.bars)
    least = min(bar.spread.least for bar in chart.bars)
    begin = 10 ** math.floor(math.log10(max(least, 1e-3))) if chart.logarithmic else 0.0

    def x(value: float) -> float:
        space = WIDTH - LABELS - RIGHT
        if chart.logarithmic:
            value, whole = math.log10(max(value, begin) / begin), math.log10(most / begin)
        else:
            whole = most
        return round(LABELS + space * value / whole, 1)

    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}">',
        '<g font-family="sans-serif" font-size="13">',
        f'<rect width="{WIDTH}" height="{height}" fill="{PAPER}"/>',
        f'<text x="16" y="26" font-size="16" font-weight="bold" fill="{INK}">{escape(chart.title)}</text>',
    ]
    for place, (label, spread, ours) in enumerate(chart.bars):
        y = TOP + ROW * place
        end, colour = x(spread.median), OURS if ours else OTHERS
        lines += [
            f'<text x="{LABELS - 10}" y="{y + 16}" text-anchor="end" fill="{INK}">{escape(label)}</text>',
            f'<rect x="{LABELS}" y="{y + 3}" width="{max(end - LABELS, 1):.1f}" height="18" fill="{colour}"/>',
            f'<path d="M{x(spread.least)} {y + 12}H{x(spread.most)}" stroke="{INK}" stroke-width="1.5"/>',
            f'<text x="{max(end, x(spread.most)) + 8}" y="{y + 16}" fill="{INK}">{spread.median:,.1f}</text>',
        ]
    axis = f"{chart.unit}; the line: least to most" + (", logarithmic" if chart.logarithmic else "")
    lines += [
        f'<text x="{LABELS}" y="{height - 12}" fill="{INK}">{escape(axis)}</text>',
        "</g>",
        "</svg>",
        "",
    ]
    return "\n".join(lines)
