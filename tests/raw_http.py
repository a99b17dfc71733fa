"""Requests as bytes, for what no HTTP client sends."""

from __future__ import annotations

import base64
import secrets
import socket
from typing import Self

from tests.live import PATIENCE_SECONDS, Server


def head(target: str, *headers: str, method: str = "GET", host: str = "127.0.0.1") -> bytes:
    """Return the head of a request."""
    return "\r\n".join([f"{method} {target} HTTP/1.1", f"Host: {host}", *headers, "", ""]).encode("latin-1")


def handshake(target: str, *headers: str, host: str = "127.0.0.1") -> bytes:
    """Return the head of a socket's handshake."""
    key = base64.b64encode(secrets.token_bytes(16)).decode()
    upgrade = ("Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13")
    return head(target, *upgrade, f"Sec-WebSocket-Key: {key}", *headers, host=host)


class Exchange:
    """One connection."""

    def __init__(self, server: Server, *data: bytes) -> None:
        self.socket = socket.create_connection(("127.0.0.1", server.port), PATIENCE_SECONDS)
        for part in data:
            self.socket.sendall(part)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def until(self, text: bytes) -> bytes:
        """Return what comes up to this text; all, if the connection ends before."""
        received = b""
        while text not in received and (part := self.socket.recv(65_536)):
            received += part
        return received

    def status(self) -> int:
        """Return the status of the answer, of which the head is read."""
        return int(self.until(b"\r\n\r\n").split(b" ", 2)[1])

    def rest(self) -> bytes:
        """Return everything until the server ends the connection."""
        received = b""
        while part := self.socket.recv(65_536):
            received += part
        return received
