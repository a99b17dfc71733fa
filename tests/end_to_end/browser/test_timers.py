"""The timers of nexgent.js: each ends with its request, and none is left when the client is closed.

The page's clock stands still; the tests move it.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from datetime import datetime, timedelta

import pytest
from django.contrib.auth.models import User
from playwright.sync_api import Page, WebSocketRoute

from positions.models import Agent, Position
from tests.end_to_end.browser.conftest import OpenWindow
from tests.end_to_end.browser.windows import stop_clock
from tests.live import PATIENCE_SECONDS, access_token

pytestmark = pytest.mark.browser

ANSWER_LIMIT_MS = 15_000
QUIET_MS = 7_500
START = """async ([token, agentId, options]) => {
    const { Nexgent } = await import("/static/realtime/nexgent.js");
    window.states = [];
    window.nexgent = new Nexgent({ token: async () => token, ...options });
    nexgent.addEventListener("state", ({ detail }) => states.push(detail.name));
    nexgent.connect(agentId);
}"""
IN_STATE = "(name) => window.nexgent.state.name === name"


class Gate:
    """Stands between the page and the server, and holds back what the server says while it is shut."""

    def __init__(self, page: Page) -> None:
        self.shut = False
        self.sockets = 0
        self.sent: list[str] = []
        """The types of the page's messages."""
        self.change: Callable[[dict], list[dict]] = lambda message: [message]
        self._held: list[dict] = []
        self._page: WebSocketRoute
        page.route_web_socket("**/ws?*", self._connect)

    def _connect(self, page: WebSocketRoute) -> None:
        self.sockets += 1
        self._page = page
        server = page.connect_to_server()

        def from_server(text: str | bytes) -> None:
            for message in self.change(json.loads(text)):
                self._held.append(message) if self.shut else self._send(message)

        def from_page(text: str | bytes) -> None:
            self.sent.append(json.loads(text)["type"])
            server.send(text)

        server.on_message(from_server)
        page.on_message(from_page)

    def open(self) -> None:
        self.shut = False
        for message in self._held:
            self._send(message)
        self._held.clear()

    def _send(self, message: dict) -> None:
        self._page.send(json.dumps(message))


@pytest.fixture
def page(open_window: OpenWindow) -> Page:
    window = open_window()  # with a clock of its own
    window.page.goto(window.url)
    return window.page


@pytest.fixture
def gate(page: Page) -> Gate:
    return Gate(page)


def start(page: Page, agent: Agent, *, quiet_ms: int = 10 * ANSWER_LIMIT_MS) -> None:
    """Show the agent, with a clock that stands still; what the test is not about is not asked for a sign of life."""
    stop_clock(page)
    page.evaluate(START, [access_token(agent.owner), str(agent.pk), {"quietMs": quiet_ms}])
    page.wait_for_function(IN_STATE, arg="live", polling=20)


def test_choosing_another_agent_starts_the_wait_for_an_answer_over(
    page: Page, gate: Gate, bonk: Position, alice: User
) -> None:
    other = Agent.objects.create(owner=alice, name="beta")
    start(page, bonk.agent)
    page.clock.run_for(ANSWER_LIMIT_MS - 50)
    gate.shut = True
    page.evaluate("(id) => nexgent.connect(id)", str(other.pk))
    page.clock.run_for(100)  # past the time at which the first agent's answer was due
    gate.open()
    page.wait_for_function(IN_STATE, arg="live", polling=20)
    assert page.evaluate("states") == ["connecting", "live", "connecting", "live"]
    assert gate.sockets == 1


def test_missing_answer_to_the_latest_request_is_a_failure(
    page: Page, gate: Gate, bonk: Position, alice: User
) -> None:
    other = Agent.objects.create(owner=alice, name="beta")
    start(page, bonk.agent)
    page.clock.run_for(ANSWER_LIMIT_MS - 50)
    gate.shut = True
    page.evaluate("(id) => nexgent.connect(id)", str(other.pk))
    page.clock.run_for(ANSWER_LIMIT_MS - 50)
    assert page.evaluate("states") == ["connecting", "live", "connecting"]
    page.clock.run_for(100)
    assert page.evaluate("states[3]") == "waiting"


def test_token_is_refreshed_once_however_often_its_expiry_is_announced(
    page: Page, gate: Gate, bonk: Position
) -> None:
    def say_twice_that_the_token_expires_in_ten_seconds(message: dict) -> list[dict]:
        if message["type"] != "connected":
            return [message]
        now = datetime.fromisoformat(message["data"]["timestamp"])
        message["data"]["tokenExpiresAt"] = (now + timedelta(seconds=10)).isoformat()
        return [message, message]

    gate.change = say_twice_that_the_token_expires_in_ten_seconds
    start(page, bonk.agent)
    page.clock.run_for(6_000)
    page.evaluate("(id) => nexgent.connect(id)", str(bonk.agent_id))
    page.wait_for_function(
        IN_STATE, arg="live", polling=20
    )  # by then all that was sent before has passed the gate
    assert gate.sent == ["refresh", "subscribe"]


def test_client_that_is_closed_is_not_kept_alive_by_the_page(page: Page, bonk: Position) -> None:
    start(page, bonk.agent)
    page.evaluate("() => { nexgent.close(); window.weak = new WeakRef(nexgent); window.nexgent = null; }")
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not page.evaluate("window.weak.deref() === undefined"):  # once the socket has closed as well
        assert time.monotonic() < deadline, "something still holds it"
        page.request_gc()


def test_client_that_was_closed_connects_again(page: Page, gate: Gate, bonk: Position) -> None:
    start(page, bonk.agent)
    page.evaluate("() => nexgent.close()")
    page.context.set_offline(True)  # which a closed client does not notice
    page.context.set_offline(False)
    page.evaluate("(id) => nexgent.connect(id)", str(bonk.agent_id))
    page.wait_for_function(IN_STATE, arg="live", polling=20)
    assert page.evaluate("states") == ["connecting", "live", "idle", "connecting", "live"]


def test_silent_connection_is_asked_for_a_sign_of_life_and_lost_without_one(
    page: Page, gate: Gate, bonk: Position
) -> None:
    start(page, bonk.agent, quiet_ms=QUIET_MS)
    for pings in (1, 2):  # which the server answers
        page.clock.run_for(QUIET_MS + 50)
        page.wait_for_function("() => nexgent.lastMessageAt > performance.now() - 1000", polling=20)
        assert gate.sent == ["ping"] * pings
    gate.shut = True
    page.clock.run_for(QUIET_MS + 4_900)
    assert page.evaluate("states") == ["connecting", "live"]
    page.clock.run_for(200)
    assert page.evaluate("states[2]") == "waiting"
