"""Handshakes of sockets that uvicorn need not parse twice.

Under uvicorn, h11 parses the head of every request; where it asks for a WebSocket, what h11 has understood is written
down again for `websockets`, which parses it anew. The first of the two was a quarter of what a bare uvicorn needs to
open a socket. A plain handshake, as browsers and all clients' libraries send it, is told by one expression and goes to
`websockets` as it is. Whatever is in the least unusual goes to h11.

Private APIs: docs/private-apis.md.
"""

from __future__ import annotations

import re
from typing import Any, NamedTuple

# Stricter than RFC 9112 and h11: a target with a path, no byte beyond ASCII, no line that goes on in the next.
_HEAD = re.compile(
    rb"GET (/[\x21-\x7e]*+) HTTP/1\.1\r\n((?:[-!#$%&'*+.^_`|~0-9A-Za-z]++:[\t\x20-\x7e]*+\r\n)++)\r\n"
)
_ONLY_ONCE = {b"host", b"upgrade", b"connection"}
_WITH_BODY = {b"content-length", b"transfer-encoding", b"expect"}


class Handshake(NamedTuple):
    """What uvicorn takes from h11's request."""

    method: bytes
    target: bytes
    headers: list[tuple[bytes, bytes]]
    """Their names in lower case."""


def handshake_in(data: bytes) -> Handshake | None:
    """Return the handshake that `data` is, the whole of it; None if it is none, or not a plain one."""
    head = _HEAD.fullmatch(data)
    if head is None:
        return None
    headers = []
    found: dict[bytes, bytes] = {}
    for line in head[2].split(b"\r\n")[:-1]:
        name, _, value = line.partition(b":")
        name, value = name.lower(), value.strip(b" \t")
        if name in _WITH_BODY or (name in found and name in _ONLY_ONCE):
            return None
        found[name] = value
        headers.append((name, value))
    if b"host" not in found or found.get(b"upgrade", b"").lower() != b"websocket":
        return None
    tokens = [token.strip().lower() for token in found.get(b"connection", b"").split(b",")]
    return Handshake(b"GET", head[1], headers) if b"upgrade" in tokens else None


def takes_handshake(protocol: Any) -> bool:
    """Return whether a connection of uvicorn's H11Protocol has had no request yet, nor a part of one."""
    return (
        protocol.cycle is None
        and protocol.ws_protocol_class is not None
        and not protocol.conn.trailing_data[0]
    )


def upgrade(protocol: Any, handshake: Handshake) -> None:
    """Do what uvicorn does once h11 has parsed the handshake."""
    protocol.headers = handshake.headers
    protocol.handle_websocket_upgrade(handshake)
