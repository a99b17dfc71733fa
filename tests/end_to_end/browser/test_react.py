"""The package's React hook in a browser: one page for each thing that its users see."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from django.contrib.auth.models import User
from playwright.sync_api import Page, expect

from positions import services
from positions.models import Agent, Position, Wallet
from tests import javascript
from tests.end_to_end.browser.conftest import Backstage, buy
from tests.end_to_end.browser.windows import Window, stop_clock
from tests.live import access_token

pytestmark = pytest.mark.browser

RECEIVED = "(count) => desk.counts.messages >= count"
# React runs the effects that count after it has written what is seen, as a message that it sends itself.
EFFECTS_DONE = """async () => {
    for (let turn = 0; turn < 3; turn += 1) {
        await new Promise((done) => {
            const { port1, port2 } = new MessageChannel();
            port1.onmessage = done;
            port2.postMessage(null);
        });
    }
}"""


@pytest.fixture
def window(open_window: Callable[..., Window]) -> Window:
    return open_window(bypass_csp=True)


@pytest.fixture
def page(window: Window) -> Page:
    """A page of the server's origin with nothing on it but tests/clients/javascript/page.tsx."""
    script = (javascript.project() / "bundled/page.js").read_text()
    window.page.goto(f"{window.url}/health/live")
    window.page.add_script_tag(content=script.replace("http://127.0.0.1:4000", window.url), type="module")
    window.page.wait_for_function("() => window.desk")
    return window.page


def show(page: Page, agent: Agent | None) -> None:
    token = "" if agent is None else access_token(agent.owner)
    page.evaluate("([id, token]) => desk.show(id, token)", [agent and str(agent.pk), token])


def counts(page: Page) -> Any:
    return page.evaluate("desk.counts")


def test_hook_follows_one_agent_after_the_other_on_one_socket(
    page: Page, window: Window, bonk: Position, alice: User, feed: Backstage
) -> None:
    second = Wallet.objects.create(agent=Agent.objects.create(owner=alice, name="beta"), address="B" * 43)
    wif = buy(second, "WIF", tokens="5", spent_sol="10")
    lines, status = page.locator("li"), page.get_by_role("status")
    show(page, bonk.agent)
    expect(status).to_have_text("connected")
    expect(lines).to_have_text(["BONK: 2 SOL, none"])
    assert (counts(page)["sockets"], counts(page)["tokens"]) == (1, 1)  # StrictMode mounts everything twice
    feed.quote(bonk, "0.000003000000001", "0.0006")
    expect(lines).to_have_text(["BONK: 3.000000001 SOL, live"])
    buy(bonk.wallet, "JUP", tokens="1", spent_sol="1")
    expect(lines).to_have_text(["BONK: 3.000000001 SOL, live", "JUP: 1 SOL, none"])
    services.close_position(position_id=bonk.pk, proceeds_sol=Decimal(1))
    expect(lines).to_have_text(["JUP: 1 SOL, none"])
    show(page, wif.wallet.agent)
    page.evaluate(EFFECTS_DONE)
    assert page.locator("li").all_text_contents() != ["JUP: 1 SOL, none"]  # at once
    expect(lines).to_have_text(["WIF: 10 SOL, none"])
    expect(status).to_have_text("connected")
    buy(bonk.wallet, "POPCAT", tokens="1", spent_sol="1")  # of the agent before
    feed.quote(wif, "3", "600")
    expect(lines).to_have_text(["WIF: 15 SOL, live"])
    assert counts(page)["sockets"] == 1
    page.get_by_role("button").click()
    expect(status).to_have_text("idle")
    expect(lines).to_have_text(["WIF: 15 SOL, live"])
    page.get_by_role("button").click()
    expect(status).to_have_text("connected")
    assert counts(page)["sockets"] == 2
    show(page, None)
    expect(lines).to_have_count(0)
    expect(status).to_have_text("idle")
    assert window.socket.is_closed() or window.socket.wait_for_event("close")


def test_hook_renders_once_in_a_frame_and_only_what_has_changed(
    page: Page, bonk: Position, feed: Backstage
) -> None:
    buy(bonk.wallet, "WIF", tokens="5", spent_sol="10")
    stop_clock(page)
    show(page, bonk.agent)
    lines = page.locator("li")
    expect(lines).to_have_text(["BONK: 2 SOL, none", "WIF: 10 SOL, none"])
    expect(page.get_by_role("status")).to_have_text("connected")
    page.evaluate(EFFECTS_DONE)
    before = counts(page)
    for price in ("0.000003", "0.000004", "0.000005"):
        feed.quote(bonk, price, "0.0006")
    page.wait_for_function(RECEIVED, arg=before["messages"] + 3, polling=20)
    page.evaluate(EFFECTS_DONE)
    assert counts(page)["commits"] == before["commits"]
    page.clock.run_for(20)  # a frame
    expect(lines).to_have_text(["BONK: 5 SOL, live", "WIF: 10 SOL, none"])
    page.evaluate(EFFECTS_DONE)
    after = counts(page)
    assert after["commits"] == before["commits"] + 1
    assert after["rows"] == {"BONK": before["rows"]["BONK"] + 1, "WIF": before["rows"]["WIF"]}
    page.get_by_role("button").click()
    expect(page.get_by_role("status")).to_have_text("idle")
    page.clock.run_for(59_000)
    expect(lines).to_have_text(["BONK: 5 SOL, live", "WIF: 10 SOL, none"])
    page.clock.run_for(2_000)  # a minute without news
    expect(lines).to_have_text(["BONK: 5 SOL, stale", "WIF: 10 SOL, none"])


def test_hook_with_a_token_that_is_refused_goes_on_with_the_next_one(
    page: Page, window: Window, bonk: Position
) -> None:
    status = page.get_by_role("status")
    start = "([id, token]) => desk.show(id, token, true)"
    page.evaluate(start, [str(bonk.agent_id), "no-token"])
    expect(status).to_have_text("logged-out")
    window.forgive_network_trouble()  # no ticket for such a token
    page.evaluate(start, [str(bonk.agent_id), access_token(bonk.agent.owner)])
    expect(status).to_have_text("connected")
    sockets = counts(page)["sockets"]
    page.evaluate(
        start, [str(bonk.agent_id), access_token(bonk.agent.owner)]
    )  # renewed meanwhile: no new connection
    page.evaluate("new Promise(requestAnimationFrame)")
    expect(status).to_have_text("connected")
    assert counts(page)["sockets"] == sockets


def test_hook_used_wrongly_raises_at_once(page: Page, window: Window) -> None:
    page.evaluate("desk.show(7, 'a-token')")
    expect(page).to_have_title("TypeError: agentId must be the id of an agent, or null; it is 7")
    page.evaluate("desk.example('an-agent', undefined)")
    window.errors.clear()  # React's, too


def test_example_of_the_readme_works(page: Page, bonk: Position) -> None:
    page.evaluate(
        "([id, token]) => desk.example(id, token)", [str(bonk.agent_id), access_token(bonk.agent.owner)]
    )
    expect(page.locator("li")).to_have_text(["BONK: 1000000 at 0.000002 SOL, none"])
    page.get_by_role("button", name="Disconnect").click()
    expect(page.get_by_role("button", name="Connect")).to_be_visible()
