"""A page that is loaded while no server answers: it says so, in the project's style, and recovers by itself."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from playwright.sync_api import expect

from positions.models import Position
from tests.end_to_end.browser.conftest import SCREENSHOTS
from tests.end_to_end.browser.windows import Window, stop_clock
from tests.live import Server

WORKER_IS_READY = "navigator.serviceWorker.ready.then((registration) => registration.active !== null)"


def test_reload_without_a_server_says_so_and_recovers_by_itself(
    open_window: Callable[..., Window], bonk: Position, own_server: Server
) -> None:
    window = open_window(server=own_server).log_in()
    window.expect_row(bonk, amount="1,000,000")
    assert window.page.evaluate(WORKER_IS_READY)
    own_server.stop(signal.SIGKILL)
    window.page.reload()
    expect(window.by_id("error-page")).to_contain_text("The server cannot be reached")
    expect(window.page).to_have_title("No connection · Nexgent")
    for theme in ("light", "dark"):
        window.page.emulate_media(color_scheme=theme)
        window.page.screenshot(path=SCREENSHOTS / f"offline-{theme}.png")
    # Styled, though no server gave it its style: a brand's mark and a button.
    again = window.page.get_by_role("link", name="Retry now")
    assert again.evaluate("(link) => getComputedStyle(link).display") == "grid"
    assert window.page.locator("img").evaluate("(image) => image.naturalWidth") > 0
    own_server.start()
    window.expect_row(bonk, amount="1,000,000")  # untouched
    window.expect_state("live")
    window.forgive_network_trouble()


def test_button_retries_at_once(open_window: Callable[..., Window], own_server: Server) -> None:
    window = open_window(server=own_server)
    window.page.goto(window.url)
    assert window.page.evaluate(WORKER_IS_READY)
    own_server.stop(signal.SIGKILL)
    stop_clock(window.page)  # so that only the button tries
    window.page.reload()
    with window.page.expect_navigation():  # ended before the server is back
        window.page.get_by_role("link", name="Retry now").click()
    expect(window.by_id("error-page")).to_contain_text("The server cannot be reached")
    own_server.start()
    window.page.get_by_role("link", name="Retry now").click()
    expect(window.by_id("login")).to_be_visible()
    window.forgive_network_trouble()


class BadGateway(BaseHTTPRequestHandler):
    """What nginx answers for a server that cannot be reached."""

    def do_GET(self) -> None:
        self.send_response(502)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(b"<h1>502 Bad Gateway</h1>")

    def log_message(self, *args: object) -> None:
        pass


def test_reload_behind_a_proxy_without_a_server_says_the_same(
    open_window: Callable[..., Window], own_server: Server
) -> None:
    window = open_window(server=own_server)
    window.page.goto(window.url)
    assert window.page.evaluate(WORKER_IS_READY)
    own_server.stop()
    with ThreadingHTTPServer(("127.0.0.1", own_server.port), BadGateway) as proxy:
        threading.Thread(target=proxy.serve_forever, daemon=True).start()
        window.page.reload()
        expect(window.by_id("error-page")).to_contain_text("The server cannot be reached")
        proxy.shutdown()
    own_server.start()
    expect(window.by_id("login")).to_be_visible()
    window.forgive_network_trouble()


def test_worker_serves_no_page_from_a_cache_while_the_server_answers(window: Window, bonk: Position) -> None:
    window.log_in()
    window.expect_state("live")
    assert window.page.evaluate(WORKER_IS_READY)
    window.page.goto(f"{window.url}/nowhere")
    expect(window.by_id("error-page")).not_to_be_visible()  # debug mode: Django's own, from the server
    window.page.goto(window.url)
    window.expect_row(bonk, amount="1,000,000")
    kept = window.page.evaluate(
        "caches.open('nexgent-offline').then((cache) => cache.keys())"
        ".then((keys) => keys.map(({ url }) => new URL(url).pathname))"
    )
    assert sorted(kept) == [
        "/offline",
        "/static/realtime/base.css",
        "/static/realtime/favicon.svg",
        "/static/realtime/offline.js",
        "/static/realtime/theme.js",
    ]
    window.forgive_network_trouble()
