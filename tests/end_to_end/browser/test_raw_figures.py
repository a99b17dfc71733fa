"""Every figure of the page, recomputed from the raw messages with which it came, while a trader's day goes by."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal

from playwright.sync_api import expect

from positions import services
from positions.models import Agent, Position, Wallet
from positions.prices.openings import put_openings
from positions.prices.quotes import Market, Quote
from tests.end_to_end.browser.conftest import Backstage, buy, pool
from tests.end_to_end.browser.raw_figures import RECORD, SHOWN, Ledger, differences
from tests.end_to_end.browser.windows import Window
from tests.live import PATIENCE_SECONDS

D = Decimal


def test_figures_recomputed_from_raw_messages_are_those_shown(
    open_window: Callable[..., Window], wallet: Wallet, bonk: Position, feed: Backstage
) -> None:
    beta = Agent.objects.create(owner=bonk.agent.owner, name="beta")
    other = Wallet.objects.create(agent=beta, address="B" * 43)
    buy(other, "ZED", tokens="3.000000001", spent_sol="0.777777777")
    wif = buy(wallet, "WIF", tokens="812.512345678", spent_sol="10.123456789", stop_loss="-15.25")
    jup = buy(wallet, "JUP", tokens="4200", spent_sol="18.75", stop_loss="7.5")
    old = buy(wallet, "OLD", tokens="10", spent_sol="1")
    services.close_position(position_id=old.pk, proceeds_sol=D("1.234567891"), sol_usd=D(180))
    for held, price in ((bonk, "0.0000022"), (wif, "0.011"), (jup, "0.0061")):
        feed.run(put_openings([Quote(held.token_address, D(price), None, datetime.now(UTC))]))
    feed.report(sol_usd=D("187.123456789"))
    window = open_window()
    window.page.context.add_init_script(f"({RECORD})()")
    ledger = Ledger()

    def check(what: str, *, overviews: int = 0) -> None:
        """Wait until each figure shown is what everything received so far leads to, so many overviews among it."""
        ends = time.monotonic() + PATIENCE_SECONDS
        while True:
            shown = window.page.evaluate(SHOWN)
            ledger.take(shown["raw"])
            wrong = differences(ledger, shown)
            if ledger.overviews < overviews:
                wrong.append("the overview was not read again yet")
            if not wrong or time.monotonic() > ends:
                break
            window.page.wait_for_timeout(20)  # between two looks
        assert not wrong, [what, *wrong]

    window.log_in()
    expect(window.by_id("agent-row")).to_have_count(2)
    check("all agents")
    window.page.goto(f"{window.url}/agents/{bonk.agent_id}")
    window.expect_state("live")
    expect(window.by_id("sol-price")).to_contain_text("187.12")
    check("no prices")
    feed.quote(bonk, "0.00000249999", "0.000467808", pool("live", "400000000", "1000"))
    feed.quote(wif, "0.0123456789012345", "2.31", None)
    window.row(bonk).get_by_test_id("symbol").click()
    check("prices")
    services.buy_more(position_id=bonk.pk, tokens=D("123456.789"), spent_sol=D("0.333333333"), sol_usd=D(190))
    check("bought more")
    services.take_profit(
        position_id=bonk.pk,
        tokens=D("333333.333333"),
        proceeds_sol=D("0.9"),
        fee_sol=D("0.000005"),
        note="why",
    )
    check("sold a part")
    services.move_stop_loss(position_id=bonk.pk, percentage=D("12.3456"))
    feed.quote(bonk, "0.00000230001", None)
    check("stop loss moved, and reached; the price of SOL is not known")
    for price, usd in (("0.0000031", "0.00058"), ("0.0000000271828", "0.000005"), ("0.0000029", "0.000543")):
        feed.quote(bonk, price, usd)
        feed.quote(wif, price.replace("0.00000", "0.0"), usd)
    check("rounds")
    feed.quote(bonk, "0.0000028", "0.000524", pool("thin", "5000000", "10"))
    check("a thin market")
    feed.quote(wif, "0.02", "3.7", Market("gone", priced_at=datetime(2026, 1, 31, 12, tzinfo=UTC)))
    check("a market that is gone")
    with window.page.expect_websocket():  # another one
        window.page.evaluate("() => window.openSockets.at(-1).close()")
    services.take_profit(position_id=bonk.pk, tokens=D("1000.5"), proceeds_sol=D("0.0028"))
    feed.quote(bonk, "0.0000027", "0.000505", pool("live", "400000000", "990"))
    services.move_stop_loss(position_id=jup.pk, percentage=None)
    expect(window.by_id("connection")).to_have_attribute("data-state", "live")
    # The last of what has happened: the server counts it in the overview below.
    window.expect_row(bonk, price="0.0₅27000")
    window.expect_row(jup, stop="—")
    check("a lost connection")
    window.close_details()
    services.close_position(position_id=wif.pk, proceeds_sol=D(0))
    buy(wallet, "NEW", tokens="77.7", spent_sol="0.123456789")
    expect(window.rows()).to_have_count(3)
    expect(window.by_id("realised-note")).to_have_text("incl. 2 closed")
    check("closed and opened")
    totals, read = ledger.totals(), ledger.overviews
    window.by_id("agent").select_option("")
    expect(window.by_id("agent-row")).to_have_count(2)
    check("all agents again", overviews=read + 1)
    # And the overview, which is worked out on the server, says the same as the desk.
    alpha = ledger.agents()[str(bonk.agent_id)]
    assert {name: alpha[name] for name in ("value", "profit", "return")} == {
        name: totals[name] for name in ("value", "profit", "return")
    }
    assert ledger.messages > 20
