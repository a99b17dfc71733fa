"""Readable in both colour schemes, on a desk and on a phone.

`NEXGENT_TEST_SCREENSHOTS=1` leaves screenshots in test-results/ to look at: half of what this costs.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from decimal import Decimal
from typing import Any, Literal

import pytest
from playwright.sync_api import expect

from positions import services
from positions.models import Agent, Position
from tests.end_to_end.browser.conftest import SCREENSHOTS, Backstage, pool
from tests.end_to_end.browser.windows import Window

SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")
DESK: dict[str, Any] = {"viewport": {"width": 1280, "height": 800}}
TABLET: dict[str, Any] = {"viewport": {"width": 820, "height": 1100}}
PHONE: dict[str, Any] = {
    "viewport": {"width": 360, "height": 780},
    "device_scale_factor": 2,
    "is_mobile": True,
}

# WCAG 2.2, 1.4.3: every visible text against the nearest opaque background behind it.
LOW_CONTRAST = """() => {
    const channels = (color) => color.match(/[\\d.]+/g).map(Number);
    const luminance = (color) => channels(color).slice(0, 3)
        .map((c) => c / 255).map((c) => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
        .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
    const background = (element) => {
        for (let e = element; e; e = e.parentElement) {
            const color = getComputedStyle(e).backgroundColor;
            if ((channels(color)[3] ?? 1) === 1) return color;
        }
        return "rgb(255, 255, 255)";
    };
    const found = [];
    for (const element of document.querySelectorAll("body *")) {
        const text = [...element.childNodes].filter((n) => n.nodeType === 3).map((n) => n.textContent.trim()).join("");
        if (!text || !element.checkVisibility() || element.matches("option, noscript *, :disabled")) continue;
        const [a, b] = [luminance(getComputedStyle(element).color), luminance(background(element))];
        const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
        if (ratio < 4.5) found.push(`${text}: ${ratio.toFixed(2)}`);
    }
    return found;
}"""
# Only what can be seen is drawn (positions.css): a picture of the whole page wants all.
DRAW_ALL = (
    "document.querySelectorAll('#rows tr').forEach((row) => { row.style.contentVisibility = 'visible'; })"
)
CUT_OFF = """() => {
    const right = document.documentElement.clientWidth - 1;
    return [...document.querySelectorAll("#login *, header *, main *, dialog[open] *")]
        .filter((element) => element.checkVisibility() &&
            !element.closest(".visually-hidden, thead, option, .scroll:not(.positions *), svg, .closed"))
        .filter((element) => element.getBoundingClientRect().right > right + (element.closest("dialog") ? 2 : 0) ||
            (element.matches("td") && element.scrollWidth > element.clientWidth))
        .map((element) => element.dataset.testid ?? element.outerHTML);
}"""


@pytest.mark.parametrize(("device", "options"), [("desk", DESK), ("tablet", TABLET), ("phone", PHONE)])
def test_page_is_readable_and_fits(
    open_window: Callable[..., Window], portfolio: list[Position], feed: Backstage, device, options
) -> None:
    window = open_window(**options)
    window.page.goto(window.url)
    wanted = os.environ.get("NEXGENT_TEST_SCREENSHOTS") == "1"
    if wanted:
        SCREENSHOTS.mkdir(exist_ok=True)

    def look(name: str, *, whole: bool = True) -> None:
        window.page.evaluate(DRAW_ALL)
        assert window.page.evaluate(CUT_OFF) == []
        for scheme in SCHEMES:
            window.page.emulate_media(color_scheme=scheme)
            if wanted:
                window.page.screenshot(path=SCREENSHOTS / f"{name}-{device}-{scheme}.png", full_page=whole)
            assert window.page.evaluate(LOW_CONTRAST) == [], scheme

    expect(window.by_id("login")).to_be_visible()
    look("login")
    window.fill_in("alice", "wrong")
    expect(window.by_id("login-error")).to_be_visible()
    look("login-wrong")
    window.forgive_network_trouble()
    Agent.objects.create(owner=portfolio[0].agent.owner, name="beta")
    window.fill_in("alice", "alice-has-a-password")
    expect(window.by_id("agent-row")).to_have_count(3)
    look("overview")
    window.choose("alpha (simulation)")
    expect(window.by_id("positions")).to_be_visible()
    expect(window.by_id("price-source")).to_be_visible()
    look("positions")
    # The first of them is there without scrolling, and what the connection is remains after it.
    box = window.rows().first.bounding_box()
    assert box is not None
    assert box["y"] < 0.7 * options["viewport"]["height"]
    window.page.mouse.wheel(0, 2000)
    expect(window.by_id("connection")).to_be_in_viewport()
    window.page.mouse.wheel(0, -2000)
    window.by_id("currency-usd").evaluate("(choice) => choice.click()")
    look("positions-usd")
    window.by_id("alerts-open").evaluate("(button) => button.click()")  # on a phone it is in the menu
    window.by_id("alert-closed-sound").check()
    window.by_id("alerts-try").click()
    expect(window.by_id("alerts-list").locator("li")).to_have_count(1)
    window.by_id("alerts-near").fill("0")
    expect(window.by_id("alerts-near-error")).to_be_visible()
    look("alerts", whole=False)
    window.by_id("alerts-done").click()
    look("alerts-list", whole=False)
    window.by_id("alerts-clear").click()
    window.row(portfolio[0]).get_by_test_id("symbol").click()
    expect(window.by_id("details-history").locator("li")).to_have_count(1)
    look("details", whole=False)
    window.by_id("close-position").click()
    look("close", whole=False)
    window.by_id("sell-cancel").click()
    window.by_id("move-stop").click()
    look("stop-loss", whole=False)
    window.by_id("stop-percentage").fill("-200")
    expect(window.by_id("stop-error")).to_be_visible()
    look("stop-loss-wrong", whole=False)
    window.by_id("stop-cancel").click()
    window.close_details()
    window.row(portfolio[1]).get_by_test_id("symbol").click()
    expect(window.by_id("price-note")).to_be_visible()
    look("details-thin", whole=False)
    window.by_id("close-position").click()
    expect(window.by_id("sell-confirm")).to_be_disabled()
    look("close-thin", whole=False)
    window.by_id("sell-cancel").click()
    window.close_details()
    # Its price is live for a minute.
    feed.quote(portfolio[0], "0.0000025", "0.00046875", pool("live", "400000000", "1000"))
    window.row(portfolio[0]).get_by_test_id("symbol").click()
    window.page.route("**/api/positions/*/close/", lambda route: route.abort())
    window.by_id("close-position").click()
    window.by_id("sell-confirm").click()
    expect(window.by_id("toast-error")).to_be_visible()
    look("close-failed", whole=False)
    window.forgive_network_trouble()
    window.by_id("toasts").get_by_role("button").click()
    window.close_details()
    for position in portfolio:
        services.close_position(position_id=position.pk, proceeds_sol=Decimal(1))
    expect(window.by_id("empty")).to_be_visible()
    expect(window.by_id("closed-position")).to_have_count(len(portfolio))
    look("empty")


def test_flash_is_played_unless_motion_is_unwanted(
    open_window: Callable[..., Window], bonk: Position, feed: Backstage
) -> None:
    window = open_window(reduced_motion="no-preference").log_in()
    window.expect_row(bonk, value="2.0000")
    animation = "(cell) => getComputedStyle(cell).animationName"
    price = window.row(bonk).get_by_test_id("price")
    names = []
    for quote in ("0.000003", "0.000004", "0.000001"):
        feed.quote(bonk, quote, None)
        expect(price).to_have_text(f"0.0₅{quote[-1]}0000")
        names.append(price.evaluate(animation))
    assert names == ["flash-up", "flash-up-again", "flash-down"]
    window.page.emulate_media(reduced_motion="reduce")
    assert price.evaluate(animation) == "none"


def test_every_control_has_a_name(window: Window, bonk: Position) -> None:
    window.page.goto(window.url)
    page = window.page
    for role, name in [("textbox", "User name"), ("textbox", "Password"), ("button", "Log in")]:
        expect(page.get_by_role(role, name=name)).to_be_visible()  # type: ignore[arg-type]
    window.fill_in("alice", "alice-has-a-password")
    window.expect_state("live")
    expect(page.get_by_role("combobox", name="Agent")).to_be_visible()
    expect(page.get_by_role("button", name="Log out")).to_be_visible()
    expect(page.get_by_role("status").filter(has_text="Live")).to_be_visible()
    expect(page.get_by_role("table", name="Open positions")).to_be_visible()
    expect(page.get_by_role("columnheader")).to_have_count(12)
    for role, name in [
        ("radio", "SOL"),
        ("radio", "USD"),
        ("combobox", "Theme"),
        ("searchbox", "Filter positions"),
        ("button", "Value"),
        ("button", "the address of BONK"),
        ("region", "Totals"),
        ("region", "Closed positions"),
    ]:
        expect(page.get_by_role(role, name=name).first).to_be_visible()  # type: ignore[arg-type]
    page.set_viewport_size({"width": 360, "height": 780})  # cards now, a table still
    expect(page.get_by_role("row", name="BONK").get_by_role("cell")).to_have_count(9)  # none of it is none
