"""Every agent and every position has an address; all agents are shown at a glance."""

# ruff: noqa: RUF001  the page writes a real minus sign

from __future__ import annotations

from decimal import Decimal

import pytest
from django.contrib.auth.models import User
from playwright.sync_api import expect

from positions import services
from positions.models import Agent, Position, Wallet
from tests.end_to_end.browser.conftest import Backstage, buy
from tests.end_to_end.browser.windows import Window

UNKNOWN = "0f7a4c1e-5d26-4b8e-9c3a-6f1d2e8b7a90"


@pytest.fixture
def wif(alice: User, bonk: Position) -> Position:
    """Another agent's, with live money: a hundred WIF for 4 SOL."""
    beta = Agent.objects.create(owner=alice, name="beta", trading_mode="live")
    return buy(
        Wallet.objects.create(agent=beta, address="B" * 43, kind="live"), "WIF", tokens="100", spent_sol="4"
    )


def at(window: Window, path: str) -> str:
    return f"{window.url.rstrip('/')}{path}"


def test_all_agents_are_shown_at_a_glance_with_live_and_simulated_apart(
    window: Window, bonk: Position, wif: Position, wallet: Wallet, feed: Backstage
) -> None:
    feed.report(sol_usd=Decimal(200))
    feed.quote(bonk, "0.0000025", "0.0005")
    feed.quote(wif, "0.03", "6")
    window.log_in()
    expect(window.by_id("overview")).to_be_visible()
    expect(window.by_id("overview-title")).to_be_focused()
    expect(window.by_id("performance")).to_be_hidden()  # it is one agent's
    simulated, live = (
        window.by_id(f"overview-{mode}").get_by_test_id("agent-row") for mode in ("simulation", "live")
    )
    expect(simulated.get_by_test_id("agent-name")).to_have_text("alpha")
    for name, text in {"value": "2.5000", "profit": "+0.5000", "return": "+25.00%", "held": "1"}.items():
        expect(simulated.get_by_test_id(name)).to_have_text(text)
    for name, text in {
        "value": "3.0000",
        "profit": "−1.0000",
        "profit-usd": "−$200.00",
        "best": "WIF",
    }.items():
        expect(live.get_by_test_id(name)).to_have_text(text)
    assert window.sockets == 0
    # What happens meanwhile appears, new agents too.
    gamma = Agent.objects.create(owner=wif.agent.owner, name="gamma")
    third = Wallet.objects.create(agent=gamma, address="C" * 43)
    buy(third, "JUP", tokens="10", spent_sol="1")
    expect(simulated.get_by_test_id("agent-name")).to_have_text(["alpha", "gamma"])
    expect(window.by_id("overview-simulation-sum").get_by_test_id("value")).to_have_text("3.5000")
    expect(simulated.get_by_test_id("agent-rank")).to_have_text(["best", "worst"])
    expect(window.by_id("agent").locator("option")).to_have_count(4)
    live.get_by_test_id("value").click()
    window.expect_row(wif, value="3.0000")
    expect(window.page).to_have_url(at(window, f"/agents/{wif.agent_id}"))
    window.by_id("home").click()
    expect(window.by_id("overview")).to_be_visible()
    expect(window.by_id("totals")).to_be_hidden()


def test_overview_that_cannot_be_read_says_so_and_tries_again(
    window: Window, bonk: Position, wif: Position
) -> None:
    window.log_in()
    expect(window.by_id("overview")).to_be_visible()
    window.page.route("**/api/overview/", lambda route: route.abort())
    expect(window.by_id("overview-error")).to_contain_text("The server cannot be reached.")
    window.page.unroute_all()
    expect(window.by_id("overview-error")).to_be_hidden()
    window.forgive_network_trouble()


def test_addresses_survive_reload_back_and_a_second_tab(
    window: Window, bonk: Position, wif: Position
) -> None:
    window.log_in()
    window.choose("alpha (simulation)")
    window.row(bonk).get_by_test_id("symbol").dblclick()  # which opens it once
    expect(window.by_id("details-symbol")).to_have_text("BONK")
    expect(window.page).to_have_url(at(window, f"/agents/{bonk.agent_id}/positions/{bonk.pk}"))
    tab = Window(window.page.context.new_page(), window.url)
    tab.page.goto(at(window, f"/agents/{wif.agent_id}"))
    tab.expect_row(wif, amount="100")
    window.page.reload()  # which takes nothing from the other tab, nor its agent
    expect(window.by_id("details-symbol")).to_have_text("BONK")
    window.page.go_back()
    expect(window.by_id("details")).to_be_hidden()
    window.expect_row(bonk, amount="1,000,000")
    window.page.go_forward()
    expect(window.by_id("details")).to_be_visible()
    window.page.keyboard.press("Escape")
    expect(window.page).to_have_url(at(window, f"/agents/{bonk.agent_id}"))
    window.page.go_back()
    expect(window.by_id("overview")).to_be_visible()
    tab.expect_state("live")
    assert tab.errors == []


def test_address_of_a_closed_position_shows_its_result(window: Window, bonk: Position) -> None:
    services.close_position(position_id=bonk.pk, proceeds_sol=Decimal("2.5"), reason="stop loss")
    window.log_in()
    window.by_id("closed-position").get_by_role("link").click()
    expect(window.by_id("details-profit")).to_have_text("+0.5000 SOL")
    expect(window.by_id("details-facts")).to_contain_text("Reasonstop loss")
    expect(window.by_id("price-note")).to_contain_text("This position is closed")
    expect(window.by_id("close-position")).to_be_hidden()
    window.page.reload()
    expect(window.by_id("details-symbol")).to_have_text("BONK")
    expect(window.by_id("details-profit")).to_have_text("+0.5000 SOL")


def test_what_is_not_the_user_s_is_not_found(
    window: Window, bob: User, bonk: Position, wif: Position
) -> None:
    window.page.goto(at(window, f"/agents/{bonk.agent_id}/positions/{bonk.pk}"))
    window.fill_in("bob", "bob-has-a-password")
    expect(window.by_id("not-found")).to_be_visible()
    expect(window.by_id("details")).to_be_hidden()
    assert window.sockets == 0
    window.by_id("log-out").click()
    expect(window.page).to_have_url(at(window, "/"))
    expect(window.by_id("login")).to_be_visible()  # the session is there until then
    window.page.goto(at(window, f"/agents/{bonk.agent_id}/positions/{wif.pk}"))  # another agent's
    window.fill_in("alice", "alice-has-a-password")
    expect(window.by_id("details-symbol")).to_have_text("Not found")
    window.page.goto(at(window, f"/agents/{bonk.agent_id}/positions/{UNKNOWN}"))
    expect(window.by_id("price-note")).to_have_text("There is no position of this agent at this address.")
    assert window.page.goto(at(window, "/agents/nonsense")).status == 404  # type: ignore[union-attr]
    window.forgive_network_trouble()
