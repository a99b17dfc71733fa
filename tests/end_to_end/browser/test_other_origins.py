"""A page of another origin, in a real browser: it may use REST and sockets if its origin is listed."""

from __future__ import annotations

import functools
import http.server
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from positions.models import Agent
from tests.end_to_end.browser.windows import Window
from tests.live import PATIENCE_SECONDS, Server

pytestmark = pytest.mark.browser

# What such a page does: a token with name and password, the agents, the first message of a socket, an error to read.
# What the browser keeps from it is "blocked".
USE = """async ([rest, socket]) => {
  const ask = (path, options) =>
    fetch(rest + path, options).then(async (answer) => [answer.status, await answer.json(), answer.headers],
                                     () => ["blocked", {}, new Headers()]);
  const body = JSON.stringify({ username: "alice", password: "alice-has-a-password" });
  const [, pair] = await ask("/api/token/", { method: "POST", headers: { "Content-Type": "application/json" }, body });
  const token = pair.access ?? "";
  const [agents, list] = await ask("/api/agents/", { headers: { Authorization: `Bearer ${token}` } });
  const [refused, , headers] = await ask("/api/agents/", { headers: { Authorization: "Bearer wrong" } });
  const first = await new Promise((resolve) => {
    const opened = new WebSocket(`${socket}?token=${token}&agentId=${list.results?.[0].id}`);
    opened.onmessage = (event) => resolve(JSON.parse(event.data).type);
    opened.onerror = () => resolve("blocked");
  });
  return { agents, refused, requestId: headers.get("X-Request-ID")?.length ?? 0, first };
}"""


class Files(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Say nothing: the test's output is for what fails."""


@pytest.fixture
def origins(tmp_path: Path) -> Iterator[list[str]]:
    """Serve an empty page on two origins of `localhost`, which the server below does not have as its own name."""
    (tmp_path / "index.html").write_text("<!doctype html><title>Another origin's page</title>")
    handler = functools.partial(Files, directory=str(tmp_path))
    servers = [http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) for _ in range(2)]
    threads = [threading.Thread(target=server.serve_forever) for server in servers]
    for thread in threads:
        thread.start()
    yield [f"http://localhost:{server.server_port}" for server in servers]
    for server, thread in zip(servers, threads, strict=True):
        server.shutdown()
        thread.join(PATIENCE_SECONDS)
        server.server_close()


def test_page_of_another_origin_works_where_it_is_listed_and_is_blocked_where_not(
    open_window: Callable[..., Window], origins: list[str], agent: Agent, tmp_path: Path
) -> None:
    listed, stranger = origins
    environment = {"NEXGENT_ALLOWED_HOSTS": "127.0.0.1", "NEXGENT_ALLOWED_ORIGINS": listed}
    with Server("daphne", log=tmp_path / "log", **environment) as server:
        window = open_window()
        window.page.goto(listed)
        assert window.page.evaluate(USE, [server.url, server.ws_url]) == {
            "agents": 200,
            "refused": 401,
            "requestId": 32,
            "first": "connected",
        }
        window.page.goto(stranger)
        assert window.page.evaluate(USE, [server.url, server.ws_url]) == {
            "agents": "blocked",
            "refused": "blocked",
            "requestId": 0,
            "first": "blocked",
        }
        window.errors.clear()  # the browser reports what it blocks
