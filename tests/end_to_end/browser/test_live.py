"""Changes made elsewhere appear on the page; a token's name can do no harm."""

from __future__ import annotations

from decimal import Decimal

from playwright.sync_api import expect

from positions import services
from positions.models import Agent, Position, Wallet
from tests.end_to_end.browser.conftest import Backstage, buy
from tests.end_to_end.browser.windows import Window


def test_write_changes_the_row(window: Window, bonk: Position) -> None:
    window.log_in()
    window.expect_row(bonk, amount="1,000,000")
    services.take_profit(position_id=bonk.pk, tokens=Decimal(250_000), proceeds_sol=Decimal(1))
    window.expect_row(bonk, amount="750,000", value="1.5000", profit="+0.5000", **{"return": "+25.00%"})
    expect(window.row(bonk).get_by_test_id("amount")).to_have_attribute("data-flash", "down")
    services.buy_more(position_id=bonk.pk, tokens=Decimal(250_000), spent_sol=Decimal("0.25"))
    window.expect_row(
        bonk, amount="1,000,000", average="0.0₅17500", profit="+0.5000", **{"return": "+22.22%"}
    )
    services.move_stop_loss(position_id=bonk.pk, percentage=Decimal("5.5"))
    window.expect_row(bonk, stop="+5.5%")
    expect(window.row(bonk).get_by_test_id("stop")).to_have_attribute("title", "Sells at 0.00000184625 SOL")
    assert window.sockets == 1


def test_open_adds_a_row_and_close_removes_it(window: Window, wallet: Wallet, bonk: Position) -> None:
    window.log_in()
    expect(window.rows()).to_have_count(1)
    wif = buy(wallet, "WIF", tokens="100", spent_sol="2")
    window.expect_row(wif, symbol="WIF", value="2.0000", stop="—", stop_distance="")
    expect(window.rows().get_by_test_id("symbol")).to_have_text(["BONK", "WIF"])
    services.close_position(position_id=bonk.pk, proceeds_sol=Decimal(3))
    expect(window.rows().get_by_test_id("symbol")).to_have_text(["WIF"])
    services.close_position(position_id=wif.pk, proceeds_sol=Decimal(3))
    expect(window.by_id("empty")).to_be_visible()
    expect(window.by_id("positions")).to_be_hidden()
    assert window.sockets == 1


def test_agent_without_positions_shows_its_first_purchase(window: Window, wallet: Wallet) -> None:
    window.log_in()
    expect(window.by_id("empty")).to_contain_text("No open positions")
    jup = buy(wallet, "JUP", tokens="10", spent_sol="1")
    window.expect_row(jup, symbol="JUP", average="0.10000")


def test_one_token_in_two_wallets_is_two_rows_and_one_price(
    window: Window, agent: Agent, bonk: Position, feed: Backstage
) -> None:
    second = Wallet.objects.create(agent=agent, address="B" * 43, kind="live")
    twin = services.open_position(
        wallet=second,
        token_address=bonk.token_address,
        token_symbol="BONK",
        tokens=Decimal(1000),
        spent_sol=Decimal("0.004"),
    )
    window.log_in()
    expect(window.row(twin).get_by_test_id("wallet")).to_have_text("BBBB…BBBB live")
    expect(window.row(twin).get_by_test_id("wallet")).to_be_visible()
    services.close_position(position_id=bonk.pk, proceeds_sol=Decimal(2))
    expect(window.rows()).to_have_count(1)
    expect(window.row(twin).get_by_test_id("wallet")).to_be_hidden()
    feed.quote(twin, "0.000005", "0.001")
    window.expect_row(twin, value="0.0050", profit="+0.0010", value_usd="$1.00", profit_usd="+$0.20")


def test_symbol_that_is_markup_is_shown_as_text(window: Window, wallet: Wallet) -> None:
    symbol = "<img src=x onerror=alert(1)>"
    position = buy(wallet, symbol, tokens="10", spent_sol="1")
    window.log_in()
    window.expect_row(position, symbol=symbol)
    assert window.page.locator("#positions img").count() == 0


def test_price_source_is_named_and_simulated_prices_are_marked(
    window: Window, bonk: Position, feed: Backstage
) -> None:
    feed.report(source="simulated", simulated=True, sol_usd=Decimal("187.5"))
    window.log_in()
    expect(window.by_id("price-source")).to_have_text("Simulated prices")
    expect(window.by_id("sol-price")).to_have_text("1 SOL = $187.50")
    expect(window.by_id("prices-stale")).to_be_hidden()
    feed.report(source="dexscreener", simulated=False)
    window.page.reload()
    expect(window.by_id("price-source")).to_have_text("Prices: dexscreener")
    expect(window.by_id("sol-price")).to_have_text("1 SOL = —")


def test_prices_without_a_feed_are_marked_as_stale(window: Window, bonk: Position) -> None:
    window.log_in()
    expect(window.by_id("prices-stale")).to_have_text("No prices yet")
    expect(window.by_id("price-source")).to_be_hidden()


def test_price_of_a_token_that_is_no_longer_held_is_forgotten(window: Window, bonk: Position) -> None:
    window.log_in()
    window.expect_state("live")
    known = window.page.evaluate(
        """async () => {
            const { Prices } = await import("/static/realtime/prices.js");
            const { Session } = await import("/static/realtime/session.js");
            const session = new Session();
            await session.resume();
            const timestamp = "2026-01-31T12:00:00.000Z";
            const anHourLater = Date.parse(timestamp) + 3_600_000;
            return new Promise((resolve) => {
                const prices = new Prices({
                    session,
                    isHeld: (token) => token === "held",
                    onStatus: () => resolve(["held", "sold"].map((token) => prices.staleSince(token, anHourLater))),
                });
                prices.start();
                const updates = ["held", "sold"].map((tokenAddress) => ({ tokenAddress, price: "1", priceUsd: null }));
                prices.update({ updates, timestamp });
            });
        }"""
    )
    assert known == ["2026-01-31T12:00:00.000Z", None]
