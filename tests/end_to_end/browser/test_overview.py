"""Totals, events, closed positions and details; a user's preferences, which are remembered."""

# ruff: noqa: RUF001  the page writes a real minus sign

from __future__ import annotations

import csv
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from playwright.sync_api import expect

from positions import services
from positions.models import Agent, Position, Wallet
from positions.prices.cache import put_prices
from positions.prices.openings import put_openings
from positions.prices.quotes import Quote
from tests.end_to_end.browser.conftest import Backstage, buy, new_token
from tests.end_to_end.browser.windows import Window
from tests.waiting import wait_for_midnight_if_it_is_near


@pytest.fixture
def three(wallet: Wallet, bonk: Position, feed: Backstage) -> list[Position]:
    """BONK at +25 %, WIF at -10 %, JUP without a price."""
    wif = buy(wallet, "WIF", tokens="100", spent_sol="4", stop_loss="-15")
    jup = buy(wallet, "JUP", tokens="10", spent_sol="1")
    feed.quote(bonk, "0.0000025", "0.0005")
    feed.quote(wif, "0.036", "7.2")
    return [bonk, wif, jup]


def expect_symbols(window: Window, expected: list[str]) -> None:
    window.page.wait_for_function(
        """(expected) => [...document.querySelectorAll('#rows tr:not([hidden]) [data-cell=symbol]')]
            .map((e) => e.textContent).join() === expected.join()""",
        arg=expected,
    )


def test_totals_show_unrealised_realised_and_today_s_change(
    window: Window, bonk: Position, wallet: Wallet, feed: Backstage
) -> None:
    wait_for_midnight_if_it_is_near()
    closed = buy(wallet, "OLD", tokens="10", spent_sol="1")
    services.close_position(position_id=closed.pk, proceeds_sol=Decimal("1.25"))
    services.take_profit(position_id=bonk.pk, tokens=Decimal(500_000), proceeds_sol=Decimal("1.5"))
    feed.run(put_openings([Quote(bonk.token_address, Decimal("0.0000022"), None, datetime.now(UTC))]))
    feed.report(sol_usd=Decimal(200))
    window.log_in()
    # Realised: 0.5 with what is held, 0.25 with what is closed, which was opened and closed today.
    window.expect_totals(value="1.0000", unrealised="0.0000", realised="+0.7500", realised_usd="+$150.00")
    expect(window.by_id("realised-note")).to_have_text("incl. 1 closed")
    feed.quote(bonk, "0.000003", "0.0006")
    # At the day's first price BONK had earned 0.5 + 0.1; now 0.5 + 0.5; the closed one 0.25 since.
    window.expect_totals(
        value="1.5000", unrealised="+0.5000", profit="+1.2500", today="+0.6500", today_usd="+$130.00"
    )
    window.expect_totals(unrealised_note="return +50.00%", **{"return": "+41.67%"})
    expect(window.by_id("today-note")).to_contain_text("since ")
    expect(window.page).to_have_title("+50.00% · alpha · Nexgent")


def test_totals_stay_right_whatever_is_closed_and_are_unknown_while_they_cannot_be_read(
    window: Window, bonk: Position, wallet: Wallet, feed: Backstage
) -> None:
    """Realised and total are of one moment: what was closed is never missing from them, not for one frame."""
    wif = buy(wallet, "WIF", tokens="10", spent_sol="1")
    window.log_in()
    window.expect_totals(realised="0.0000", profit="0.0000")
    window.page.evaluate(
        """() => {
            const cell = document.querySelector("#totals [data-cell=realised]");
            window.shown = [cell.textContent];
            new MutationObserver(() => shown.push(cell.textContent))
                .observe(cell, { characterData: true, childList: true, subtree: true });
            // What was known stands for three seconds while it is read again: here, for as long as that takes.
            // In a second: a page that rests between two drawings would rest for ever (pace.js).
            const now = performance.now() + 1_000;
            performance.now = () => now;
        }"""
    )
    services.take_profit(position_id=wif.pk, tokens=Decimal(5), proceeds_sol=Decimal("0.75"))
    window.expect_totals(realised="+0.2500", profit="+0.2500")
    services.close_position(position_id=wif.pk, proceeds_sol=Decimal("0.75"))
    window.expect_totals(realised="+0.5000", profit="+0.5000", realised_note="incl. 1 closed")
    assert window.page.evaluate("shown") == ["0.0000", "+0.2500", "+0.5000"]
    window.page.evaluate("() => { delete performance.now; }")
    window.page.route("**/results/", lambda route: route.abort())
    services.close_position(position_id=bonk.pk, proceeds_sol=Decimal(1))
    window.expect_totals(count="0 positions", realised="—", profit="—", today="—")
    window.page.unroute_all()
    window.expect_totals(realised="−0.5000", profit="−0.5000", realised_note="incl. 2 closed")
    window.forgive_network_trouble()


def test_live_and_simulated_money_are_never_summed(
    window: Window, agent: Agent, bonk: Position, feed: Backstage
) -> None:
    real = Wallet.objects.create(agent=agent, address="B" * 43, kind="live")
    wif = buy(real, "WIF", tokens="100", spent_sol="4")
    closed = buy(real, "OLD", tokens="10", spent_sol="1")
    services.close_position(position_id=closed.pk, proceeds_sol=Decimal("1.25"))
    window.log_in()
    window.expect_totals(count="1 position", value="4.0000", realised="+0.2500")
    expect(window.row(wif).get_by_test_id("wallet")).to_have_text("BBBB…BBBB live")
    window.by_id("mode-choice").get_by_text("Simulated").click()
    window.expect_totals(
        count="1 position", value="2.0000", realised="0.0000", realised_note="incl. 0 closed"
    )


def test_today_s_change_without_a_price_of_the_day_is_unknown(window: Window, bonk: Position) -> None:
    window.log_in()
    window.expect_totals(today="—", today_usd="—", realised="0.0000", realised_usd="—")
    expect(window.by_id("today-note")).to_have_text("unknown")


def test_events_are_described_as_they_happen_and_after_a_reload(
    window: Window, bonk: Position, wallet: Wallet
) -> None:
    window.log_in()
    expect(window.by_id("feed").locator("li")).to_have_count(1)
    services.buy_more(position_id=bonk.pk, tokens=Decimal(1_000_000), spent_sol=Decimal(4))
    services.take_profit(position_id=bonk.pk, tokens=Decimal(500_000), proceeds_sol=Decimal(2), moon_bag=True)
    services.move_stop_loss(position_id=bonk.pk, percentage=Decimal(5))
    services.move_stop_loss(position_id=bonk.pk, percentage=Decimal(5))  # which changes nothing
    services.close_position(position_id=bonk.pk, proceeds_sol=Decimal("4.25"))
    texts = [
        "BONK closed +0.2500 SOL",
        "BONK stop loss from −20% to +5%",
        "BONK sold 500,000: +0.5000 SOL, the rest is a moon bag",
        "BONK bought 1,000,000 more for 4.0000 SOL",
        "BONK opened: 1,000,000 for 2.0000 SOL",
    ]
    what = window.by_id("feed").locator(".what")
    expect(what).to_have_text(texts)
    window.page.reload()
    expect(what).to_have_text(texts)


def test_closed_positions_are_listed_the_last_first_and_more_on_demand(
    window: Window, wallet: Wallet
) -> None:
    for number in range(10):
        position = buy(wallet, f"T{number}", tokens="10", spent_sol="1")
        services.close_position(position_id=position.pk, proceeds_sol=Decimal("0.9"), reason="stop loss")
    window.log_in()
    rows = window.by_id("closed-position")
    expect(rows).to_have_count(8)
    expect(window.by_id("closed-count")).to_have_text("10")
    expect(rows.first).to_contain_text("T91.0000−0.1000 SOL−10.00%stop loss")
    window.by_id("closed-more").click()
    expect(rows).to_have_count(10)
    expect(window.by_id("closed-more")).to_be_hidden()


def test_details_show_history_transactions_and_close_with_escape(
    window: Window, wallet: Wallet, feed: Backstage
) -> None:
    position = services.open_position(
        wallet=wallet,
        token_address=new_token(),
        token_symbol="BIG",
        tokens=Decimal(1000),
        spent_sol=Decimal(1),
        transaction_id="5" * 80,
    )
    services.buy_more(
        position_id=position.pk, tokens=Decimal(1000), spent_sol=Decimal(1), transaction_id="7" * 80
    )
    window.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    window.log_in()
    feed.quote(position, "0.0012", None)
    window.expect_row(position, value="2.4000", dca="1×", taken="—", sold="")
    window.row(position).get_by_test_id("symbol").focus()
    window.page.keyboard.press("Enter")
    expect(window.by_id("details-symbol")).to_have_text("BIG")
    expect(window.by_id("details-profit")).to_have_text("+0.4000 SOL")
    expect(window.by_id("details-history").locator(".what")).to_have_text(
        ["bought 1,000 more for 1.0000 SOL", "opened: 1,000 for 1.0000 SOL"]
    )
    expect(window.by_id("details-transactions").locator("li")).to_have_text(
        ["Purchase 5555…5555", "Bought more 7777…7777"]
    )
    expect(window.by_id("details-facts")).to_contain_text("Held2,000 of 2,000 bought")
    expect(window.by_id("details-facts")).to_contain_text("Profit at cost in USD—")
    window.note_toasts()
    window.by_id("details-transactions").get_by_role("button").first.click()
    window.expect_toast("Copied.")
    assert window.page.evaluate("navigator.clipboard.readText()") == "5" * 80
    feed.quote(position, "0.0015", None)
    expect(window.by_id("details-profit")).to_have_text("+1.0000 SOL")
    window.page.keyboard.press("Escape")
    expect(window.by_id("details")).to_be_hidden()
    expect(window.row(position).get_by_test_id("symbol")).to_be_focused()


def test_address_is_copied_in_full(window: Window, bonk: Position) -> None:
    window.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    window.log_in()
    window.note_toasts()
    window.row(bonk).get_by_test_id("address").click()
    window.expect_toast("Copied.")
    assert window.page.evaluate("navigator.clipboard.readText()") == bonk.token_address
    expect(window.by_id("details")).to_be_hidden()


def test_part_that_was_sold_and_profit_taken_are_shown(window: Window, bonk: Position) -> None:
    services.take_profit(position_id=bonk.pk, tokens=Decimal(250_000), proceeds_sol=Decimal(1), moon_bag=True)
    window.log_in()
    window.expect_row(bonk, amount="750,000", sold="25.00% sold", taken="1× moon", age="now")
    services.plan_take_profits(position_id=bonk.pk, levels=3)
    services.take_profit(position_id=bonk.pk, tokens=Decimal(1), proceeds_sol=Decimal(1), levels=2)
    window.expect_row(bonk, taken="3 of 4 moon")


def test_price_without_updates_is_shown_as_stale(window: Window, bonk: Position, feed: Backstage) -> None:
    old = datetime.now(UTC) - timedelta(minutes=3, seconds=20)
    feed.run(put_prices([Quote(bonk.token_address, Decimal("0.000003"), Decimal("0.0006"), old)]))
    window.log_in()
    window.expect_row(bonk, price="0.0₅30000", price_status="stale 3 m")
    feed.quote(bonk, "0.000004", "0.0008")
    window.expect_row(bonk, price="0.0₅40000")
    expect(window.row(bonk).get_by_test_id("price-status")).to_be_hidden()


def test_rows_are_sorted_as_chosen_and_stay_so_after_a_reload(window: Window, three: list[Position]) -> None:
    window.log_in()
    expect_symbols(window, ["BONK", "WIF", "JUP"])
    header = window.page.get_by_role("columnheader", name="Return")
    header.get_by_role("button").click()
    expect_symbols(window, ["BONK", "JUP", "WIF"])
    expect(header).to_have_attribute("aria-sort", "descending")
    header.get_by_role("button").click()
    expect_symbols(window, ["WIF", "JUP", "BONK"])
    window.page.reload()
    expect_symbols(window, ["WIF", "JUP", "BONK"])
    window.page.get_by_role("columnheader", name="Stop loss").get_by_role("button").click()
    expect_symbols(window, ["WIF", "BONK", "JUP"])  # none comes last
    for _ in range(2):
        window.page.get_by_role("columnheader", name="Stop loss").get_by_role("button").click()
    expect_symbols(window, ["BONK", "WIF", "JUP"])


def test_rows_hold_still_under_the_pointer(window: Window, three: list[Position], feed: Backstage) -> None:
    bonk, wif, jup = three
    window.log_in()
    window.page.get_by_role("columnheader", name="Return").get_by_role("button").click()
    expect_symbols(window, ["BONK", "JUP", "WIF"])
    window.row(jup).hover()
    expect(window.by_id("order-held")).to_be_visible()
    feed.quote(wif, "0.08", "16")  # the best by now
    services.close_position(position_id=bonk.pk, proceeds_sol=Decimal(3))
    window.expect_row(wif, value="8.0000")
    window.expect_row(bonk, pending="Closed")
    expect_symbols(window, ["BONK", "JUP", "WIF"])
    window.row(bonk).click()  # what was aimed at, though it is closed
    expect(window.by_id("details-symbol")).to_have_text("BONK")
    expect(window.by_id("details-profit")).to_have_text("+1.0000 SOL")
    expect_symbols(window, ["WIF", "JUP"])
    window.page.keyboard.press("Escape")
    expect(window.by_id("details")).to_be_hidden()


def test_filter_leaves_what_matches(window: Window, three: list[Position]) -> None:
    window.log_in()
    expect_symbols(window, ["BONK", "WIF", "JUP"])
    window.page.keyboard.press("/")
    window.page.keyboard.type("wi")
    expect_symbols(window, ["WIF"])
    window.expect_totals(count="3 positions")
    window.page.keyboard.type("zard")
    expect(window.by_id("no-match")).to_be_visible()
    window.page.keyboard.press("Escape")
    expect_symbols(window, ["BONK", "WIF", "JUP"])
    window.by_id("filter").fill(three[2].token_address[:20])
    expect_symbols(window, ["JUP"])


def test_arrow_keys_move_from_row_to_row(window: Window, three: list[Position]) -> None:
    window.log_in()
    expect_symbols(window, ["BONK", "WIF", "JUP"])
    window.row(three[0]).get_by_test_id("symbol").focus()
    for key, at in [("ArrowDown", 1), ("End", 2), ("ArrowUp", 1), ("Home", 0)]:
        window.page.keyboard.press(key)
        expect(window.row(three[at]).get_by_test_id("symbol")).to_be_focused()


def test_columns_currency_and_theme_are_remembered(window: Window, bonk: Position, feed: Backstage) -> None:
    window.log_in()
    feed.quote(bonk, "0.0000025", "0.0005")
    window.expect_row(bonk, value="2.5000")
    value = window.row(bonk).get_by_test_id("value")
    value_usd = window.row(bonk).get_by_test_id("value-usd")

    def first(a: object, b: object) -> bool:
        above: bool = window.page.evaluate(
            "([a, b]) => a.getBoundingClientRect().top < b.getBoundingClientRect().top",
            [value.element_handle(), value_usd.element_handle()],
        )
        return above

    assert first(value, value_usd)
    window.page.get_by_text("USD", exact=True).first.click()
    window.by_id("theme").select_option("dark")
    window.by_id("columns").locator("summary").click()
    window.page.get_by_role("checkbox", name="Average price").uncheck()
    window.page.keyboard.press("Escape")
    for _ in range(2):
        assert not first(value, value_usd)
        assert window.page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(11, 15, 20)"
        expect(window.row(bonk).get_by_test_id("average")).to_be_hidden()
        expect(window.page.get_by_role("columnheader")).to_have_count(11)
        window.page.reload()
        window.expect_row(bonk, value="2.5000")


def test_another_agent_comes_over_the_same_socket(window: Window, bonk: Position, feed: Backstage) -> None:
    beta = Agent.objects.create(owner=bonk.agent.owner, name="beta")
    wallet = Wallet.objects.create(agent=beta, address="B" * 43)
    wif = buy(wallet, "WIF", tokens="100", spent_sol="4")
    window.log_in()
    window.choose("alpha (simulation)")
    window.expect_row(bonk, amount="1,000,000")
    window.choose("beta (simulation)")
    window.expect_row(wif, amount="100")
    expect(window.rows()).to_have_count(1)
    feed.quote(wif, "0.05", None)
    window.expect_row(wif, value="5.0000")
    services.take_profit(position_id=wif.pk, tokens=Decimal(1), proceeds_sol=Decimal(1))
    window.expect_row(wif, amount="99")
    window.choose("alpha (simulation)")
    window.expect_row(bonk, amount="1,000,000")
    assert window.sockets == 1


def test_trades_events_and_closed_positions_are_saved_as_csv(window: Window, wallet: Wallet) -> None:
    position = buy(wallet, '=HYPERLINK("x")', tokens="1234567.000000001", spent_sol="0.1")
    services.close_position(position_id=position.pk, proceeds_sol=Decimal("0.3"), reason="stop, loss")
    window.log_in()
    expect(window.by_id("closed-position")).to_have_count(1)

    def saved(name: str) -> list[dict[str, str]]:
        with window.page.expect_download() as download:
            window.by_id(f"csv-{name}").click()
        assert download.value.suggested_filename.startswith(f"alpha {name} ")
        return list(csv.DictReader(download.value.path().read_text("utf-8-sig").splitlines()))

    trades = saved("trades")
    assert [(trade["side"], trade["tokens"], trade["sol"]) for trade in trades] == [
        ("purchase", "1234567.000000001", "0.1"),
        ("sale", "1234567.000000001", "0.3"),
    ]
    assert trades[0]["symbol"] == '\'=HYPERLINK("x")'
    assert [event["event"] for event in saved("events")] == ["position_created", "position_closed"]
    (closed,) = saved("closed")
    assert (closed["result_sol"], closed["return_percent"], closed["reason"]) == ("0.2", "200", "stop, loss")
