"""What uvicorn 0.54 lacks before a request is there: a time for its head, and an answer to a handshake that fails.

h11 and websockets read the head of a socket's handshake, one after the other. What the first takes and the second does
not (a line of more than 8 KiB, more than 128 headers, a body) uvicorn neither answers nor closes; and at the end of the
process that connection raised AssertionError, so that uvicorn exited with 1. Silent connections and halves of requests
stayed open, however long.

Private APIs: docs/private-apis.md.
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any

from websockets.exceptions import HeaderLineTooLong, RequestLineTooLong, TooManyHeaders

from realtime.conf import conf
from realtime.servers import descriptors
from realtime.servers.door import may_enter
from realtime.servers.heads import MALFORMED, TARGET_TOO_LONG, TOO_LARGE, heads, too_late
from realtime.servers.transports import let_go
from realtime.servers.uvicorn_handshake import handshake_in, takes_handshake, upgrade

_originals: dict[str, Any] = {}


class RequestMethods:
    """Methods that replace those of uvicorn's HTTP protocol, which is `self`."""

    def connection_made(self: Any, transport: Any) -> None:
        _originals["connection_made"](self, transport)
        connection = transport.get_extra_info("socket")
        if connection is not None and not descriptors.admits(connection.fileno()):
            transport.write(descriptors.NO_ROOM)
            descriptors.discard_input(connection.fileno())
            transport.close()
        _wait(self)

    def connection_lost(self: Any, exc: Exception | None) -> None:
        heads.stop(self)
        _forget_stall(self)
        if self.transport is None:
            return  # cut off within uvicorn's own TLS handshake: there is nothing to end
        _originals["connection_lost"](self, exc)
        let_go(self.transport)

    def data_received(self: Any, data: bytes) -> None:
        """Parse what has arrived; a handshake, once it may enter (door.py)."""
        if not _is_waiting(self) or may_enter(data, partial(_enter, self, data)):
            _parse(self, data)
            return
        heads.stop(self)
        self.transport.pause_reading()

    def on_response_complete(self: Any) -> None:
        _wait(self)
        _originals["on_response_complete"](self)

    def handle_websocket_upgrade(self: Any, event: Any) -> None:
        heads.stop(self)
        _originals["handle_websocket_upgrade"](self, event)
        _answer_failed_handshake(self.transport.get_protocol())

    def pause_writing(self: Any) -> None:
        """Give a client that does not read its answer as long as for a body."""
        _originals["pause_writing"](self)
        self.stall = asyncio.get_running_loop().call_later(conf.BODY_SECONDS, self.transport.abort)

    def resume_writing(self: Any) -> None:
        _forget_stall(self)
        _originals["resume_writing"](self)


def _enter(protocol: Any, data: bytes) -> None:
    transport = protocol.transport
    if transport is None or transport.is_closing():
        return  # it has ended meanwhile
    transport.resume_reading()
    _wait(protocol)  # where the rest of the head is still to come
    _parse(protocol, data)


def _parse(protocol: Any, data: bytes) -> None:
    handshake = handshake_in(data) if takes_handshake(protocol) else None
    if handshake is None:
        _originals["data_received"](protocol, data)
    else:
        upgrade(protocol, handshake)


def _forget_stall(protocol: Any) -> None:
    stall = getattr(protocol, "stall", None)
    if stall is not None:
        stall.cancel()


def _wait(protocol: Any, unread_before: int = 0) -> None:
    heads.wait(protocol, partial(_give_up, protocol, unread_before), partial(_drop, protocol))


def _drop(protocol: Any) -> bool:
    if _is_waiting(protocol):
        protocol.transport.abort()
        return True
    return False


def _give_up(protocol: Any, unread_before: int) -> None:
    """End a connection that has no request. After an answer that is not read yet, wait as long as some of it is."""
    transport = protocol.transport
    if not _is_waiting(protocol):
        return
    unread = transport.get_write_buffer_size()
    if unread and unread != unread_before:
        _wait(protocol, unread)
    elif unread or transport.is_closing():
        transport.abort()
    else:
        if protocol.conn.trailing_data[0]:
            transport.write(too_late())
        transport.close()


def _is_waiting(protocol: Any) -> bool:
    return protocol.cycle is None or protocol.cycle.response_complete


def _answer_failed_handshake(protocol: Any) -> None:
    problem = protocol.conn.handshake_exc
    if problem is None or protocol.handshake_initiated:  # uvicorn has answered
        return
    if isinstance(problem, HeaderLineTooLong | TooManyHeaders):
        answer = TOO_LARGE
    else:
        answer = TARGET_TOO_LONG if isinstance(problem, RequestLineTooLong) else MALFORMED
    protocol.handshake_complete = protocol.close_sent = True  # so uvicorn knows that there is no more to do
    protocol.transport.write(answer)
    protocol.transport.close()


def install(protocol: Any) -> None:
    """Change uvicorn's HTTP protocol."""
    for name in (
        "connection_made",
        "connection_lost",
        "data_received",
        "on_response_complete",
        "handle_websocket_upgrade",
        "pause_writing",
        "resume_writing",
    ):
        _originals.setdefault(name, getattr(protocol, name))
        setattr(protocol, name, getattr(RequestMethods, name))
