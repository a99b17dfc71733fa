"""The page follows the close codes: it reconnects if it may, and never fights another window."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable
from decimal import Decimal

import pytest
from playwright.sync_api import WebSocketRoute, expect

from positions import services
from positions.models import Position
from tests.end_to_end.browser.conftest import Backstage
from tests.end_to_end.browser.windows import Window
from tests.live import Server


def test_second_window_takes_over_and_the_first_does_not_reconnect(
    open_window: Callable[..., Window], bonk: Position, feed: Backstage
) -> None:
    first, second = open_window().log_in(), open_window()
    first.expect_state("live")
    second.log_in()
    second.expect_state("live")
    first.expect_state("taken-over")
    expect(first.by_id("notice-title")).to_have_text("This agent is open in another window.")
    expect(first.by_id("connection-text")).to_have_text("In another window")
    # The second one receives everything from here on; the first one shows what it had, and opens no socket.
    feed.quote(bonk, "0.000004", "0.0008")
    second.expect_row(bonk, value="4.0000")
    services.take_profit(position_id=bonk.pk, tokens=Decimal(500_000), proceeds_sol=Decimal(2))
    second.expect_row(bonk, amount="500,000")
    first.expect_row(bonk, amount="1,000,000", value="2.0000")
    first.page.clock.install()
    first.page.clock.fast_forward("10:00")
    first.expect_state("taken-over")
    assert (first.sockets, second.sockets) == (1, 1)
    second.expect_state("live")
    # Only the user takes it back.
    expect(first.by_id("notice-button")).to_have_text("Show it here")
    first.by_id("notice-button").click()
    first.expect_state("live")
    first.expect_row(bonk, amount="500,000", value="2.0000")
    expect(first.by_id("notice")).to_be_hidden()
    second.expect_state("taken-over")
    assert (first.sockets, second.sockets) == (2, 1)


@pytest.mark.parametrize(
    ("own_server", "end"),
    [("daphne", signal.SIGTERM), ("daphne", signal.SIGKILL), ("uvicorn", signal.SIGTERM)],
    indirect=["own_server"],
)
def test_page_is_live_again_after_the_server_restarts(
    open_window: Callable[..., Window], bonk: Position, own_server: Server, end: signal.Signals
) -> None:
    window = open_window(server=own_server).log_in()
    window.expect_row(bonk, amount="1,000,000")
    own_server.stop(end)
    expect(window.by_id("connection-text")).to_contain_text("Reconnecting")
    expect(window.by_id("notice-title")).to_have_text("Connection lost.")
    expect(window.by_id("notice-text")).to_contain_text("Next try in")
    window.expect_row(bonk, amount="1,000,000")
    services.take_profit(position_id=bonk.pk, tokens=Decimal(1), proceeds_sol=Decimal(1))
    own_server.start()
    window.expect_state("live")
    window.expect_row(bonk, amount="999,999")
    assert "lastSeq=1" in window.socket.url  # it asked for what it missed, and nothing else
    expect(window.by_id("notice")).to_be_hidden()
    window.forgive_network_trouble()


def test_page_is_live_again_after_a_network_outage(
    open_window: Callable[..., Window], bonk: Position, own_server: Server
) -> None:
    window = open_window(server=own_server).log_in()
    window.expect_state("live")
    window.page.context.set_offline(True)
    own_server.stop(signal.SIGKILL)
    window.expect_state("offline")
    expect(window.by_id("notice-title")).to_have_text("You are offline.")
    own_server.start()
    sockets = window.sockets
    window.page.context.set_offline(False)
    window.expect_state("live")
    assert window.sockets == sockets + 1
    window.forgive_network_trouble()


def test_outage_of_the_price_server_is_shown(
    open_window: Callable[..., Window], bonk: Position, tmp_path, start_server: Callable[..., Server]
) -> None:
    """A server that never finds its Valkey."""
    nobody = f"unix://{tmp_path}/nobody.sock"
    server = start_server(REDIS_URL=nobody)
    window = open_window(server=server).log_in()
    window.expect_state("waiting")  # closed with 1013, and coming back
    expect(window.by_id("prices-stale")).to_have_text("Prices are unavailable")
    window.forgive_network_trouble()


def test_token_is_refreshed_on_the_open_socket_before_it_expires(
    open_window: Callable[..., Window], bonk: Position, start_server: Callable[..., Server]
) -> None:
    """Access tokens of this server are valid for three seconds, and the page outlives two of them."""
    server = start_server(NEXGENT_ACCESS_TOKEN_MINUTES="0.05")
    window = open_window(server=server).log_in()
    window.expect_state("live")
    for _ in range(3):
        with window.socket.expect_event(
            "framereceived", lambda text: json.loads(text)["type"] == "refreshed"
        ):
            pass
    services.take_profit(position_id=bonk.pk, tokens=Decimal(1), proceeds_sol=Decimal(1))
    window.expect_row(bonk, amount="999,999")
    assert window.sockets == 1


def test_token_that_has_expired_is_renewed_without_the_user(
    open_window: Callable[..., Window], bonk: Position, start_server: Callable[..., Server]
) -> None:
    """The refresh never reaches the server: the socket is closed, and the page reconnects."""
    server = start_server(NEXGENT_ACCESS_TOKEN_MINUTES="0.03")
    window = open_window(server=server)
    sockets = 0

    def lose_refreshes(page: WebSocketRoute) -> None:
        nonlocal sockets
        sockets += 1
        connection = page.connect_to_server()
        page.on_message(lambda text: None if '"refresh"' in str(text) else connection.send(text))

    window.page.route_web_socket("**/ws?*", lose_refreshes)
    window.log_in()
    window.expect_state("live")
    for tokens_left in ("999,999", "999,998"):
        before = sockets
        expect(window.by_id("connection")).not_to_have_attribute("data-state", "live")
        services.take_profit(position_id=bonk.pk, tokens=Decimal(1), proceeds_sol=Decimal(1))
        window.expect_row(bonk, amount=tokens_left)
        assert sockets > before
    assert window.page.get_by_test_id("login").is_hidden()
    window.forgive_network_trouble()


@pytest.mark.parametrize(
    ("code", "reason", "closing", "answer", "retry_after"),
    [
        (1000, "New connection established", None, "taken-over", 0),
        (1000, "Connection timeout", None, "retry", 0),
        (1000, "Server shutdown", {"reconnect": True, "retryAfter": 1500}, "retry", 1500),
        (1008, "Agent not found", None, "unavailable", 0),
        (1008, "Access revoked", None, "unavailable", 0),
        (1008, "Token expired", None, "renew", 0),
        (1008, "Authentication failed", None, "login", 0),
        (1008, "Rate limit exceeded", None, "retry", 0),
        (1009, "Message too big", None, "retry", 0),
        (1011, "Internal server error", None, "retry", 0),
        (1013, "Try again later", {"reconnect": True, "retryAfter": 3000}, "retry", 3000),
        (1006, "", None, "retry", 0),
        (
            1006,
            "",
            {"code": 1000, "reason": "New connection established", "reconnect": False},
            "taken-over",
            0,
        ),
        (1012, "", None, "retry", 0),
        (1008, "Something new", {"reconnect": False}, "refused", 0),
    ],
)
def test_close_code_has_its_answer(script_page, code, reason, closing, answer, retry_after) -> None:
    judged = script_page.evaluate(
        "async ([event, closing]) => (await import('/static/realtime/close-codes.js')).judge(event, closing)",
        [{"code": code, "reason": reason}, closing],
    )
    assert (judged["answer"], judged["retryAfter"]) == (answer, retry_after)


def test_backoff_grows_to_a_limit_and_is_spread_over_all_of_it(script_page) -> None:
    shortest, longest = script_page.evaluate(
        """async () => {
            const { backoff } = await import("/static/realtime/close-codes.js");
            const attempts = [0, 1, 2, 3, 6, 7, 1000];
            return [0, 1].map((chance) => attempts.map((attempt) => backoff(attempt, 2000, () => chance)));
        }"""
    )
    assert shortest == [2000] * 7  # what the server asked for, and nothing less
    assert longest == [2500, 3000, 4000, 6000, 32000, 32000, 32000]
