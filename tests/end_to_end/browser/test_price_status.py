"""How reliable a price is, is shown wherever the price is: a price that is not live never looks live."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from playwright.sync_api import Page, WebSocketRoute, expect

from positions.models import Position, Wallet
from positions.prices.cache import put_prices
from positions.prices.quotes import Market, Quote
from tests.end_to_end.browser.conftest import Backstage, OpenWindow, buy, pool
from tests.end_to_end.browser.windows import Window, stop_clock

COLOR = "(cell) => getComputedStyle(cell).color"


def test_each_status_is_a_word_in_the_row_and_a_sentence_in_the_details(
    window: Window, wallet: Wallet, feed: Backstage
) -> None:
    feed.report(sol_usd=Decimal(150))
    names = ("LIVE", "STALE", "THIN", "GONE", "NONE")
    live, stale, thin, gone, _ = shown = [buy(wallet, name, tokens="100", spent_sol="1") for name in names]
    long_ago = datetime.now(UTC) - timedelta(hours=5, minutes=1)
    feed.quote(live, "0.02", "4", pool("live", "9900", "198"))
    feed.run(put_prices([Quote(stale.token_address, Decimal("0.02"), Decimal(4), long_ago)]))
    feed.quote(thin, "0.02", "4", pool("thin", "100", "0.5"))
    feed.quote(gone, "0.02", "4", Market("gone", priced_at=long_ago))
    window.log_in()
    words = ["", "stale 5 h", "thin", "gone", "no price"]
    expect(window.by_id("positions").get_by_test_id("price-status")).to_have_text(words)
    colors = [window.row(position).get_by_test_id("profit").evaluate(COLOR) for position in shown]
    assert colors[0] not in colors[1:]
    assert len(set(colors[1:])) == 1
    exits = window.by_id("positions").get_by_test_id("exit")
    expect(exits).to_have_text(["", "", "0.2500", "0.0000", ""])
    window.expect_totals(value="9.0000", not_live="4 not live", exit="2.2300", exit_usd="$334.50")
    expect(window.by_id("not-live")).to_have_attribute(
        "title", "1 stale, 1 thin, 1 gone, 1 without a price: the last known prices count"
    )
    expect(window.by_id("exit-note")).to_have_text("without 2 unknown")
    window.row(live).get_by_test_id("symbol").click()
    expect(window.by_id("price-note")).to_be_hidden()
    # 2 SOL at 200 USD, for 1 SOL at 150 USD.
    expect(window.by_id("details-facts")).to_contain_text("Profit at cost in USD+$250.00")
    window.close_details()
    for position, sentence, fact in [
        (stale, "This price has not been confirmed since ", "0.020000 SOL (stale 5 h)Exit value—"),
        (
            thin,
            "The market is too small, or the price has just jumped: do not rely",
            "(thin)Exit value0.2500 SOL",
        ),
        (gone, "There is no market any more: nothing can be sold. The last", "(gone)Exit value0.0000 SOL"),
    ]:
        window.row(position).get_by_test_id("symbol").click()
        expect(window.by_id("price-note")).to_contain_text(sentence)
        expect(window.by_id("details-facts")).to_contain_text(fact)
        window.close_details()


def test_status_that_changes_while_the_price_stands_is_shown(
    window: Window, bonk: Position, feed: Backstage
) -> None:
    feed.quote(bonk, "0.0000025", "0.0005", pool("live", "400000000", "1000"))
    window.log_in()
    status, stop = (window.row(bonk).get_by_test_id(name) for name in ("price-status", "stop-distance"))
    expect(stop).to_have_text("36.00% away")
    expect(status).to_be_hidden()
    window.row(bonk).get_by_test_id("symbol").click()
    facts = window.by_id("details-facts")
    expect(facts).to_contain_text("Exit value2.4938 SOLLiquidity$375,000.00")
    feed.quote(bonk, "0.0000025", "0.0005", pool("thin", "1000000", "2.5"))
    expect(status).to_have_text("thin")
    expect(stop).to_have_text("")
    expect(facts).to_contain_text("Exit value1.2500 SOL")
    feed.quote(bonk, "0.1", "20", pool("thin", "1000000", "2.5"))
    window.expect_row(bonk, price="0.10000", price_status="thin")
    expect(facts).to_contain_text("Peak price0.0₅25000 SOL")  # only live prices count
    feed.quote(bonk, "0.000003", "0.0006", pool("live", "400000000", "1200"))
    window.expect_row(bonk, stop_distance="46.67% away")
    expect(status).to_be_hidden()
    expect(facts).to_contain_text("Peak price0.0₅30000 SOL")


def test_prices_of_a_page_that_hears_nothing_become_stale(
    open_window: OpenWindow, bonk: Position, feed: Backstage
) -> None:
    window = open_window()  # with a clock of its own
    feed.quote(bonk, "0.0000025", "0.0005")
    reachable, sockets = True, []

    def connect(socket: WebSocketRoute) -> None:
        if reachable:
            socket.connect_to_server()
            sockets.append(socket)
        else:
            socket.close(code=1011)

    window.page.route_web_socket("**/ws?*", connect)
    stop_clock(window.page)
    window.log_in()
    window.expect_state("live")
    window.page.clock.run_for(1_000)  # in which it draws
    window.expect_row(bonk, value="2.5000")
    status = window.row(bonk).get_by_test_id("price-status")
    reachable = False
    sockets[0].close(code=1011)
    expect(window.by_id("notice-title")).to_have_text("Connection lost.")
    window.page.clock.run_for(30_000)
    expect(status).to_be_hidden()
    window.page.clock.run_for(60_000)
    expect(status).to_have_text("stale 1 m")
    reachable = True
    window.page.clock.resume()  # the page tries again by itself
    window.expect_state("live")
    expect(status).to_be_hidden()


STORE = """async ([sent, updates]) => {
    const { Store } = await import("/static/realtime/store.js");
    const { statusOf } = await import("/static/realtime/price-status.js");
    const store = new Store();
    store.replace({ positions: [sent], timestamp: "2026-01-31T12:00:00.000Z", seq: 1 });
    for (const update of updates) {
        const batch = { updates: [{ tokenAddress: "T", price: "3", priceUsd: "600", ...update }] };
        if (update === "silence") store.lose("2026-01-31T12:00:30.000Z");
        else store.reprice({ ...batch, timestamp: "2026-01-31T12:01:00.000Z" });
    }
    const { priceTimestamp, peakPrice, exitValueSol, positionValueUsd, ...position } = store.get("P");
    return [statusOf(position), priceTimestamp.slice(14, 19), peakPrice, exitValueSol ?? null, positionValueUsd];
}"""
SENT = {
    "id": "P", "tokenAddress": "T", "purchasePrice": "1", "remainingAmount": "10", "totalInvestedSol": "10",
    "realizedProfitSol": "0", "peakPrice": "2", "lowestPrice": "1", "currentPrice": "2", "currentPriceUsd": "400",
    "priceSource": "live", "priceTimestamp": "2026-01-31T12:00:00.000Z", "purchasePriceUsd": "200",
    "positionValueSol": "20", "positionValueUsd": "4000", "profitLossSol": "10", "profitLossUsd": "2000",
    "profitLossPercent": "100", "priceChangePercent": "100",
}  # fmt: skip
LIVE = SENT | {"priceStatus": "live", "liquidityUsd": "4000", "exitValueSol": "10"}


@pytest.mark.parametrize(
    ("sent", "updates", "expected"),
    [
        (LIVE, [{}], ["live", "01:00", "3", "10", "6000"]),
        (LIVE | {"peakPrice": "1.5"}, [{"price": "2"}], ["live", "01:00", "1.5", "10", "6000"]),
        (LIVE, [{"priceStatus": "thin"}], ["thin", "01:00", "2", "10", "6000"]),
        (LIVE, [{"priceStatus": "thin"}, {"price": "4"}], ["thin", "01:00", "2", "10", "6000"]),
        (
            LIVE,
            [{"priceStatus": "stale", "price": "2", "priceUsd": "400"}],
            ["stale", "00:00", "2", "10", "4000"],
        ),
        (
            LIVE,
            [{"poolTokens": "30", "poolSol": "90"}, {"price": "4"}],
            ["live", "01:00", "4", "22.5", "6000"],
        ),
        (
            LIVE,
            [{"priceStatus": "gone", "price": "2", "priceUsd": "400"}],
            ["gone", "00:00", "2", "0", "4000"],
        ),
        (LIVE, [{"poolTokens": None, "poolSol": None}, {}], ["live", "01:00", "3", None, "6000"]),
        (LIVE, [{"priceStatus": "gone"}, {"priceStatus": "live"}], ["live", "01:00", "3", None, "6000"]),
        (
            LIVE,
            [{"poolTokens": "30", "poolSol": "90"}, {"priceStatus": "gone"}, {"priceStatus": "live"}],
            ["live", "01:00", "3", "22.5", "6000"],
        ),
        (LIVE, [{"price": "0", "priceUsd": "0"}], ["live", "01:00", "2", "10", "0"]),
        (LIVE, ["silence"], ["stale", "00:30", "2", "10", "4000"]),
        (LIVE, ["silence", {}], ["live", "01:00", "3", "10", "6000"]),
        (LIVE | {"priceStatus": "gone"}, ["silence"], ["gone", "00:00", "2", "10", "4000"]),
        (SENT, [{}], ["live", "01:00", "3", None, "6000"]),  # an earlier release
        (SENT, ["silence", {}], ["live", "01:00", "3", None, "6000"]),
        (SENT, [{"priceStatus": "thin"}], ["thin", "01:00", "2", None, "6000"]),
    ],
)
def test_store_follows_status_and_reserves(script_page: Page, sent, updates, expected) -> None:
    assert script_page.evaluate(STORE, [sent, updates]) == expected


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("", {"problem": ""}),
        (" 1.50 ", {"digits": "1.5"}),
        (".5", {"digits": "0.5"}),
        ("0", {"digits": "0"}),
        ("99999999999.999999999", {"digits": "99999999999.999999999"}),
        ("1,250", {"problem": "Enter a sum of SOL, such as 1250 or 0.75."}),
        ("-1", {"problem": "Enter a sum of SOL, such as 1250 or 0.75."}),
        ("1.", {"problem": "Enter a sum of SOL, such as 1250 or 0.75."}),
        ("0.0000000001", {"problem": "Enter at most 9 decimals."}),
        ("100000000000", {"problem": "Enter less than 100000000000."}),
    ],
)
def test_proceeds_are_read_digit_for_digit(script_page: Page, text, read) -> None:
    found = script_page.evaluate(
        "async (text) => (await import('/static/realtime/dialogs.js')).readProceeds(text)", text
    )
    assert found == read


def test_position_that_migrates_takes_no_more_prices_of_its_old_token(script_page: Page) -> None:
    """Another wallet may still hold that one."""
    script = """async ([before, after, other]) => {
        const { Store } = await import("/static/realtime/store.js");
        const store = new Store(), timestamp = "2026-01-31T12:01:00.000Z";
        store.replace({ positions: [before, other], timestamp, seq: 1 });
        store.change({ eventType: "position_updated", position: after, seq: 2, timestamp });
        const reprice = (tokenAddress, price) =>
            store.reprice({ updates: [{ tokenAddress, price, priceUsd: null }], timestamp });
        reprice("T", "3");
        const left = store.get("P").currentPrice;
        reprice("NEW", "0.5");
        return [left, store.get("P").currentPrice, store.get("Q").currentPrice];
    }"""
    prices = script_page.evaluate(script, [LIVE, LIVE | {"tokenAddress": "NEW"}, LIVE | {"id": "Q"}])
    assert prices == ["2", "0.5", "3"]
