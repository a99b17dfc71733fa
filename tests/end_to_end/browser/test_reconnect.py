"""The page follows the close codes: it reconnects if it may, and never fights another window."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable
from decimal import Decimal

import pytest
from playwright.sync_api import WebSocketRoute, expect
from websockets.sync.client import connect

from positions import services
from positions.models import Position
from tests.end_to_end.browser.conftest import Backstage
from tests.end_to_end.browser.windows import Window
from tests.live import PATIENCE_SECONDS, Server, access_token


def test_two_windows_and_a_bot_that_owns_the_agent_live_side_by_side(
    open_window: Callable[..., Window], bonk: Position, daphne_server: Server
) -> None:
    token = access_token(bonk.agent.owner)
    url = f"{daphne_server.ws_url}?token={token}&agentId={bonk.agent_id}"
    with connect(url, open_timeout=PATIENCE_SECONDS) as bot:
        windows = [open_window().log_in() for _ in range(2)]
        for window in windows:
            window.expect_row(bonk, amount="1,000,000")
        services.take_profit(position_id=bonk.pk, tokens=Decimal(500_000), proceeds_sol=Decimal(2))
        for window in windows:
            window.expect_row(bonk, amount="500,000")
            window.expect_state("live")
            assert window.sockets == 1
        said = [json.loads(bot.recv(PATIENCE_SECONDS)) for _ in range(3)]
        assert [message["type"] for message in said] == ["connected", "initial_data", "position_update"]
        assert said[0]["data"]["mode"] == "own"


def test_page_is_live_on_a_server_that_knows_no_compact_prices(
    open_window: Callable[..., Window], bonk: Position, feed: Backstage, start_server: Callable[..., Server]
) -> None:
    """Browsers fail a handshake that accepts none of the subprotocols that they offer."""
    server = start_server(application="tests.realtime.applications:without_subprotocols")
    window = open_window(server=server).log_in()
    window.expect_state("live")
    feed.quote(bonk, "0.000003", "0.0006")
    window.expect_row(bonk, value="3.0000")
    window.forgive_network_trouble()


def test_window_without_a_place_says_so_and_gets_one_when_it_is_free(
    open_window: Callable[..., Window], bonk: Position, start_server: Callable[..., Server]
) -> None:
    server = start_server(NEXGENT_AGENT_WATCHERS="1")
    first = open_window(server=server).log_in()
    first.expect_state("live")
    second = open_window(server=server).log_in()
    expect(second.by_id("notice-title")).to_have_text("Not connected.")
    expect(second.by_id("notice-text")).to_contain_text(
        "The server says: this agent has as many watchers as it may have: 1."
    )
    first.page.close()
    second.expect_state("live")
    second.expect_row(bonk, amount="1,000,000")
    expect(second.by_id("notice")).to_be_hidden()


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
    """Access tokens of this server are valid for twelve seconds, and the page outlives one of them."""
    server = start_server(NEXGENT_ACCESS_TOKEN_MINUTES="0.2")
    window = open_window(server=server).log_in()
    window.expect_state("live")
    for _ in range(3):  # every six seconds
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
    server = start_server(NEXGENT_ACCESS_TOKEN_MINUTES="0.1")
    window = open_window(server=server)
    sockets = 0

    def lose_refreshes(page: WebSocketRoute) -> None:
        nonlocal sockets
        sockets += 1
        connection = page.connect_to_server()
        page.on_message(lambda text: None if '"refresh"' in str(text) else connection.send(text))

    window.page.route_web_socket("**/ws?*", lose_refreshes)
    window.log_in()
    for tokens_left in ("999,999", "999,998"):
        window.expect_state("live")
        before = sockets  # the last of them is the one that is live
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
