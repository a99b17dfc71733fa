"""What the tests of both clients use."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest


@pytest.fixture
def server_of_version() -> Iterator[Any]:
    """A server of another release, as far as a client sees before it opens a socket."""
    running: list[HTTPServer] = []

    def start(version: str) -> str:
        class Description(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(200)
                self.end_headers()
                self.wfile.write(
                    f"asyncapi: 3.0.0\ninfo:\n  title: Nexgent\n  version: '{version}'\n".encode()
                )

            def log_message(self, *_: Any) -> None:
                pass

        server = HTTPServer(("127.0.0.1", 0), Description)
        running.append(server)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{server.server_port}"

    yield start
    for server in running:
        server.shutdown()
        server.server_close()
