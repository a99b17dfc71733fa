"""The past of a position and of an agent: charts, the same as tables, results; to the digit what REST has."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Literal

import pytest
from django.db.models import F
from playwright.sync_api import Locator, Page, Request, Route, expect

from positions import services
from positions.models import AgentValue, Candle, Position, PositionEvent, PricedToken, Wallet
from tests.end_to_end.browser.conftest import Backstage, buy
from tests.end_to_end.browser.test_accessibility import COLORS, RUN
from tests.end_to_end.browser.test_accessibility import axe as axe  # a fixture
from tests.end_to_end.browser.test_appearance import CUT_OFF, DESK, LOW_CONTRAST, PHONE, TABLET
from tests.end_to_end.browser.windows import HeldRequests, Window

MINUTE = timedelta(minutes=1)
SCHEMES: list[tuple[Literal["light", "dark"], dict[str, list[str]]]] = [("light", {}), ("dark", COLORS)]
"""And what axe looks for: in the other theme, all else is the same."""
SMALL = Decimal("0.000000013468123456789")
"""A price that no double holds."""


def now() -> datetime:
    return datetime.now(UTC).replace(second=0, microsecond=0)


def opened_ago(position: Position, ago: timedelta) -> datetime:
    """Let the position have been opened then, to the minute."""
    start = now() - ago
    Position.objects.filter(pk=position.pk).update(created_at=start)
    return start


def record(position: Position, start: datetime, *closes: Decimal | None) -> None:
    """Write a candle a minute; None leaves a gap. High and low are a tenth above and below."""
    token, _ = PricedToken.objects.get_or_create(address=position.token_address)
    Candle.objects.bulk_create(
        Candle(
            token=token,
            seconds=60,
            start=start + number * MINUTE,
            open=close,
            high=close * Decimal("1.1"),
            low=close * Decimal("0.9"),
            close=close,
            close_usd=close * Decimal("187.5"),
        )
        for number, close in enumerate(closes)
        if close is not None
    )


def record_value(wallet: Wallet, at: datetime, value: str, flow: str, **more: Any) -> None:
    """Write a point of the agent's value; what was put in is what was paid for it."""
    AgentValue.objects.create(
        agent_id=wallet.agent_id,
        at=at,
        is_hourly=True,
        value_sol=Decimal(value),
        sol_usd=Decimal("187.5"),
        flow_sol=Decimal(flow),
        **{
            "invested_sol": Decimal(flow),
            "realized_sol": Decimal(0),
            "positions": 1,
            "not_live": 0,
            "event_seq": 1,
            **more,
        },
    )


def titles(table: Locator) -> list[list[str]]:
    """Return the cells of the table's rows: the title, which has every digit, or the text."""
    found: list[list[str]] = table.evaluate(
        """(table) => [...table.querySelectorAll("tbody tr")].map((row) =>
            [...row.cells].map((cell) => cell.querySelector("[title]")?.title || cell.textContent))"""
    )
    return found


def log_in(window: Window) -> None:
    """Log in, and open what is closed in a window that is not tall."""
    window.log_in()
    window.by_id("performance").locator("summary").click()
    expect(window.by_id("performance")).to_have_attribute("open", "")


def plain(number: Decimal) -> str:
    return f"{number.normalize():f}"


def shapes(plot: Locator, name: str) -> int:
    """Return of how many closed shapes this part of the chart is."""
    return (plot.locator(name).get_attribute("d") or "").count("Z")


def test_chart_of_a_position_has_its_candles_trades_levels_and_last_price(
    window: Window, wallet: Wallet, feed: Backstage
) -> None:
    position = buy(wallet, "TINY", tokens="100000000", spent_sol="1.5", stop_loss="-30")
    start = opened_ago(position, 40 * MINUTE)
    closes = [None if n in {10, 11} else SMALL * (100 + n) / 100 for n in range(39)]
    record(position, start, *closes)
    services.buy_more(position_id=position.pk, tokens=Decimal(100_000_000), spent_sol=Decimal("1.7"))
    services.take_profit(position_id=position.pk, tokens=Decimal(50_000_000), proceeds_sol=Decimal(1))
    window.log_in(at=f"/agents/{wallet.agent_id}/positions/{position.pk}")
    plot, readout = window.by_id("price-chart-plot"), window.by_id("price-chart-readout")
    expect(window.by_id("price-chart-caption")).to_contain_text("where nothing is drawn, no live price was")
    assert shapes(plot, ".up") == 37
    assert (shapes(plot, ".mark-buy"), shapes(plot, ".mark-sell")) == (2, 1)
    for kind, text in [("average", "0.0₇16000"), ("stop", "0.0₇11200")]:
        expect(plot.locator(f".level.{kind}")).to_have_attribute("d", re.compile("^M"))
        expect(plot.locator(f".tag.{kind}")).to_have_text(text)
    # The keyboard goes from point to point; screen readers hear every zero.
    plot.focus()
    window.page.keyboard.press("Home")
    expect(readout).to_contain_text("close 0.0₇13468 SOL")
    expect(plot).to_have_attribute("aria-valuetext", re.compile("close 0.000000013468 SOL"))
    window.page.keyboard.press("ArrowRight")
    expect(plot).to_have_attribute("aria-valuenow", "1")
    window.page.keyboard.press("End")
    for trade in ["bought 100,000,000 at 0.0₇17000 SOL", "sold 50,000,000 at 0.0₇20000 SOL"]:
        expect(readout).to_contain_text(trade)
    # A line, broken where the feed was off; the last price goes on with it.
    window.by_id("price-kind").get_by_text("Line").click()
    expect(plot.locator(".line")).to_have_attribute("d", re.compile(r"^M[^M]+M[^M]+$"))
    feed.quote(position, "0.000000025", "0.0000046875")
    expect(plot.locator(".tag.last")).to_have_text("0.0₇25000")
    window.by_id("price-chart-as-table").click()
    table = window.by_id("price-chart-table")
    expect(table.locator("tbody tr").first).to_contain_text("0.0₇25000")
    assert [row[1:5] for row in titles(table)][-37:] == [
        [f"{plain(close * share)} SOL" for share in (1, Decimal("1.1"), Decimal("0.9"), 1)]
        for close in reversed(closes)
        if close is not None
    ]
    window.close_details()
    window.page.get_by_text("USD", exact=True).first.click()
    window.row(position).get_by_test_id("symbol").click()
    expect(table.locator("tbody tr").last).to_contain_text("$0.0₅2525")
    assert titles(table)[-1][4] == f"{plain(SMALL * Decimal('187.5'))} USD"


def test_old_position_shows_its_last_hour_where_little_is_recorded(window: Window, bonk: Position) -> None:
    opened_ago(bonk, timedelta(days=9))
    record(bonk, now() - 90 * MINUTE, *[Decimal("0.000002") * (100 + n) / 100 for n in range(90)])
    services.take_profit(position_id=bonk.pk, tokens=Decimal(500_000), proceeds_sol=Decimal(1))
    window.log_in(at=f"/agents/{bonk.agent_id}/positions/{bonk.pk}")
    span, plot = window.by_id("price-span"), window.by_id("price-chart-plot")
    expect(span.get_by_label("1H")).to_be_checked()
    expect(window.by_id("price-chart-caption")).to_contain_text("by the minute")
    assert 59 <= shapes(plot, ".up") <= 61
    span.get_by_text("1D").click()
    expect(window.by_id("price-chart-caption")).to_contain_text("by 20 minutes")
    # What was booked now holds from the opening on.
    expect(plot.locator(".level.average")).to_have_attribute("d", re.compile("^M0 "))


def test_details_have_the_newest_500_events(window: Window, bonk: Position) -> None:
    services.move_stop_loss(position_id=bonk.pk, percentage=Decimal(-21))
    both = list(PositionEvent.objects.filter(position_id=bonk.pk).order_by("seq"))
    PositionEvent.objects.bulk_create(
        PositionEvent(
            agent_id=bonk.agent_id,
            seq=both[1].seq + number,
            event_type="position_updated",
            position_id=bonk.pk,
            created_at=both[1].created_at,
            position=both[number % 2 == 0].position,
        )
        for number in range(1, 501)
    )
    window.log_in(at=f"/agents/{bonk.agent_id}/positions/{bonk.pk}")
    expect(window.by_id("details-history-note")).to_contain_text("The newest 500 events")
    expect(window.by_id("details-history").locator("li").first).to_contain_text(
        "stop loss from \u221220% to \u221221%"
    )


def test_closed_position_has_its_chart_reason_and_duration(window: Window, wallet: Wallet) -> None:
    position = buy(wallet, "SCALP", tokens="100", spent_sol="1", stop_loss="-10")
    start = opened_ago(position, 90 * MINUTE)
    record(position, start, *[Decimal(n) / 100 for n in range(1, 91)])
    services.close_position(position_id=position.pk, proceeds_sol=Decimal("1.25"), reason="take profit")
    Position.objects.filter(pk=position.pk).update(closed_at=start + 30 * MINUTE)
    other = buy(wallet, "QUICK", tokens="100", spent_sol="1")
    services.close_position(position_id=other.pk, proceeds_sol=Decimal("0.9"), reason="stop loss")
    Position.objects.filter(pk=other.pk).update(closed_at=F("created_at"))
    window.log_in()
    row = window.page.locator(f"[data-closed-id='{position.pk}']")
    expect(row).to_contain_text("+0.2500 SOL+25.00%take profit30 m")
    row.get_by_role("link").click()
    expect(window.by_id("details-facts")).to_contain_text("Held for30 m")
    expect(window.by_id("price-chart-caption")).to_contain_text("0.0090000 to 0.34100 SOL while it was held")
    assert shapes(window.by_id("price-chart-plot"), ".up") == 31
    window.close_details()
    window.page.locator(f"[data-closed-id='{other.pk}']").get_by_role("link").click()
    expect(window.by_id("price-chart-note")).to_have_text("No price was recorded while it was held.")
    expect(window.by_id("details-facts")).to_contain_text("Held for0 s")


def test_value_chart_counts_money_that_goes_in_as_no_gain(
    window: Window, wallet: Wallet, bonk: Position, feed: Backstage
) -> None:
    tiny = "0.000000001"
    record_value(wallet, now() - timedelta(days=3), "1", "2")
    record_value(wallet, now() - timedelta(hours=20), "2", "2")
    record_value(wallet, now() - timedelta(hours=19), f"7.5{tiny[3:]}", "7")
    for n in range(30, 0, -1):
        record_value(wallet, now() - n * MINUTE, "2.25", "2")
    log_in(window)
    plot = window.by_id("value-chart-plot")
    expect(window.by_id("range-gain")).to_have_text("0.0000")  # bonk is worth what it cost
    feed.quote(bonk, "0.0000025", "0.00046875")
    expect(window.by_id("range-gain")).to_have_text("+0.5000")
    expect(plot.locator(".tag.average")).to_have_text("2.0000")
    window.by_id("value-chart-as-table").click()
    table = window.by_id("value-chart-table")
    expect(table.locator("tbody tr").first).to_contain_text("2.5000")
    rows = titles(table)
    assert rows[0][1:] == ["2.5 SOL", "2 SOL", "0.5 SOL", "1 position"]
    assert [row[1:4] for row in rows[-2:]] == [
        ["7.500000001 SOL", "7 SOL", "0.500000001 SOL"],
        ["2 SOL", "2 SOL", "0 SOL"],
    ]
    window.by_id("value-chart-as-table").click()
    window.by_id("value-kind").get_by_text("Gain").click()
    expect(plot.locator("svg")).to_have_attribute("data-direction", "up")
    window.by_id("value-range").get_by_text("1W").click()
    expect(window.by_id("range-gain")).to_have_text("+1.5000")
    window.page.reload()
    expect(window.by_id("range-gain")).to_have_text("+1.5000")  # what was chosen is remembered


@pytest.fixture
def both(wallet: Wallet, bonk: Position) -> None:
    """Live and simulated money, and points of the value that tell them apart, but for the first."""
    real = Wallet.objects.create(agent=bonk.agent, address="Rea1" + "1" * 39, kind="live")
    buy(real, "REAL", tokens="10", spent_sol="5")
    part = {"value": "3", "invested": "2", "realized": "0", "flow": "2"}
    simulated = {f"simulated_{name}_sol": Decimal(figure) for name, figure in part.items()}
    last = now()
    record_value(wallet, last - 9 * MINUTE, "50", "7")
    for n in range(8, 0, -1):
        at = last - n * MINUTE
        record_value(wallet, at, "7.5", "7", simulated_positions=1, simulated_not_live=0, **simulated)


def test_value_chart_has_live_and_simulated_money_apart(window: Window, both: None) -> None:
    log_in(window)
    window.by_id("value-chart-as-table").click()
    rows = window.by_id("value-chart-table").locator("tbody tr")
    expect(rows.last).to_contain_text("4.5000")
    assert titles(window.by_id("value-chart-table"))[-1][1:] == ["4.5 SOL", "5 SOL", "0 SOL", "0 positions"]
    window.by_id("mode-choice").get_by_text("Simulated").click()
    expect(rows.last).to_contain_text("3.0000")
    assert titles(window.by_id("value-chart-table"))[-1][1:] == ["3 SOL", "2 SOL", "0 SOL", "1 position"]


def test_value_chart_of_one_kind_of_money_is_never_that_of_another(window: Window, both: None) -> None:
    """Not of both together while the totals come, nor of the kind before while another one is read."""
    asked: list[str] = []

    def note_request(request: Request) -> None:
        if "/value-history/" in request.url:
            asked.append(request.url.partition("mode=")[2])

    window.page.on("request", note_request)
    held = HeldRequests(window.page, "**/value-history/**")
    log_in(window)
    note, table = window.by_id("value-chart-note"), window.by_id("value-chart-table")
    expect(note).to_have_text("Loading…")
    with window.page.expect_request(lambda request: "mode=simulation" in request.url):
        window.by_id("mode-choice").get_by_text("Simulated").click()
        window.by_id("value-chart").scroll_into_view_if_needed()
    assert asked == ["live", "simulation"]
    held.release()  # the first is not waited for any more
    window.by_id("value-chart-as-table").click()
    expect(table.locator("tbody tr").last).to_contain_text("3.0000")
    held.hold()
    window.by_id("mode-choice").get_by_text("Live").click()
    window.by_id("value-chart").scroll_into_view_if_needed()
    expect(note).to_have_text("Loading…")
    expect(table).to_be_hidden()
    expect(window.by_id("range-gain")).to_have_text("—")
    held.first()
    held.release()
    expect(table.locator("tbody tr").last).to_contain_text("4.5000")


def test_performance_opens_by_itself_where_the_positions_are_still_seen_and_as_it_was_left(
    open_window: Callable[..., Window], bonk: Position
) -> None:
    window = open_window(viewport={"width": 861, "height": 1040}).log_in()
    performance = window.by_id("performance")
    expect(performance).to_have_attribute("open", "")
    expect(window.by_id("value-chart-note")).to_contain_text("Nothing has been recorded yet.")
    expect(window.row(bonk)).to_be_in_viewport()
    window.page.set_viewport_size({"width": 1280, "height": 800})
    window.page.reload()
    expect(performance).to_be_visible()
    expect(performance).not_to_have_attribute("open", "")  # nobody has chosen it
    expect(window.row(bonk)).to_be_in_viewport()
    performance.locator("summary").click()
    window.page.wait_for_function("() => localStorage.getItem('nexgent.performance') === 'open'")
    window.page.reload()
    expect(performance).to_have_attribute("open", "")


def test_history_that_cannot_be_read_is_said_and_tried_again(
    window: Window, wallet: Wallet, bonk: Position
) -> None:
    start = opened_ago(bonk, 10 * MINUTE)
    record(bonk, start, *[Decimal("0.000002")] * 9)
    record_value(wallet, now() - timedelta(hours=1), "2", "2")

    def refuse(route: Route) -> None:
        route.fulfill(status=503, json={"detail": "The database is unavailable."})

    for path in ["**/candles/**", "**/value-history/**"]:
        window.page.route(path, refuse)
    log_in(window)
    note = "The value's history is unavailable: The database is unavailable."
    expect(window.by_id("value-chart-note")).to_have_text(note)
    expect(window.by_id("days-chart-note")).to_be_visible()  # from now on, nothing above the row moves it
    window.row(bonk).get_by_test_id("symbol").click()
    note = "The price history is unavailable: The database is unavailable."
    expect(window.by_id("price-chart-note")).to_have_text(note)
    window.page.unroute_all()
    window.by_id("price-chart-retry").click()
    expect(window.by_id("price-chart-plot")).to_be_visible()
    expect(window.by_id("price-chart-note")).to_be_hidden()
    window.close_details()
    window.by_id("value-chart-retry").click()
    expect(window.by_id("value-chart-plot")).to_be_visible()
    window.forgive_network_trouble()


def test_rows_hold_still_while_the_charts_above_them_come(
    window: Window, wallet: Wallet, bonk: Position
) -> None:
    for n in range(5, 0, -1):
        record_value(wallet, now() - n * MINUTE, "2", "2")
    closed = buy(wallet, "OLD", tokens="10", spent_sol="1")
    services.close_position(position_id=closed.pk, proceeds_sol=Decimal("1.25"))
    held = HeldRequests(window.page, "**/results/", "**/value-history/**")
    log_in(window)
    window.expect_state("live")
    # All that stands above the row and is not held has come.
    expect(window.by_id("prices-stale")).to_have_text("No prices yet")
    window.expect_row(bonk, wallet="A1ph…1111 simulated")
    expect(window.by_id("value-chart-note")).to_have_text("Loading…")
    held.first()
    place = window.row(bonk).bounding_box()
    held.release()
    expect(window.by_id("value-chart-plot")).to_be_visible()
    expect(window.by_id("days-chart-plot")).to_be_visible()
    assert window.row(bonk).bounding_box() == place


def test_results_are_those_of_rest(window: Window, wallet: Wallet) -> None:
    sold = []
    moment = datetime.now(UTC)  # one, so that those of a day are of one day
    for symbol, proceeds, back in [("WIN", "1.75", 3), ("LOSS", "0.9", 3), ("MORE", "1.50000000123", 0)]:
        position = buy(wallet, symbol, tokens="10", spent_sol="1")
        services.close_position(position_id=position.pk, proceeds_sol=Decimal(proceeds))
        Position.objects.filter(pk=position.pk).update(closed_at=moment - timedelta(days=back))
        sold.append(position)
    log_in(window)
    window.expect_totals(realised="+1.1500")
    expect(window.by_id("win-rate")).to_have_text("66.67%")
    expect(window.by_id("average-return")).to_have_text("+38.33%")
    expect(window.by_id("best")).to_have_text("WIN")
    expect(window.by_id("worst-profit")).to_have_text("\u22120.1000 SOL")
    plot = window.by_id("days-chart-plot")
    assert (shapes(plot, ".up"), shapes(plot, ".down")) == (2, 0)
    window.by_id("days-chart-as-table").click()
    today, before = titles(window.by_id("days-chart-table"))
    assert today[1:] == ["0.500000001 SOL", "1 closed"]
    assert before[1:] == ["0.65 SOL", "2 closed"]
    window.by_id("worst").click()
    expect(window.by_id("details-symbol")).to_have_text("LOSS")


def test_charts_are_readable_and_fit_in_both_themes_and_on_every_device(
    open_window: Callable[..., Window], wallet: Wallet, bonk: Position, feed: Backstage, axe: str
) -> None:
    start = opened_ago(bonk, 30 * MINUTE)
    record(bonk, start, *[Decimal("0.000002") * (50 + n % 7) / 50 for n in range(30)])
    record_value(wallet, now() - timedelta(hours=1), "2", "2")
    position = buy(wallet, "WIN", tokens="10", spent_sol="1")
    services.close_position(position_id=position.pk, proceeds_sol=Decimal(2))
    window = open_window(bypass_csp=True).log_in()
    page = window.page
    feed.quote(bonk, "0.0000025", "0.00046875")
    window.expect_row(bonk, value="2.5000")
    page.evaluate(axe)
    performance = window.by_id("performance")

    def expect_to_fit() -> None:
        for scheme, _ in SCHEMES:
            page.emulate_media(color_scheme=scheme)
            assert page.evaluate(CUT_OFF) == []

    def expect_to_be_readable(part: str) -> None:
        for scheme, rules in SCHEMES:
            page.emulate_media(color_scheme=scheme)
            assert page.evaluate(LOW_CONTRAST) == []
            assert page.evaluate(RUN.replace("document", f"'#{part}'"), rules) == []

    for device in [DESK, TABLET, PHONE]:
        page.set_viewport_size(device["viewport"])
        if performance.get_attribute("open") is None:
            performance.locator("summary").click()
        expect(window.by_id("value-chart-plot")).to_be_visible()
        expect_to_fit()
        expect_to_be_readable("performance")
        window.row(bonk).get_by_test_id("symbol").click()
        expect(window.by_id("price-chart-plot")).to_be_visible()
        expect_to_fit()
        window.by_id("price-chart-as-table").click()
        expect(window.by_id("price-chart-table")).to_be_visible()
        expect_to_be_readable("details")
        window.by_id("price-chart-as-table").click()
        window.close_details()


# What is written in charts: within them, and nothing over another.
UNREADABLE = """() => [...document.querySelectorAll(".plot svg")].flatMap((svg) => {
    if (!svg.checkVisibility()) return [];
    const chart = svg.getBoundingClientRect();
    const texts = [...svg.querySelectorAll("text")].map((text) => [text.textContent, text.getBoundingClientRect()]);
    const out = texts.filter(([, box]) => box.left < chart.left - 1 || box.right > chart.right + 1 ||
        box.top < chart.top - 2 || box.bottom > chart.bottom + 2).map(([text]) => `cut off: ${text}`);
    const over = texts.flatMap(([text, a], index) => texts.slice(index + 1)
        .filter(([, b]) => a.left < b.right - 1 && b.left < a.right - 1 && a.top < b.bottom - 4 && b.top < a.bottom - 4)
        .map(([other]) => `${text} over ${other}`));
    return [...out, ...over];
})"""
NARROW = {"width": 320, "height": 720}
ENLARGED = {"width": 640, "height": 450}  # 1280 x 900 at 200 %


@pytest.mark.parametrize("size", [NARROW, ENLARGED, DESK["viewport"]], ids=["320", "200%", "desk"])
def test_everything_written_in_a_chart_can_be_read(
    open_window: Callable[..., Window], wallet: Wallet, feed: Backstage, size: dict[str, int]
) -> None:
    """Average and stop loss near each other, both far away, long figures."""
    near = buy(wallet, "NEAR", tokens="1000", spent_sol="21.535", stop_loss="-1")
    far = buy(wallet, "FAR", tokens="46.4359", spent_sol="1", stop_loss="40")
    for position, price in [(near, Decimal("0.0213")), (far, Decimal("0.0512"))]:
        start = opened_ago(position, 40 * MINUTE)
        record(position, start, *[price * (200 + n % 5) / 200 for n in range(40)])
    for n in range(30, 0, -1):
        record_value(wallet, now() - n * MINUTE, f"{123456 + n}.123456789", "123450.5")
    won = buy(wallet, "WON", tokens="10", spent_sol="1")
    services.close_position(position_id=won.pk, proceeds_sol=Decimal("12345.678"))
    window = open_window(viewport=size).log_in()
    page = window.page
    feed.quote(near, "0.0213", "4.1")
    feed.quote(far, "0.0512", "9.6")
    window.by_id("performance").locator("summary").click()
    for currency in ["currency-sol", "currency-usd"]:
        window.by_id(currency).evaluate("(choice) => choice.click()")  # in a narrow window it is in the menu
        for chart in ["value-chart", "days-chart"]:
            window.by_id(chart).scroll_into_view_if_needed()
            expect(window.by_id(f"{chart}-plot").locator("text").first).to_be_visible()
        assert page.evaluate(UNREADABLE) == []
        assert page.evaluate(CUT_OFF) == []
        for position in [near, far]:
            window.row(position).get_by_test_id("symbol").click()
            window.by_id("price-chart").scroll_into_view_if_needed()
            expect(window.by_id("price-chart-plot").locator("text").first).to_be_visible()
            assert page.evaluate(UNREADABLE) == []
            assert page.evaluate(CUT_OFF) == []
            window.close_details()
    assert page.evaluate("() => document.documentElement.scrollWidth <= document.documentElement.clientWidth")


def pure(page: Page, module: str, code: str) -> Any:
    """Return what the code makes of `it`, the module."""
    return page.evaluate(f"async () => {{ const it = await import('/static/realtime/{module}'); {code} }}")


def test_axes_have_round_figures_and_times(script_page: Page) -> None:
    figures = """return [[0, 1, 4], [0.0000000121, 0.0000000199, 4], [-3, 8, 3], [5, 5, 4], [1200, 5400, 4]].map(
        ([low, high, most]) => {
            const { figures, step } = it.roundFigures(low, high, most);
            return figures.map((each) => it.axisText(each, step));
        })"""
    assert pure(script_page, "chart-scale.js", figures) == [
        ["0.00", "0.25", "0.50", "0.75", "1.00"],
        ["0.0₇14", "0.0₇16", "0.0₇18"],
        ["0", "5"],
        ["5.000"],
        ["2,000", "4,000"],
    ]
    # On both sides of the night in which clocks go forward, by the reader's clock.
    times = """return [[2 * 3600e3, 4], [36 * 3600e3, 6], [20 * 86400e3, 5], [200 * 86400e3, 6]].map(([span, most]) => {
        const from = Date.parse("2026-03-28T18:30:00");
        return it.roundTimes(from, from + span, most).map(({ text }) => text);
    })"""
    assert pure(script_page, "chart-scale.js", times) == [
        ["18:30", "19:00", "19:30", "20:00", "20:30"],
        ["Mar 29", "06:00", "12:00", "18:00", "Mar 30", "06:00"],
        ["Apr 4", "Apr 11"],
        ["Apr 1", "Jul 1", "Oct 1"],
    ]


def test_what_arrives_continues_what_was_recorded(script_page: Page) -> None:
    code = """
        const minute = (n) => Date.UTC(2026, 0, 31, 12, n);
        const candle = (n, open, high, low, close) => (
            { start: new Date(minute(n)).toISOString(), open, high, low, close, closeUsd: null });
        const candles = new it.Candles(60000);
        candles.tick(minute(2) + 5000, "9", null);
        candles.record([candle(0, "1", "2", "0.5", "1.5"), candle(2, "1.5", "8", "1.5", "7")]);
        const again = [candles.tick(minute(2) + 9000, "9", null), candles.tick(minute(4), "0.25", null)];
        const shown = (points) => points.map(({ at, open, high, low, close }) => (
            [(at - minute(0)) / 60000, open, high, low, close]));
        return [again, shown(candles.points), shown(it.gathered(candles.points, 180000)),
            it.runs([{ at: 1 }, { at: 2, gap: true }, { at: 3 }]).map((run) => run.length),
            [3600e3, 40 * 3600e3, 40 * 86400e3].map((span) => it.lengthFor(span, 60000, 80) / 60000)];"""
    assert pure(script_page, "chart-points.js", code) == [
        [False, True],
        [[0, "1", "2", "0.5", "1.5"], [2, "1.5", "9", "1.5", "9"], [4, "0.25", "0.25", "0.25", "0.25"]],
        [[0, "1", "9", "0.5", "9"], [3, "0.25", "0.25", "0.25", "0.25"]],
        [1, 2],
        [1, 30, 720],
    ]


def test_value_has_the_same_first_and_last_row_at_any_second_of_two_hours(script_page: Page) -> None:
    """Whatever minute or hour is about to begin, no point is joined with one of another minute."""
    code = """
        const noon = Date.UTC(2026, 0, 31, 12);
        const point = (at, valueSol) => (
            { at, valueSol, valueUsd: null, solPriceUsd: null, investedSol: "2", netFlowSol: "2", positions: 1,
              positionsNotLive: 0 });
        const rows = new Set();
        for (let to = noon; to < noon + 7200e3; to += 1000) {
            const last = Math.floor(to / 60e3) * 60e3;
            const recorded = [8, 7, 6, 5, 4, 3, 2, 1].map((n) => point(last - n * 60e3, "3"));
            const moments = [...recorded, point(to, "2.5")];
            const content = it.valueContent(
                { kind: "value", moments, interval: 60e3, from: to - 600e3, to, solUsd: null });
            const found = content.rows().map(({ cells }) => cells.slice(1, 4).map(({ title }) => title).join());
            rows.add([found.length, found[0], ...new Set(found.slice(1))].join("; "));
        }
        return [...rows];"""
    assert pure(script_page, "value-data.js", code) == ["9; 2.5 SOL,2 SOL,-0.5 SOL; 3 SOL,2 SOL,0 SOL"]


def test_value_now_goes_on_from_the_last_point_and_transfers_are_no_gain(script_page: Page) -> None:
    code = """
        const point = { timestamp: "2026-01-31T12:00:00.000Z", valueSol: "3", valueUsd: null, solPriceUsd: null,
            investedSol: "2", realizedProfitSol: "-0.5", netFlowSol: "2.75", positions: 1, positionsNotLive: 0 };
        // Another SOL was put in, at its value; what is held has won 0.125 since.
        const now = { valueSol: "4.125", valueUsd: null, unrealizedSol: "1.125", profitSol: "0.625", solUsd: null,
            positions: 2, notLive: 1 };
        const next = it.continued(point, now, Date.parse("2026-01-31T12:01:00Z"));
        return [next.netFlowSol, it.gainBetween(it.momentOf(point), next)];"""
    assert pure(script_page, "value-data.js", code) == ["3.75", "0.125"]
