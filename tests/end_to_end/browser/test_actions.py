"""Selling and moving a stop loss: confirmed first, shown at once, and reverted if the server refuses."""

# ruff: noqa: RUF001  the page writes a real minus sign

from __future__ import annotations

from decimal import Decimal

import pytest
from playwright.sync_api import Route, expect

from positions import services
from positions.models import Position
from positions.prices.quotes import Market
from tests.end_to_end.browser.conftest import Backstage
from tests.end_to_end.browser.windows import HeldRequests, Window


@pytest.fixture
def shown(window: Window, bonk: Position, feed: Backstage) -> Window:
    """A million BONK, bought for 2 SOL, worth 2.5."""
    window.log_in()
    window.expect_state("live")
    feed.quote(bonk, "0.0000025", "0.0005")
    window.expect_row(bonk, value="2.5000")
    return window


def open_details(window: Window, position: Position) -> None:
    window.row(position).get_by_test_id("symbol").click()
    expect(window.by_id("details")).to_be_visible()


def hold(window: Window, path: str) -> HeldRequests:
    """Keep requests to this path from going on until the test lets them."""
    return HeldRequests(window.page, f"**/api/positions/*/{path}/")


def test_close_says_what_it_does_does_nothing_unconfirmed_and_asks_for_the_proceeds_if_the_price_is_not_live(
    shown: Window, bonk: Position, feed: Backstage
) -> None:
    open_details(shown, bonk)
    shown.by_id("close-position").click()
    expect(shown.by_id("sell-title")).to_have_text("Close BONK?")
    expect(shown.by_id("sell-text")).to_have_text(
        "This sells all 1,000,000 BONK at about 0.0₅25000 SOL each, for about 2.5000 SOL."
        " The result of the position is then +0.5000 SOL (+25.00%)."
    )
    shown.by_id("sell-cancel").click()
    expect(shown.by_id("sell-dialog")).to_be_hidden()
    shown.by_id("close-position").click()
    shown.page.keyboard.press("Escape")
    expect(shown.by_id("sell-dialog")).to_be_hidden()
    bonk.refresh_from_db()
    assert bonk.status == Position.Status.OPEN

    # At a price that is not live.
    shown.by_id("close-position").click()
    expect(shown.by_id("sell-confirm")).to_be_enabled()
    feed.quote(bonk, "0.0000025", "0.0005", Market("thin"))  # while the dialog is open
    expect(shown.by_id("sell-confirm")).to_be_disabled()
    expect(shown.by_id("sell-text")).to_contain_text("do not rely on it")
    expect(shown.by_id("sell-hint")).to_contain_text("enter what the sale brought")
    shown.by_id("sell-proceeds").fill("1,5")
    expect(shown.by_id("sell-error")).to_have_text("Enter a sum of SOL, such as 1250 or 0.75.")
    shown.by_id("sell-proceeds").fill("1.5")
    expect(shown.by_id("sell-text")).to_have_text(
        "This sells all 1,000,000 BONK for 1.5000 SOL. The result of the position is then −0.5000 SOL (−25.00%)."
    )
    shown.page.keyboard.press("Enter")
    expect(shown.rows()).to_have_count(0)
    bonk.refresh_from_db()
    assert bonk.realized_profit_sol == Decimal("-0.5")


def test_close_is_shown_as_pending_at_once_and_then_as_it_is(shown: Window, bonk: Position) -> None:
    held = hold(shown, "close")
    open_details(shown, bonk)
    shown.by_id("close-position").click()
    shown.by_id("sell-confirm").click()
    expect(shown.row(bonk).get_by_test_id("pending")).to_have_text("Closing…")
    shown.expect_row(bonk, value="2.5000")  # it is not closed yet
    held.first().continue_()
    expect(shown.rows()).to_have_count(0)
    expect(shown.by_id("move-stop")).to_be_disabled()
    shown.by_id("details-close").click()
    expect(shown.by_id("closed-position")).to_contain_text("BONK2.0000+0.5000 SOL+25.00%manual")
    expect(shown.by_id("feed").locator("li").first).to_contain_text("BONK closed +0.5000 SOL")
    assert shown.sockets == 1


def test_close_that_the_server_refuses_is_reverted_with_its_reason(
    shown: Window, bonk: Position, feed: Backstage
) -> None:
    held = hold(shown, "close")
    open_details(shown, bonk)
    shown.by_id("close-position").click()
    shown.by_id("sell-reason").fill("no volume")
    shown.by_id("sell-confirm").click()
    expect(shown.row(bonk).get_by_test_id("pending")).to_be_visible()
    feed.quote(bonk, "0.0000025", "0.0005", Market("thin"))
    held.first().continue_()
    expect(shown.by_id("toast-error")).to_contain_text(
        "BONK was not closed: proceedsSol: the price of BONK is thin and"
    )
    expect(shown.row(bonk).get_by_test_id("pending")).to_be_hidden()
    shown.forgive_network_trouble()
    shown.by_id("toasts").get_by_role("button").click()
    expect(shown.by_id("toast-error")).to_have_count(0)
    shown.page.unroute_all()
    feed.quote(bonk, "0.0000025", "0.0005", Market("live"))
    expect(shown.row(bonk).get_by_test_id("price-status")).to_be_hidden()

    # Another holding than was confirmed is not sold either.
    held = hold(shown, "close")
    shown.by_id("close-position").click()
    expect(shown.by_id("sell-reason")).to_have_value("no volume")  # what was typed is not lost
    shown.by_id("sell-cancel").click()
    shown.by_id("close-position").click()
    expect(shown.by_id("sell-reason")).to_have_value("")
    shown.by_id("sell-confirm").click()
    expect(shown.row(bonk).get_by_test_id("pending")).to_be_visible()
    services.buy_more(position_id=bonk.pk, tokens=Decimal(9_000_000), spent_sol=Decimal(18))
    held.first().continue_()
    expect(shown.by_id("toast-error")).to_contain_text(
        "BONK was not closed: heldAmount: heldAmount: 10000000 are held now, not 1000000: nothing is sold"
    )
    bonk.refresh_from_db()
    assert bonk.status == Position.Status.OPEN
    shown.forgive_network_trouble()


def test_close_without_an_answer_says_that_the_outcome_is_unknown(shown: Window, bonk: Position) -> None:
    held = hold(shown, "close")
    open_details(shown, bonk)
    shown.by_id("close-position").click()
    shown.by_id("sell-confirm").click()
    expect(shown.row(bonk).get_by_test_id("pending")).to_be_visible()
    first = held.first()
    shown.page.route("**/close/", lambda route: route.abort())  # it asks once more
    first.abort()
    expect(shown.by_id("toast-error")).to_contain_text(
        "BONK was not closed, or the outcome is unknown: The server cannot be reached. The table shows the actual"
    )
    expect(shown.row(bonk).get_by_test_id("pending")).to_be_hidden()
    shown.forgive_network_trouble()


def test_close_whose_answer_is_lost_is_repeated_under_the_same_key(shown: Window, bonk: Position) -> None:
    sent: list[tuple[str, str]] = []

    def lose_the_first_answer(route: Route) -> None:
        answer = route.fetch()
        sent.append((route.request.headers["idempotency-key"], answer.text()))
        if len(sent) == 1:
            route.abort()
        else:
            route.fulfill(response=answer)

    shown.page.route("**/close/", lose_the_first_answer)
    open_details(shown, bonk)
    with shown.page.expect_response("**/close/") as answered:
        shown.by_id("close-position").click()
        shown.by_id("sell-confirm").click()
    assert answered.value.status == 200
    assert sent[0] == sent[1]
    expect(shown.rows()).to_have_count(0)
    expect(shown.by_id("toast-error")).to_have_count(0)
    shown.forgive_network_trouble()


def test_log_out_before_the_answer_leaves_nothing_of_it_on_the_page(shown: Window, bonk: Position) -> None:
    held = hold(shown, "close")
    open_details(shown, bonk)
    shown.by_id("close-position").click()
    shown.by_id("sell-confirm").click()
    expect(shown.row(bonk).get_by_test_id("pending")).to_be_visible()
    held.first()  # which the log-out ends
    shown.close_details()
    with shown.page.expect_event("requestfailed", lambda request: request.url.endswith("/close/")):
        shown.by_id("log-out").click()
    expect(shown.by_id("login")).to_be_visible()
    expect(shown.by_id("login-error")).to_be_hidden()
    expect(shown.by_id("toast-error")).to_have_count(0)


def test_stop_loss_says_what_it_does_is_shown_as_pending_and_then_as_it_is(
    shown: Window, bonk: Position
) -> None:
    open_details(shown, bonk)
    shown.by_id("move-stop").click()
    expect(shown.by_id("stop-percentage")).to_have_value("-20")
    expect(shown.by_id("stop-text")).to_have_text(
        "The agent sells when the price falls to 0.0₅16000 SOL, 36.00% below the current price."
    )
    for text, says in [
        ("30", "The price is 0.0₅25000 SOL, already at or below that: it may sell at once."),
        ("5,5", "The agent sells when the price falls to 0.0₅21100 SOL, 15.60% below the current price."),
    ]:
        shown.by_id("stop-percentage").fill(text)
        expect(shown.by_id("stop-text")).to_contain_text(says)
        expect(shown.by_id("stop-confirm")).to_be_enabled()
    for text, problem in [
        ("much", "Enter a number, such as -20 or 5.5."),
        ("-100.5", "Enter a number from -100 to less than 100000."),
        ("1.23456", "Enter at most 4 decimals."),
    ]:
        shown.by_id("stop-percentage").fill(text)
        expect(shown.by_id("stop-error")).to_have_text(problem)
        expect(shown.by_id("stop-confirm")).to_be_disabled()
    shown.by_id("stop-cancel").click()

    # Confirmed.
    held = hold(shown, "stop-loss")
    shown.by_id("move-stop").click()
    shown.by_id("stop-percentage").fill("-7.125")
    shown.page.keyboard.press("Enter")
    shown.expect_row(bonk, stop="−7.125%", pending="Moving stop loss…")
    bonk.refresh_from_db()
    assert bonk.current_stop_loss_percentage == Decimal(-20)
    held.first().continue_()
    expect(shown.row(bonk).get_by_test_id("pending")).to_be_hidden()
    shown.expect_row(bonk, stop="−7.125%")
    expect(shown.by_id("details-history").locator("li").first).to_contain_text(
        "stop loss from −20% to −7.125%"
    )
    bonk.refresh_from_db()
    assert bonk.current_stop_loss_percentage == Decimal("-7.125")


def test_stop_loss_is_set_by_price_and_removed(shown: Window, bonk: Position) -> None:
    open_details(shown, bonk)
    shown.by_id("move-stop").click()
    expect(shown.by_id("stop-price")).to_have_value("0.0000016")
    shown.by_id("stop-price").fill("0.0000015")
    expect(shown.by_id("stop-percentage")).to_have_value("-25")
    services.buy_more(position_id=bonk.pk, tokens=Decimal(1_000_000), spent_sol=Decimal(4))
    # Of the new average: the price is what was meant.
    expect(shown.by_id("stop-percentage")).to_have_value("-50")
    shown.by_id("stop-note").fill("n" * 201)
    expect(shown.by_id("stop-note-error")).to_contain_text("at most 200 characters")
    expect(shown.by_id("stop-confirm")).to_be_disabled()
    expect(shown.by_id("stop-remove")).to_be_disabled()
    shown.by_id("stop-note").fill("below the low")
    shown.by_id("stop-confirm").click()
    shown.expect_row(bonk, stop="−50%")
    shown.by_id("move-stop").click()
    expect(shown.by_id("stop-note")).to_have_value("")
    shown.by_id("stop-note").fill("on my own now")
    shown.by_id("stop-remove").click()
    shown.expect_row(bonk, stop="—")
    newest = shown.by_id("details-history").locator("li")
    expect(newest.nth(0)).to_contain_text("stop loss removedon my own now")
    expect(newest.nth(1)).to_contain_text("below the low")
    expect(shown.row(bonk).get_by_test_id("pending")).to_be_hidden()
    bonk.refresh_from_db()
    assert bonk.current_stop_loss_percentage is None


def test_stop_loss_dialog_follows_a_stop_loss_that_something_else_moves(
    shown: Window, bonk: Position
) -> None:
    open_details(shown, bonk)
    shown.by_id("move-stop").click()
    expect(shown.by_id("stop-now")).to_have_text("−20%, at 0.0₅16000 SOL")
    services.move_stop_loss(position_id=bonk.pk, percentage=Decimal(-10))
    expect(shown.by_id("stop-now")).to_have_text("−10%, at 0.0₅18000 SOL")
    expect(shown.by_id("stop-percentage")).to_have_value("-10")  # nothing was typed
    expect(shown.by_id("stop-changed")).to_be_hidden()
    shown.by_id("stop-percentage").fill("-15")
    services.move_stop_loss(position_id=bonk.pk, percentage=Decimal(5))
    expect(shown.by_id("stop-changed-text")).to_have_text(
        "The stop loss has changed: it is +5% now, not −10%. Look again before you move it."
    )
    expect(shown.by_id("stop-percentage")).to_have_value("-15")
    expect(shown.by_id("stop-confirm")).to_be_disabled()
    expect(shown.by_id("stop-remove")).to_be_disabled()
    shown.by_id("stop-accept").click()
    expect(shown.by_id("stop-changed")).to_be_hidden()
    expect(shown.by_id("stop-confirm")).to_be_focused()
    shown.by_id("stop-confirm").click()
    shown.expect_row(bonk, stop="−15%")


def test_focus_stays_in_reach_when_the_position_that_is_shown_goes(shown: Window, bonk: Position) -> None:
    open_details(shown, bonk)
    shown.by_id("close-position").click()
    services.close_position(position_id=bonk.pk, proceeds_sol=Decimal(3))
    expect(shown.by_id("sell-confirm")).to_be_disabled()
    shown.page.keyboard.press("Escape")
    expect(shown.by_id("details-close")).to_be_focused()
    shown.page.keyboard.press("Escape")
    expect(shown.by_id("details")).to_be_hidden()
    expect(shown.page.locator("#desk-title")).to_be_focused()  # there is no row any more


def test_dialogs_follow_the_position_and_ask_again_where_the_amount_has_changed(
    shown: Window, bonk: Position, feed: Backstage
) -> None:
    open_details(shown, bonk)
    shown.by_id("close-position").click()
    about = {"wallet": "A1ph…1111", "mode": "Simulated money", "held": "1,000,000 BONK"}
    for name, text in about.items():
        expect(shown.by_id("sell-dialog").get_by_test_id(f"about-{name}")).to_have_text(text)
    expect(shown.by_id("sell-dialog").get_by_test_id("about-price")).to_contain_text("0.0₅25000 SOL, live, ")
    feed.quote(bonk, "0.000003", "0.0006")
    expect(shown.by_id("sell-text")).to_contain_text("for about 3.0000 SOL.")
    shown.by_id("sell-proceeds").fill("5")  # which stays
    services.buy_more(position_id=bonk.pk, tokens=Decimal(9_000_000), spent_sol=Decimal(18))
    expect(shown.by_id("sell-changed-text")).to_have_text(
        "The holding has changed: 10,000,000 BONK are held now, not 1,000,000. Look again before you sell."
    )
    expect(shown.by_id("sell-text")).to_contain_text("This sells all 10,000,000 BONK for 5.0000 SOL.")
    expect(shown.by_id("sell-confirm")).to_be_disabled()
    shown.by_id("sell-accept").click()
    expect(shown.by_id("sell-changed")).to_be_hidden()
    expect(shown.by_id("sell-confirm")).to_be_enabled()
    services.close_position(position_id=bonk.pk, proceeds_sol=Decimal(3))
    expect(shown.by_id("sell-text")).to_have_text(
        "This position was closed meanwhile: there is nothing left to do here."
    )
    expect(shown.by_id("sell-confirm")).to_be_disabled()


def test_part_is_sold_in_percent_or_as_an_amount(shown: Window, bonk: Position) -> None:
    services.plan_take_profits(position_id=bonk.pk, levels=2)
    shown.expect_row(bonk, taken="0 of 2")
    open_details(shown, bonk)
    shown.by_id("sell-part").click()
    shown.by_id("sell-dialog").get_by_text("25%").click()
    expect(shown.by_id("sell-amount")).to_have_value("250000")
    expect(shown.by_id("sell-text")).to_have_text(
        "This sells 250,000 of 1,000,000 BONK at about 0.0₅25000 SOL each, for about 0.6250 SOL."
        " The profit of the sale is +0.1250 SOL; 750,000 remain."
    )
    expect(shown.by_id("sell-text").get_by_role("img")).to_have_accessible_name("0.0000025000")
    shown.by_id("sell-reason").fill("🚀" * 201)
    expect(shown.by_id("sell-reason-error")).to_have_text("Enter at most 200 characters; these are 201.")
    expect(shown.by_id("sell-confirm")).to_be_disabled()
    shown.by_id("sell-reason").fill("a quarter at <b>+25%</b>")
    expect(shown.by_id("sell-reason-error")).to_be_hidden()
    shown.by_id("sell-confirm").click()
    shown.expect_row(bonk, amount="750,000", taken="0 of 2")  # its levels are the bot's
    expect(shown.row(bonk).get_by_test_id("pending")).to_be_hidden()
    expect(shown.by_id("details-history").locator("li").first).to_contain_text("a quarter at <b>+25%</b>")
    # No message has the note: the list below the table has read it since.
    expect(shown.by_id("feed").locator("li").first).to_contain_text(
        "sold 250,000: +0.1250 SOLa quarter at <b>"
    )
    shown.by_id("sell-part").click()
    for text, problem in [("much", "Enter an amount of tokens, such"), ("750000.5", "Only 750000 are held.")]:
        shown.by_id("sell-amount").fill(text)
        expect(shown.by_id("sell-amount-error")).to_contain_text(problem)
        expect(shown.by_id("sell-confirm")).to_be_disabled()
    shown.by_id("sell-amount").fill("750000")  # which is all
    expect(shown.by_id("sell-title")).to_have_text("Close BONK?")
    shown.by_id("sell-reason").fill("no volume any more")
    shown.by_id("sell-confirm").click()
    expect(shown.rows()).to_have_count(0)
    bonk.refresh_from_db()
    assert (bonk.close_reason, bonk.realized_profit_sol) == ("no volume any more", Decimal("0.5"))


def test_details_and_dialogs_follow_the_currency(shown: Window, bonk: Position) -> None:
    shown.page.get_by_text("USD", exact=True).first.click()
    open_details(shown, bonk)
    expect(shown.by_id("details-profit")).to_have_text("+$100.00")
    expect(shown.by_id("details-facts")).to_contain_text("Average price$0.0004000")
    shown.by_id("close-position").click()
    expect(shown.by_id("sell-text")).to_have_text(
        "This sells all 1,000,000 BONK at about $0.0005000 each, for about $500.00."
        " The result of the position is then +$100.00 (+25.00%)."
    )
