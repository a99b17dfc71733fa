"""On a phone, swiping a card shows what can be done to its position: with real touches."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

import pytest
from playwright.sync_api import Locator, expect

from positions import services
from positions.models import Position, Wallet
from tests.end_to_end.browser.conftest import Backstage, buy
from tests.end_to_end.browser.test_appearance import LOW_CONTRAST, PHONE
from tests.end_to_end.browser.windows import Window


class Finger:
    """Touches the page as a finger does. (Taps are clicks: of its two commands a busy machine makes a long press.)"""

    def __init__(self, window: Window) -> None:
        self._devtools = window.page.context.new_cdp_session(window.page)

    def _send(self, kind: str, *points: tuple[float, float]) -> None:
        touches = [{"x": x, "y": y} for x, y in points]
        self._devtools.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": touches})

    def drag(self, card: Locator, right: float, down: float = 0, *, lift: bool = True) -> None:
        """Put the finger on the middle of the card, and move it so far in ten steps."""
        card.tap(trial=True)  # scrolls to it, and waits until it stands still
        box = card.bounding_box()
        assert box is not None
        x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
        self._send("touchStart", (x, y))
        for step in range(1, 11):
            self._send("touchMove", (x + right * step / 10, y + down * step / 10))
        if lift:
            self._send("touchEnd")

    def lift(self) -> None:
        self._send("touchEnd")


@pytest.mark.parametrize(("motion", "scheme"), [("no-preference", "light"), ("reduce", "dark")])
def test_card_shows_its_actions_when_it_is_swiped(
    open_window: Callable[..., Window],
    wallet: Wallet,
    bonk: Position,
    feed: Backstage,
    motion: str,
    scheme: str,
) -> None:
    others = [buy(wallet, f"T{number}", tokens="10", spent_sol="1") for number in range(5)]
    window = open_window(reduced_motion=motion, has_touch=True, color_scheme=scheme, **PHONE).log_in()
    window.expect_state("live")
    feed.quote(bonk, "0.0000025", "0.0005")
    window.expect_row(bonk, value="2.5000")
    finger, page = Finger(window), window.page
    card, other = window.row(bonk), window.row(others[0])
    deeds = window.by_id("swipe-deeds")

    # Up and down scrolls, also where the finger strays; a little to the side is nothing.
    finger.drag(card, -60, -160)
    page.wait_for_function("() => scrollY > 50")
    expect(deeds).to_have_count(0)
    finger.drag(card, -30)
    expect(deeds).to_have_count(0)

    # To the left: the buttons, all of them to be seen; the card follows the finger, and back.
    finger.drag(card, -100, lift=False)
    expect(card).to_have_attribute("data-swipe", "drag")
    symbol = card.get_by_test_id("symbol").element_handle()
    page.wait_for_function("(cell) => cell.getBoundingClientRect().left < -50", arg=symbol)
    finger.lift()
    expect(card).to_have_attribute("data-swipe", "open")
    for name in ("Stop loss", "Sell", "Close"):
        expect(deeds.get_by_role("button", name=name)).to_be_in_viewport(ratio=1)
    assert page.evaluate(LOW_CONTRAST) == []
    finger.drag(card, 100)
    expect(deeds).to_have_count(0)
    expect(card).not_to_have_attribute("data-swipe", "closing")
    expect(window.by_id("details")).to_be_hidden()  # no swipe is a tap

    # Another card closes the first; a tap beside the buttons hides them, and opens nothing; the next one does.
    finger.drag(card, -100)
    finger.drag(other, -100)
    expect(deeds).to_have_count(1)
    expect(other).to_have_attribute("data-swipe", "open")
    window.rows().nth(2).click()
    expect(deeds).to_have_count(0)
    expect(window.by_id("details")).to_be_hidden()
    finger.drag(card, -100)
    page.keyboard.press("Escape")
    expect(deeds).to_have_count(0)

    # What is pressed is asked as in the details.
    finger.drag(card, -100)
    deeds.get_by_role("button", name="Stop loss").click()
    expect(window.by_id("stop-title")).to_have_text("Stop loss of BONK")
    expect(deeds).to_have_count(0)
    window.by_id("stop-percentage").fill("-10")
    window.by_id("stop-confirm").click()
    window.expect_row(bonk, stop="−10%")  # noqa: RUF001
    expect(card.get_by_test_id("pending")).to_be_hidden()
    finger.drag(card, -100)
    deeds.get_by_role("button", name="Sell").click()
    expect(window.by_id("sell-amount")).to_have_value("500000")
    window.by_id("sell-cancel").click()

    # The order holds still while a card is open; one that is closed meanwhile can only be put back.
    finger.drag(card, -100)
    services.close_position(position_id=bonk.pk, proceeds_sol=Decimal("2.5"))
    expect(card.get_by_test_id("pending")).to_have_text("Closed")
    deeds.get_by_role("button", name="Close").click()
    page.mouse.move(1, 1)  # away from the rows, which hold still below it
    expect(window.rows()).to_have_count(5)
    expect(window.by_id("sell-dialog")).to_be_hidden()


def test_table_is_not_swiped_with_a_mouse_or_where_it_has_columns(
    open_window: Callable[..., Window], bonk: Position
) -> None:
    window = open_window(has_touch=True, viewport={"width": 1280, "height": 800}).log_in()
    window.expect_state("live")
    Finger(window).drag(window.row(bonk), -120)
    expect(window.row(bonk)).not_to_have_attribute("data-swipe", "open")
    window.page.set_viewport_size({"width": 400, "height": 800})
    window.row(bonk).hover()
    window.page.mouse.down()
    window.page.mouse.move(10, 300, steps=5)
    window.page.mouse.up()
    expect(window.by_id("swipe-deeds")).to_have_count(0)
