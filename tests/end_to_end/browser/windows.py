"""What a user does and sees in a window of the page."""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime, timedelta
from typing import Any

from playwright.sync_api import ConsoleMessage, Error, Locator, Page, Route, WebSocket, expect

from testbed.processes import PATIENCE_SECONDS

expect.set_options(timeout=1000 * PATIENCE_SECONDS)

# What chromium itself writes to the console when a request fails, whatever the page makes of it.
NETWORK_TROUBLE = re.compile(r"Failed to load resource|WebSocket connection to .* failed")

NOTE_TOASTS = """() => {
    window.toasts = [];
    new MutationObserver((records) => records.forEach(({ addedNodes }) => addedNodes.forEach((added) => {
        if (added.dataset?.testid === "toast") window.toasts.push(added.textContent);
    }))).observe(document.getElementById("toasts"), { childList: true });
}"""


class Window:
    """One window. `errors` collects what the console reported and scripts threw."""

    def __init__(self, page: Page, url: str) -> None:
        self.page = page
        self.url = url
        self.errors: list[str] = []
        self.sockets = 0
        """How many sockets the page has opened; the last of them is `socket`."""
        self.socket: WebSocket
        page.on("console", self._on_console)
        page.on("pageerror", self._on_error)
        page.on("websocket", self._on_socket)

    def _on_console(self, message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"}:
            self.errors.append(message.text)

    def _on_error(self, error: Error) -> None:
        self.errors.append(str(error))

    def _on_socket(self, socket: WebSocket) -> None:
        self.sockets += 1
        self.socket = socket

    def forgive_network_trouble(self) -> None:
        """Drop the errors that a refused or broken request leaves in the console: the test is about them."""
        self.errors = [error for error in self.errors if not NETWORK_TROUBLE.search(error)]

    def log_in(self, username: str = "alice", at: str = "") -> Window:
        """Give this profile a session of the user, and load the page. By the form it is a tenth of CPU more."""
        token = 32 * "c"
        answer = self.page.context.request.post(
            f"{self.url}/api/session/",
            data={"username": username, "password": f"{username}-has-a-password"},
            headers={"X-CSRFToken": token, "Cookie": f"csrftoken={token}"},
        )
        assert answer.ok, answer.text()
        self.page.goto(f"{self.url}{at}")
        return self

    def log_in_by_form(self, username: str = "alice", *, password: str | None = None) -> Window:
        self.page.goto(self.url)
        self.fill_in(username, password or f"{username}-has-a-password")
        return self

    def fill_in(self, username: str, password: str) -> None:
        self.by_id("username").fill(username)
        self.by_id("password").fill(password)
        self.by_id("log-in").click()

    def by_id(self, test_id: str) -> Locator:
        return self.page.get_by_test_id(test_id)

    def choose(self, agent_name: str) -> None:
        self.by_id("agent").select_option(label=agent_name)

    def expect_state(self, name: str) -> None:
        expect(self.by_id("connection")).to_have_attribute("data-state", name)

    def close_details(self) -> None:
        """Close what is open of a position, and wait until the page is at its agent's address again.

        Whoever opens another position sooner is taken back by the step in the browser's history that is still to come.
        """
        self.by_id("details-close").click()
        expect(self.page).not_to_have_url(re.compile("/positions/"))

    def note_toasts(self) -> None:
        """Note what is said in a corner of the page for four seconds, for `expect_toast`."""
        self.page.evaluate(NOTE_TOASTS)

    def expect_toast(self, text: str) -> None:
        """Wait until this is said, or was since `note_toasts`."""
        self.page.wait_for_function("(text) => window.toasts.some((said) => said.includes(text))", arg=text)

    def rows(self) -> Locator:
        return self.by_id("position")

    def row(self, position: Any) -> Locator:
        return self.page.locator(f"[data-position-id='{position.pk}']")

    def expect_row(self, position: Any, **cells: str) -> None:
        """Wait until the position's row shows these texts, cells named by test id with _ for -."""
        expect_cells(self.row(position), **cells)

    def expect_totals(self, **cells: str) -> None:
        expect_cells(self.by_id("totals"), **cells)


def expect_cells(row: Locator, **cells: str) -> None:
    for name, text in cells.items():
        expect(row.get_by_test_id(name.replace("_", "-"))).to_have_text(text)


def stop_clock(page: Page) -> None:
    """Let time stand still for the page: it goes on by `page.clock` only."""
    page.clock.install()
    # What is to come by then, however long this takes: a clock cannot be stopped in the past.
    page.clock.pause_at(datetime.now(UTC) + timedelta(minutes=1))


class HeldRequests:
    """Requests of a page whose addresses match one of the patterns: none goes on before the test lets it."""

    def __init__(self, page: Page, *patterns: str) -> None:
        self._page = page
        self._routes: list[Route] = []
        self._is_holding = True
        for pattern in patterns:
            page.route(pattern, self._came)

    def _came(self, route: Route) -> None:
        if self._is_holding:
            self._routes.append(route)
        else:
            route.continue_()

    def first(self) -> Route:
        """Wait for a request, and return the first that is held."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not self._routes:  # what the page shows may come before its request does
            assert time.monotonic() < deadline, "it never happened that the page asked"
            self._page.wait_for_timeout(5)  # in which the library hears of requests
        return self._routes[0]

    def release(self) -> None:
        """Let these requests go on, and those to come."""
        self._is_holding = False
        for route in self._routes:
            route.continue_()
        self._routes.clear()

    def hold(self) -> None:
        """Hold those to come again."""
        self._is_holding = True
