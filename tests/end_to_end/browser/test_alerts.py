"""Alerts: nothing until it is chosen, each once, in the ways that are chosen, in a hidden window too."""

from __future__ import annotations

import re
import signal
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect

from positions.models import Agent, Position, Wallet
from positions.prices.quotes import Market
from positions.services import close_position, move_stop_loss
from tests.end_to_end.browser.conftest import Backstage, buy
from tests.end_to_end.browser.windows import Window
from tests.live import Server

# What the browser does beside the page: which tones are played, which notifications shown, what was asked.
OBSERVE = """() => {
    window.seen = { tones: 0, notifications: [], asked: 0, snapshots: 0, prices: "" };
    window.WebSocket = class extends WebSocket {
        constructor(...args) {
            super(...args);
            this.addEventListener("message", ({ data }) => {
                window.seen.snapshots += Number(data.startsWith('{"type":"initial_data"'));
                if (data.startsWith('{"type":"prices"')) window.seen.prices += data;
            });
        }
    };
    window.permission = "default";
    const start = OscillatorNode.prototype.start;
    OscillatorNode.prototype.start = function (...args) {
        window.seen.tones += 1;
        return start.apply(this, args);
    };
    window.Notification = class {
        static get permission() { return window.permission; }
        static async requestPermission() {
            window.seen.asked += 1;
            window.permission = window.answer ?? "granted";
            return window.permission;
        }
        constructor(title, options) { window.seen.notifications.push([title, options.body, options.tag]); }
        close() {}
    };
    // A window of a headless browser is never hidden.
    Object.defineProperty(document, "hidden", { configurable: true, get: () => window.isAway ?? false });
    // What is told within seconds is one alert: however long it takes to come.
    window.holdTime = () => {
        const now = Date.now();
        Date.now = () => now;
    };
    window.leave = (away) => {
        window.isAway = away;
        document.dispatchEvent(new Event("visibilitychange"));
    };
}"""


@pytest.fixture
def observed(open_window: Callable[..., Window]) -> Window:
    window = open_window()
    window.page.context.add_init_script(f"({OBSERVE})()")
    return window


def seen(page: Page, name: str) -> Any:
    return page.evaluate("(name) => window.seen[name]", name)


def alerts(window: Window) -> Locator:
    return window.by_id("alerts-list").locator("li")


def quote(window: Window, feed: Backstage, position: Position, price: str) -> None:
    """Send a price, and wait until the page has it: of two that wait for a slow client, it is sent the newer one."""
    feed.quote(position, price, "3")
    window.page.wait_for_function("(row) => window.seen.prices.includes(row)", arg=f",{price},3")


def choose(window: Window, *names: str, agent: str | None = None) -> None:
    window.by_id("alerts-open").click()
    if agent:
        window.by_id("alerts-agent").select_option(label=agent)
    for name in names:
        window.by_id(f"alert-{name}").click()
    window.by_id("alerts-done").click()


def test_alerts_are_off_until_chosen_and_then_told_once_in_the_ways_chosen(
    observed: Window, bonk: Position, wallet: Wallet, feed: Backstage
) -> None:
    window, page = observed, observed.page
    wif = buy(wallet, "WIF", tokens="100", spent_sol="2", stop_loss="-20")
    pepe = buy(wallet, "PEPE", tokens="100", spent_sol="2")
    jup = buy(wallet, "JUP", tokens="100", spent_sol="2")
    window.log_in()
    window.expect_state("live")
    feed.quote(bonk, "0.0000025", "0.0005")
    feed.quote(wif, "0.02", "4")
    window.expect_row(wif, value="2.0000")
    close_position(position_id=jup.pk, proceeds_sol=Decimal(1))
    expect(window.rows()).to_have_count(3)
    expect(window.by_id("alerts")).to_be_hidden()  # nothing is chosen
    assert seen(page, "asked") == 0

    # What is refused, or no number, is said beside it.
    page.evaluate("() => { window.answer = 'denied'; }")
    window.by_id("alerts-open").click()
    box = window.by_id("alert-closed-notification")
    box.click()
    expect(window.by_id("alerts-notification-error")).to_contain_text(
        "does not allow this page to notify you"
    )
    expect(box).not_to_be_checked()
    page.evaluate("() => { window.answer = 'granted'; window.permission = 'default'; }")
    box.check()
    expect(window.by_id("alerts-notification-error")).to_be_hidden()
    assert seen(page, "asked") == 2
    for name in ["closed-sound", "closed-title", "stop-title", "price-title"]:
        window.by_id(f"alert-{name}").check()
    window.by_id("alerts-near").fill("much")
    expect(window.by_id("alerts-near-error")).to_have_text("Enter a number of percent, such as 3 or 0.5.")
    window.by_id("alerts-near").fill("2.5")
    expect(window.by_id("alerts-near-error")).to_be_hidden()
    window.by_id("alerts-try").click()
    expect(alerts(window).first).to_contain_text("This is what an alert looks like.")
    page.wait_for_function("() => window.seen.tones === 2 && window.seen.notifications.length === 1")
    window.by_id("alerts-clear").click()
    window.by_id("alerts-done").click()
    expect(window.by_id("alerts-open")).to_have_attribute("data-on", "")

    # A stop loss that comes near: once, and again only after the price was farther away.
    page.evaluate("() => { window.leave(true); window.holdTime(); }")
    for price in ["0.0164", "0.01635", "0.01645"]:  # 2.44, 2.14 and 2.74 % above 0.016
        quote(window, feed, wif, price)
    expect(alerts(window)).to_have_count(1)
    expect(alerts(window).first).to_contain_text("WIF is near its stop loss: it sells 2.44% lower.")
    quote(window, feed, wif, "0.0166")
    quote(window, feed, wif, "0.0159")
    expect(alerts(window)).to_have_count(1)  # within seconds: one alert, of both
    expect(alerts(window).first).to_contain_text("2 stop losses are near: WIF (2.44%), WIF (reached).")
    expect(page).to_have_title(re.compile(r"^\(1\) "))

    # A price that is not live any more; a position that is closed, with what it brought.
    feed.quote(bonk, "0.0000025", "0.0005", Market("thin"))
    expect(alerts(window).first).to_contain_text("The price of BONK is not live any more: thin.")
    feed.quote(bonk, "0.0000025", "0.0005", Market("live"))
    feed.quote(bonk, "0.0000025", "0.0005", Market("thin"))  # it comes and goes: not told again
    close_position(position_id=bonk.pk, proceeds_sol=Decimal("2.5"), reason="stop loss")
    expect(alerts(window).first).to_contain_text("BONK closed: +0.5000 SOL, +25.00%, stop loss.")
    expect(alerts(window)).to_have_count(3)
    expect(page).to_have_title(re.compile(r"^\(3\) "))
    expect(alerts(window).first.locator("a")).to_have_attribute(
        "href", f"/agents/{bonk.agent_id}/positions/{bonk.pk}"
    )
    page.wait_for_function("() => window.seen.notifications.length === 3")
    told = seen(page, "notifications")
    assert [each[:2] for each in told[1:]] == [
        ["alpha", "BONK closed."],
        ["alpha", "BONK closed: +0.5000 SOL, +25.00%, stop loss."],
    ]
    assert told[1][2] == told[2][2]  # the second takes the place of the first
    page.wait_for_function("() => window.seen.tones === 4")

    # Whoever looks at the window has seen them; what is edited after it was closed is not closed again.
    page.evaluate("() => window.leave(false)")
    expect(page).not_to_have_title(re.compile(r"^\("))
    bonk.refresh_from_db()
    bonk.save()
    move_stop_loss(position_id=wif.pk, percentage=Decimal(-50))
    window.expect_row(wif, stop="−50%")  # noqa: RUF001
    expect(alerts(window)).to_have_count(3)

    # A reload: what is known at first is no news, and the choice is still there.
    page.reload()
    window.expect_state("live")
    window.expect_row(pepe, value="2.0000")
    expect(window.by_id("alerts")).to_be_hidden()
    window.by_id("alerts-open").click()
    expect(window.by_id("alert-closed-sound")).to_be_checked()
    expect(window.by_id("alert-connection-sound")).not_to_be_checked()
    expect(window.by_id("alerts-near")).to_have_value("2.5")


def test_of_two_windows_one_speaks_for_every_agent_that_has_alerts_and_both_list_it(
    observed: Window, bonk: Position, feed: Backstage
) -> None:
    """From the overview, too, which opens no socket of its own; each close once, whichever agent is shown."""
    first = observed
    beta = Agent.objects.create(owner=bonk.agent.owner, name="beta", trading_mode="live")
    wallet = Wallet.objects.create(agent=beta, address="B" * 43, kind="live")
    wif, jup, pepe = (buy(wallet, name, tokens="100", spent_sol="2") for name in ("WIF", "JUP", "PEPE"))
    first.log_in()
    expect(first.by_id("agent-row")).to_have_count(2)
    assert first.sockets == 0
    choose(first, "closed-sound", "closed-notification", agent="beta")
    first.page.wait_for_function("() => window.seen.snapshots === 1")
    second = Window(first.page.context.new_page(), first.url)
    second.page.goto(first.url)
    expect(second.by_id("agent-row")).to_have_count(2)
    first.page.evaluate("() => window.holdTime()")
    close_position(position_id=wif.pk, proceeds_sol=Decimal(1))
    for window in (first, second):
        expect(alerts(window).first).to_contain_text("WIF closed: ")
        expect(alerts(window).first).to_contain_text("beta")
    assert second.sockets == 0
    first.page.wait_for_function("() => window.seen.notifications.length === 2")
    assert seen(second.page, "notifications") == []
    first.page.wait_for_function("() => window.seen.tones === 2")
    assert seen(second.page, "tones") == 0

    # The first one shows that agent, then another one: no close falls between its two connections.
    first.page.get_by_role("link", name="beta", exact=True).first.click()
    first.expect_state("live")
    first.page.go_back()
    close_position(position_id=jup.pk, proceeds_sol=Decimal(1))
    expect(alerts(first)).to_have_count(1)
    expect(alerts(first).first).to_contain_text("2 positions closed: WIF (−1.0000 SOL")  # noqa: RUF001

    # It is closed: the other one speaks from now on; it sounds where the user was last.
    first.page.close()
    second.page.wait_for_function("() => window.seen.snapshots === 1")
    second.page.evaluate("() => { window.permission = 'granted'; }")
    second.by_id("overview-title").click()
    close_position(position_id=pepe.pk, proceeds_sol=Decimal(1))
    second.page.wait_for_function("() => window.seen.notifications.length >= 1 && window.seen.tones === 2")
    assert second.errors == []


def test_mark_of_an_alert_outlives_that_of_a_try(observed: Window, bonk: Position) -> None:
    window, page = observed, observed.page
    page.clock.install()
    window.log_in()
    window.expect_state("live")
    window.by_id("alerts-open").click()
    window.by_id("alert-closed-title").check()
    window.by_id("alerts-try").click()
    window.by_id("alerts-done").click()
    page.evaluate("() => window.leave(true)")
    close_position(position_id=bonk.pk, proceeds_sol=Decimal(1))
    expect(alerts(window).first).to_contain_text("BONK closed")
    page.clock.fast_forward(6_000)  # the mark of a try is there for five seconds
    expect(page).to_have_title(re.compile(r"^\(1\) "))
    page.evaluate("() => window.leave(false)")
    expect(page).not_to_have_title(re.compile(r"^\("))


def test_lost_connection_is_told_and_that_it_is_back(
    open_window: Callable[..., Window], own_server: Server, bonk: Position
) -> None:
    window = open_window(server=own_server).log_in()
    window.expect_state("live")
    choose(window, "connection-title", "closed-title")
    window.page.context.set_offline(True)
    own_server.stop(signal.SIGKILL)
    window.expect_state("offline")
    expect(alerts(window)).to_have_count(1)
    expect(alerts(window).first).to_contain_text("The connection is lost")
    close_position(position_id=bonk.pk, proceeds_sol=Decimal(1))
    own_server.start()
    window.page.context.set_offline(False)
    window.expect_state("live")
    expect(alerts(window).filter(has_text="Connected again.")).to_have_count(1)
    expect(alerts(window).filter(has_text="BONK closed")).to_have_count(1)
    expect(alerts(window)).to_have_count(2)
    window.forgive_network_trouble()


def test_watch_tells_what_a_break_has_hidden_and_nothing_twice(script_page: Page) -> None:
    told = script_page.evaluate(
        """async () => {
            const { Watch } = await import("/static/realtime/alert-watch.js");
            const { AlertSettings } = await import("/static/realtime/alert-settings.js");
            const at = (second) => `2026-01-31T12:00:${String(second).padStart(2, "0")}.000Z`;
            const position = (id, price, more = {}) => ({
                id, tokenSymbol: id, tokenAddress: `mint ${id}`, purchasePrice: "1", currentStopLossPercentage: "-20",
                currentPrice: price, priceSource: "live", priceStatus: "live", ...more });
            const price = (id, price, status, second) => ({ timestamp: at(second), updates: [
                { tokenAddress: `mint ${id}`, price, priceUsd: null, ...(status && { priceStatus: status }) }] });
            const short = (found) => found.map(({ kind, items }) =>
                [kind, ...items.map(({ symbol, detail }) => symbol + detail)].join(" "));
            const watch = new Watch(new AlertSettings({ near: "3" }));
            const said = [];
            const say = (found) => said.push(short(found));
            say(watch.event({ eventType: "position_closed", positionId: "A", seq: 1, timestamp: at(0) }));
            say(watch.snapshot({ seq: 1, timestamp: at(1), positions: [
                position("A", "0.81"), position("B", "1"), position("C", "1"), position("D", "1")] }));
            say(watch.prices(price("A", "0.805", null, 2)));  // near from the start
            say(watch.prices(price("B", "0.82", "stale", 3)));  // no distance to a price that is not live
            say(watch.prices(price("B", "0.82", null, 4)));
            say(watch.prices(price("B", "0.82", "gone", 5)));  // it came and went
            say(watch.snapshot({ seq: 9, timestamp: at(6), positions: [
                position("A", "0.9"), position("C", "0.8001"), position("E", "0.8")] }));
            say(watch.event({ eventType: "position_closed", positionId: "B", seq: 10, timestamp: at(7) }));
            say(watch.event({ eventType: "position_updated", seq: 11, timestamp: at(8),
                position: position("A", "0.9", { currentStopLossPercentage: "-11" }) }));
            watch.choose(new AlertSettings({ near: "50" }));
            say(watch.prices(price("A", "0.9", null, 9)));
            for (const [state, now] of [["connecting", 0], ["live", 1], ["waiting", 2], ["connecting", 9000],
                ["waiting", 10001], ["waiting", 10002], ["live", 10003], ["offline", 20000], ["idle", 20001]]) {
                say(watch.connection(state, now));
            }
            return said;
        }"""
    )
    assert told == [
        [],
        [],
        [],
        ["price Bstale"],
        ["stop B2.44%"],
        [],
        ["closed B D", "stop C0.01%"],
        [],
        ["stop A1.11%"],
        [],
        [],
        [],
        [],
        [],
        [],
        ["connection "],
        ["connection back"],
        ["connection "],
        [],
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("3", {"digits": "3"}),
        (" 2,5 % ", {"digits": "2.5"}),
        ("0", {"problem": "Enter more than 0 and less than 100."}),
        ("100", {"problem": "Enter more than 0 and less than 100."}),
        ("", {"problem": "Enter a number of percent, such as 3 or 0.5."}),
        ("1.234", {"problem": "Enter a number of percent, such as 3 or 0.5."}),
    ],
)
def test_near_is_a_number_of_percent(script_page: Page, text: str, expected: dict[str, str]) -> None:
    read = "async (text) => (await import('/static/realtime/alert-settings.js')).readNear(text)"
    assert script_page.evaluate(read, text) == expected


@pytest.mark.parametrize(
    "stored", ["null", "7", '"x"', "[1]", '{"closed": 3, "near": 9, "what": ["sound"]}', "{"]
)
def test_choice_that_something_else_has_stored_is_none(script_page: Page, stored: str) -> None:
    found = script_page.evaluate(
        """async (stored) => {
            const { readSettings } = await import("/static/realtime/alert-settings.js");
            localStorage.setItem("nexgent.alerts.alice.1", stored);
            const { isOn, near } = readSettings("alice", "1");
            localStorage.removeItem("nexgent.alerts.alice.1");
            return [isOn, near];
        }""",
        stored,
    )
    assert found == [False, "3"]
