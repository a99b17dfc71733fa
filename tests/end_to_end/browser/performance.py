"""What the page costs: 500 positions, 10 rounds of prices a second, every price changing in every round.

    .venv/bin/python -m pytest -q -s tests/end_to_end/browser/performance.py

Not part of the tests, since times depend on the machine. test_load.py counts the work behind them.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from playwright.sync_api import expect

from positions.models import Wallet
from realtime.publish.broadcast import broadcast_prices
from tests.end_to_end.browser.conftest import Backstage
from tests.end_to_end.browser.portfolios import MANY, many_positions, rounds
from tests.end_to_end.browser.test_charts import MINUTE, opened_ago, record, record_value
from tests.end_to_end.browser.windows import Window

ROUNDS_A_SECOND = 10
MINUTES = 24 * 60  # of history, where a chart shows it
SECONDS = 20
SETTLE_SECONDS = 3
WATCH = """() => {
    window.long = [];
    new PerformanceObserver((list) => {
        for (const { duration, startTime, styleAndLayoutStart, scripts } of list.getEntries()) {
            const end = startTime + duration;
            window.long.push({
                ms: Math.round(duration),
                scripts: Math.round(scripts.reduce((sum, each) => sum + each.duration, 0)),
                layout: styleAndLayoutStart ? Math.round(end - styleAndLayoutStart) : 0,
                longest: scripts.toSorted((a, b) => b.duration - a.duration)[0]?.invoker ?? "",
            });
        }
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


@pytest.mark.parametrize(
    ("motion", "shown"),
    [
        ("no-preference", ""),
        ("reduce", ""),
        ("no-preference", "alerts"),
        ("no-preference", "value"),
        ("no-preference", "price"),
    ],
)
def test_measure(
    open_window: Callable[..., Window], wallet: Wallet, feed: Backstage, motion: str, shown: str
) -> None:
    positions = many_positions(wallet)
    window = open_window(reduced_motion=motion)
    if shown in {"value", "price"}:
        minute = datetime.now(UTC).replace(second=0, microsecond=0)
        for n in range(MINUTES, 0, -1):
            record_value(wallet, minute - n * MINUTE, str(1000 + n % 60), "1000", positions=MANY)
        start, price = opened_ago(positions[0], MINUTES * MINUTE), positions[0].purchase_price
        record(positions[0], start, *[price * (60 + n % 7) / 60 for n in range(MINUTES)])
    if shown == "alerts":
        chosen = json.dumps({"near": "3", "closed": ["title"], "stop": ["title"], "price": ["title"]})
        name = json.dumps(f"nexgent.alerts.alice.{wallet.agent_id}")
        window.page.add_init_script(f"localStorage.setItem({name}, {json.dumps(chosen)})")
    window.log_in()
    window.expect_state("live")
    expect(window.rows()).to_have_count(MANY)
    if shown in {"value", "price"}:
        window.by_id("performance").locator("summary").click()
        # Not expect(): each time that it looks again, it describes all rows, for seconds.
        window.by_id("value-chart-plot").wait_for()
    if shown == "price":
        window.row(positions[0]).get_by_test_id("symbol").click()
        window.by_id("price-chart-plot").wait_for()
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
    long = sorted(window.page.evaluate("() => window.long"), key=lambda frame: -frame["ms"])
    print(  # noqa: T201
        f"\nmotion {motion}, shown: {shown or 'positions'}: {MANY} positions,"
        f" {done / elapsed:.1f} rounds/s for {elapsed:.0f} s:"
        f" renderer process {used:.1f} % of a core; main thread {shares['Task']:.1f} %"
        f" (script {shares['Script']:.1f}, layout {shares['Layout']:.1f}, style {shares['RecalcStyle']:.1f});"
        f" frames over 50 ms: {len(long)} {long[:5]}; load of the machine {os.getloadavg()[0]:.1f}"
    )
