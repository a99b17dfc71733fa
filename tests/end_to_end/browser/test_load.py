"""A large portfolio in a fast market: counts the work of a frame. (performance.py measures its time.)"""

from __future__ import annotations

from itertools import islice

from playwright.sync_api import expect

from positions.models import Wallet
from realtime.publish.broadcast import broadcast_prices
from tests.end_to_end.browser.conftest import Backstage
from tests.end_to_end.browser.portfolios import MANY, many_positions, rounds
from tests.end_to_end.browser.windows import Window

ROUNDS = 30
# Rows in 800 pixels of window and the margin around it, and the few unseen ones that a frame may write.
MOST_ROWS_A_FRAME = 40
COUNT = """() => {
    window.frames_ = [];
    let rows = null;
    const table = document.getElementById("rows");
    new MutationObserver((records) => {
        const touched = new Set(records.map(({ target }) =>
            (target.nodeType === 1 ? target : target.parentElement).closest("tr")));
        if (rows === null) {
            rows = new Set();
            requestAnimationFrame(() => { window.frames_.push({ rows: rows.size }); rows = null; });
        }
        touched.forEach((row) => rows.add(row));
    }).observe(table, { subtree: true, childList: true, characterData: true, attributes: true });
}"""


def test_frame_writes_the_rows_that_are_seen_whatever_the_number_of_positions(
    window: Window, wallet: Wallet, feed: Backstage
) -> None:
    positions = many_positions(wallet)
    window.log_in()
    window.expect_state("live")
    expect(window.rows()).to_have_count(MANY)
    expect(window.by_id("count")).to_have_text(f"{MANY} positions")
    window.page.evaluate(COUNT)
    last = positions[-1]
    for quotes in islice(rounds(positions), ROUNDS):
        feed.run(broadcast_prices(quotes))
    newest = str(quotes[0].price)
    # The newest prices are there, however many rounds a frame has drawn at once; the last row's, too, in its turn.
    expect(window.row(positions[0]).get_by_test_id("price")).to_have_attribute("title", f"{newest} SOL")
    expect(window.row(last).get_by_test_id("price")).to_have_attribute("title", f"{quotes[-1].price} SOL")
    frames = window.page.evaluate("() => window.frames_.map((frame) => frame.rows)")
    assert max(frames) <= MOST_ROWS_A_FRAME
    assert len(window.page.query_selector_all("#rows tr")) == MANY


def test_changes_before_a_frame_are_drawn_once(script_page) -> None:
    drawings = script_page.evaluate(
        """async () => {
            const { Pace } = await import("/static/realtime/pace.js");
            let drawings = 0;
            await new Promise((done) => {
                const pace = new Pace(() => { drawings += 1; setTimeout(done, 100); return null; }, () => {});
                for (let round = 0; round < 1000; round += 1) pace.request();
            });
            return drawings;
        }"""
    )
    assert drawings == 1


def test_row_that_comes_into_view_shows_the_newest_price_and_print_those_of_all_rows(
    window: Window, wallet: Wallet, feed: Backstage
) -> None:
    positions = many_positions(wallet)
    window.log_in()
    window.expect_state("live")
    expect(window.rows()).to_have_count(MANY)
    market = rounds(positions)
    quotes = next(market)
    feed.run(broadcast_prices(quotes))
    last = window.row(positions[-1])
    last.scroll_into_view_if_needed()
    expect(last).to_be_in_viewport()
    expect(last.get_by_test_id("price")).to_have_attribute("title", f"{quotes[-1].price} SOL")
    quotes = next(market)
    feed.run(broadcast_prices(quotes))
    expect(last.get_by_test_id("price")).to_have_attribute("title", f"{quotes[-1].price} SOL")
    titles = window.page.evaluate(
        """() => {
            dispatchEvent(new Event("beforeprint"));
            return [...document.querySelectorAll("#rows [data-cell=price]")].map((cell) => cell.title);
        }"""
    )
    assert titles == [f"{quote.price} SOL" for quote in quotes]
