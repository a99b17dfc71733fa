"""What the page costs: 500 positions, 10 rounds of prices a second, every price changing in every round.

    .venv/bin/python -m pytest -q -s tests/end_to_end/browser/performance.py

Not part of the tests, since times depend on the machine. test_load.py counts the work behind them.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import expect

from positions.models import Wallet
from realtime.publish.broadcast import broadcast_prices
from tests.end_to_end.browser.conftest import Backstage
from tests.end_to_end.browser.portfolios import MANY, many_positions, rounds
from tests.end_to_end.browser.windows import Window

ROUNDS_A_SECOND = 10
SECONDS = 20
SETTLE_SECONDS = 3
WATCH = """() => {
    window.long = [];
    new PerformanceObserver((list) => {
        for (const entry of list.getEntries()) window.long.push(Math.round(entry.duration));
    }).observe({ type: "long-animation-frame" });
}"""


def processor_seconds(kind: str) -> float:
    """Return what the browser's processes of this kind have used of the processor so far."""
    ticks = 0
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if f"--type={kind}".encode() in (process / "cmdline").read_bytes():
                after_name = (process / "stat").read_text().rpartition(")")[2].split()
                ticks += int(after_name[11]) + int(after_name[12])
        except (FileNotFoundError, ProcessLookupError):
            continue
    return ticks / os.sysconf("SC_CLK_TCK")


@pytest.mark.parametrize("motion", ["no-preference", "reduce"])
def test_measure(open_window: Callable[..., Window], wallet: Wallet, feed: Backstage, motion: str) -> None:
    positions = many_positions(wallet)
    window = open_window(reduced_motion=motion).log_in()
    window.expect_state("live")
    expect(window.rows()).to_have_count(MANY)
    market = rounds(positions)
    devtools = window.page.context.new_cdp_session(window.page)
    devtools.send("Performance.enable")

    def tick(seconds: float) -> int:
        ends, done = time.monotonic() + seconds, 0
        while time.monotonic() < ends:
            due = time.monotonic() + 1 / ROUNDS_A_SECOND
            feed.run(broadcast_prices(next(market)))
            done += 1
            time.sleep(max(0.0, due - time.monotonic()))
        return done

    def metrics() -> dict[str, float]:
        answer = devtools.send("Performance.getMetrics")["metrics"]
        return {each["name"]: each["value"] for each in answer}

    tick(SETTLE_SECONDS)
    window.page.evaluate(WATCH)
    before, renderer = metrics(), processor_seconds("renderer")
    started = time.monotonic()
    done = tick(SECONDS)
    elapsed = time.monotonic() - started
    after = metrics()
    shares = {
        name: 100 * (after[f"{name}Duration"] - before[f"{name}Duration"]) / elapsed
        for name in ("Task", "Script", "Layout", "RecalcStyle")
    }
    used = 100 * (processor_seconds("renderer") - renderer) / elapsed
    long = window.page.evaluate("() => window.long")
    print(  # noqa: T201
        f"\nmotion {motion}: {MANY} positions, {done / elapsed:.1f} rounds/s for {elapsed:.0f} s:"
        f" renderer process {used:.1f} % of a core; main thread {shares['Task']:.1f} %"
        f" (script {shares['Script']:.1f}, layout {shares['Layout']:.1f}, style {shares['RecalcStyle']:.1f});"
        f" frames over 50 ms: {len(long)} {sorted(long, reverse=True)[:5]}"
    )
