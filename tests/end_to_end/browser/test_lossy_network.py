"""A network between page and server that drops, repeats and inserts messages, goes silent, and disconnects."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import WebSocketRoute, expect

from positions import services
from positions.models import Position
from tests.end_to_end.browser.conftest import Backstage, buy
from tests.end_to_end.browser.windows import Window
from tests.live import Server

Deliver = Callable[[WebSocketRoute, str], None]


class Network:
    """Stands between one window and the server, once per socket that the page opens."""

    def __init__(self, window: Window, *deliver: Deliver, hides_closes: bool = False) -> None:
        """Give the first socket's messages to the first `deliver`, and so on; later ones pass unchanged."""
        self.sockets = 0
        self._hides_closes = hides_closes
        self._deliver = list(deliver)
        window.page.route_web_socket("**/ws?*", self._connect)

    def _connect(self, page: WebSocketRoute) -> None:
        deliver = self._deliver[self.sockets] if self.sockets < len(self._deliver) else pass_on
        self.sockets += 1
        server = page.connect_to_server()
        server.on_message(lambda text: deliver(page, str(text)))
        if self._hides_closes:
            server.on_close(lambda *_: None)


def pass_on(page: WebSocketRoute, text: str) -> None:
    page.send(text)


def hang_up(code: int, reason: str, *, after: str) -> Deliver:
    """Close the page's socket in place of this message."""

    def deliver(page: WebSocketRoute, text: str) -> None:
        if json.loads(text)["type"] == after:
            page.close(code=code, reason=reason)
        else:
            page.send(text)

    return deliver


@pytest.fixture
def impatient_server(transactional_db: None, tmp_path: Path) -> Iterator[Server]:
    """Pings every second, and closes a client that is silent for six."""
    with Server(
        "daphne",
        log=tmp_path / "log",
        DJANGO_ALLOW_ASYNC_UNSAFE="",
        NEXGENT_PING_INTERVAL_SECONDS="1",
        NEXGENT_DEAD_AFTER_SECONDS="6",
    ) as server:
        yield server


def test_lost_event_is_detected_by_its_number_and_recovered(window: Window, bonk: Position) -> None:
    lost: list[str] = []

    def lose_the_first_event(page: WebSocketRoute, text: str) -> None:
        if json.loads(text)["type"] == "position_update" and not lost:
            lost.append(text)
        else:
            page.send(text)

    network = Network(window, lose_the_first_event)
    window.log_in()
    window.expect_state("live")
    wif = buy(bonk.wallet, "WIF", tokens="100", spent_sol="2")
    services.take_profit(position_id=bonk.pk, tokens=Decimal(1), proceeds_sol=Decimal(1))
    window.expect_row(wif, amount="100")
    window.expect_row(bonk, amount="999,999")
    assert (len(lost), network.sockets) == (1, 1)  # asked for on the open socket


def test_event_that_comes_twice_or_late_changes_nothing(window: Window, bonk: Position) -> None:
    events: list[str] = []

    def repeat_the_oldest(page: WebSocketRoute, text: str) -> None:
        page.send(text)
        if json.loads(text)["type"] == "position_update":
            events.append(text)
            page.send(events[0])

    network = Network(window, repeat_the_oldest)
    window.log_in()
    window.expect_state("live")
    wif = buy(bonk.wallet, "WIF", tokens="100", spent_sol="2")
    window.expect_row(wif, amount="100")
    services.close_position(position_id=wif.pk, proceeds_sol=Decimal(1))
    services.take_profit(position_id=bonk.pk, tokens=Decimal(1), proceeds_sol=Decimal(1))
    window.expect_row(bonk, amount="999,999")
    expect(window.rows()).to_have_count(1)
    assert (len(events), network.sockets) == (3, 1)


def test_messages_and_fields_of_later_versions_are_ignored(
    window: Window, bonk: Position, feed: Backstage
) -> None:
    def add_what_is_not_known_yet(page: WebSocketRoute, text: str) -> None:
        message: dict[str, Any] = json.loads(text)
        message["weather"] = message.get("data", {})["weather"] = {"price": "rain"}
        page.send(json.dumps({"type": "weather", "data": {"price": 1}}))
        page.send(
            json.dumps({"type": "error", "data": {"code": "new", "message": "what the page asked is wrong"}})
        )
        page.send(json.dumps(message))

    network = Network(window, add_what_is_not_known_yet)
    window.log_in()
    window.expect_state("live")
    feed.quote(bonk, "0.000003", None)
    window.expect_row(bonk, value="3.0000")
    assert network.sockets == 1


def test_frame_that_is_no_message_starts_over(window: Window, bonk: Position) -> None:
    def break_the_first_event(page: WebSocketRoute, text: str) -> None:
        page.send(text[:-5] if json.loads(text)["type"] == "position_update" else text)

    network = Network(window, break_the_first_event)
    window.log_in()
    window.expect_state("live")
    services.take_profit(position_id=bonk.pk, tokens=Decimal(1), proceeds_sol=Decimal(1))
    window.expect_row(bonk, amount="999,999")
    assert network.sockets == 2


def test_pings_are_answered_so_that_the_server_keeps_the_socket(
    open_window: Callable[..., Window], bonk: Position, impatient_server: Server
) -> None:
    window = open_window(server=impatient_server).log_in()
    window.expect_state("live")
    for _ in range(7):  # as many seconds: a client that says nothing is closed after six
        with window.socket.expect_event("framesent", lambda text: json.loads(text)["type"] == "pong"):
            pass
    window.expect_state("live")
    assert window.sockets == 1


def test_silent_connection_is_detected_by_the_page(
    open_window: Callable[..., Window], bonk: Position, impatient_server: Server
) -> None:
    """Nothing comes after the snapshot, not even a close."""

    def fall_silent(page: WebSocketRoute, text: str) -> None:
        if json.loads(text)["type"] in {"connected", "initial_data"}:
            page.send(text)

    window = open_window(server=impatient_server)
    network = Network(window, fall_silent, hides_closes=True)
    window.log_in()
    window.expect_row(bonk, amount="1,000,000")
    services.take_profit(position_id=bonk.pk, tokens=Decimal(1), proceeds_sol=Decimal(1))
    window.expect_row(bonk, amount="999,999")  # which only a second socket can have sent
    assert network.sockets == 2


@pytest.mark.parametrize(
    ("code", "reason"),
    [(1011, "Internal server error"), (1013, "Try again later"), (1000, "Connection timeout")],
)
def test_close_that_allows_it_is_followed_by_a_reconnect(
    window: Window, bonk: Position, code: int, reason: str
) -> None:
    network = Network(
        window, hang_up(code, reason, after="connected"), hang_up(code, reason, after="initial_data")
    )
    window.log_in()
    window.expect_state("live")
    window.expect_row(bonk, amount="1,000,000")
    assert network.sockets == 3


def test_refused_token_is_renewed_once(window: Window, bonk: Position) -> None:
    refuse = hang_up(1008, "Authentication failed", after="connected")
    network = Network(window, refuse, refuse)  # the ticket, then the token
    window.log_in()
    window.expect_state("live")
    assert network.sockets == 3


def test_token_refused_twice_asks_to_log_in_again(window: Window, bonk: Position) -> None:
    refuse = hang_up(1008, "Authentication failed", after="connected")
    network = Network(window, refuse, refuse, refuse)  # the ticket before them
    window.log_in()
    expect(window.by_id("login-error")).to_have_text("Your session has ended. Please log in again.")
    assert network.sockets == 3
    assert window.page.evaluate("sessionStorage.length") == 0


def test_access_revoked_shows_the_reason_and_no_figures(window: Window, bonk: Position) -> None:
    network = Network(window, hang_up(1008, "Access revoked", after="position_update"))
    window.log_in()
    window.expect_state("live")
    services.take_profit(position_id=bonk.pk, tokens=Decimal(1), proceeds_sol=Decimal(1))
    expect(window.by_id("error")).to_contain_text("The server says: Access revoked.")
    expect(window.rows()).to_have_count(0)
    window.by_id("try-again").click()  # it was not true for long: the agent is in the list, the only one
    window.expect_row(bonk, amount="999,999")
    assert network.sockets == 2
