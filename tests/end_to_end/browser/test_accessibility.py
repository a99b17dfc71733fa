"""axe-core finds nothing serious, in any state, in either theme, on a desk or on a phone."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect

from positions.models import Agent, Position
from positions.services import close_position
from tests.end_to_end.browser.conftest import Backstage
from tests.end_to_end.browser.test_appearance import DESK, DRAW_ALL, PHONE
from tests.end_to_end.browser.windows import HeldRequests, Window
from tests.live import PATIENCE_SECONDS

AXE = "axe-core@4.14.1"
# `color-contrast` of svg and of what the table's rows hide is not looked at by axe; test_appearance.py measures text.
RUN = """(options) => axe.run(document, { resultTypes: ["violations"], ...options }).then(({ violations }) =>
    violations.filter(({ impact }) => ["serious", "critical"].includes(impact)).flatMap(({ id, nodes }) =>
        nodes.map(({ target, failureSummary }) => `${id}: ${target.join(" ")}: ${failureSummary}`)))"""

COLORS = {"runOnly": ["color-contrast"]}


@pytest.fixture(scope="session")
def axe(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The source of axe-core, from the npm registry: a tool of the test, no part of the project."""
    if shutil.which("npm") is None:
        assert os.environ.get("CI") != "true", "no npm, which brings axe-core"
        pytest.skip("no npm, which brings axe-core")
    folder: Path = tmp_path_factory.mktemp("axe")
    subprocess.run(
        [
            "npm",
            "install",
            "--no-save",
            "--no-audit",
            "--no-fund",
            "--ignore-scripts",
            "--prefix",
            folder,
            AXE,
        ],
        check=True,
        capture_output=True,
        cwd=folder,
        timeout=6 * PATIENCE_SECONDS,
    )
    return (folder / "node_modules/axe-core/axe.min.js").read_text()


@pytest.mark.parametrize("options", [DESK, PHONE], ids=["desk", "phone"])
def test_nothing_serious_is_found(
    open_window: Callable[..., Window],
    portfolio: list[Position],
    feed: Backstage,
    axe: str,
    options: dict[str, Any],
) -> None:
    window = open_window(bypass_csp=True, **options)
    page = window.page
    page.goto(window.url)
    page.evaluate(axe)

    def look() -> None:
        page.evaluate(DRAW_ALL)  # what is hidden would keep the colours of the theme before
        page.emulate_media(color_scheme="dark")
        assert page.evaluate(RUN, {}) == []
        page.emulate_media(color_scheme="light")
        assert page.evaluate(RUN, COLORS) == []  # in the other theme, all else is the same

    expect(window.by_id("login")).to_be_visible()
    look()
    window.fill_in("alice", "wrong")
    expect(window.by_id("login-error")).to_be_visible()
    look()
    window.forgive_network_trouble()
    Agent.objects.create(owner=portfolio[0].agent.owner, name="beta", trading_mode="live")
    window.fill_in("alice", "alice-has-a-password")
    expect(window.by_id("agent-row")).to_have_count(3)
    look()
    page.goto(f"{window.url}/agents/{portfolio[0].agent_id}")
    page.evaluate(axe)
    window.expect_state("live")
    window.row(portfolio[-1]).hover()  # while somebody points at the table, a row that is gone stays
    close_position(position_id=portfolio[-1].pk, proceeds_sol=portfolio[-1].total_invested_sol)
    expect(window.by_id("closed-position")).to_have_count(1)
    expect(page.locator("#rows [data-gone]")).to_have_count(1)
    look()
    page.mouse.move(0, 0)
    expect(page.locator("#rows [data-gone]")).to_have_count(0)
    look()
    window.row(portfolio[0]).get_by_test_id("symbol").click()
    expect(window.by_id("details-history").locator("li")).to_have_count(1)
    look()
    window.by_id("close-position").click()
    look()
    window.by_id("sell-cancel").click()
    window.by_id("move-stop").click()
    window.by_id("stop-percentage").fill("-200")
    expect(window.by_id("stop-error")).to_be_visible()
    look()
    window.by_id("stop-cancel").click()
    window.close_details()
    window.by_id("alerts-open").evaluate("(button) => button.click()")
    window.by_id("alert-closed-sound").check()
    window.by_id("alerts-try").click()
    window.by_id("alerts-near").fill("0")
    expect(window.by_id("alerts-near-error")).to_be_visible()
    look()
    window.by_id("alerts-done").click()
    look()
    # It loads the page that was asked for as soon as the server answers, within seconds.
    HeldRequests(page, "**/health/live")
    page.goto(f"{window.url}/offline")
    page.evaluate(axe)
    look()
