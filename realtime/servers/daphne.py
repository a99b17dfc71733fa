"""What daphne 4.2.3 lacks: close codes and reasons on the wire, a `send` that waits for a slow client, a cheap write,
and bounded waits at the end of a connection.

Closing: daphne hands it to autobahn's `sendClose`, which raises on any code but 1000 and 3000–4999, and drops the
reason (daphne #374, autobahn-python #1642, both open). autobahn's `sendCloseFrame`, one level below, takes every code
of RFC 6455, section 7.4.1.

Waiting: daphne's `send` returns whether or not the transport can take the bytes, so that a client that does not read
grows the process. Twisted notifies a registered producer when its buffer is over 64 KiB and when it is empty again; the
send waits in between, as uvicorn's does.

Writing: autobahn builds a frame in some 30 steps, and Twisted asks the event loop to report when the socket is
writable, which it nearly always is: two system calls and a turn of the loop besides the one that sends.
`write_text_now` builds the frame by hand and sends it; what the kernel does not take is left to Twisted. It is for
realtime/socket/connection.py, and is only used with the versions that it was checked with.

Ending: autobahn answers an invalid or too long message by dropping the connection, so that clients see 1006; it gives
a client one second to answer a close; and a client that sends a close but reads nothing stays connected forever.

Access log: daphne writes it past `logging`, and a request's query is in it.

Private APIs: docs/private-apis.md. With a daphne other than 4.2 the project does not start.
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any

from daphne import http_protocol, server, ws_protocol
from daphne.access import AccessLogGenerator
from twisted.internet.tcp import Connection
from twisted.web.http import _GenericHTTPChannelProtocol

from positions.versions import is_checked
from realtime.conf import conf
from realtime.hub.writer import WriteNow
from realtime.monitoring.redaction import redact
from realtime.protocol.frames import text_frame, text_header
from realtime.protocol.messages import CloseReason
from realtime.servers import daphne_channel, daphne_checks
from realtime.servers.bodies import REFUSED
from realtime.servers.daphne_channel import BoundedChannel
from realtime.servers.daphne_frame_writer import TwistedFrameWriter
from realtime.servers.daphne_frames import CountedFrames
from realtime.servers.daphne_requests import BoundedRequest
from realtime.servers.door import leave
from realtime.servers.frames import LARGE_BYTES, READ_BYTES
from realtime.socket.connection import EXTENSION

DAPHNES_TIMEOUT_SECONDS = 86_400
BACKLOG = 2048
"""Connections that wait to be accepted, as many as under uvicorn: with daphne's 50, most of a thousand that reconnect
in the same second fail."""
READ_AHEAD = 20
"""Messages that are read before the application takes them: while it waits, more stay with the client."""
KNOWN_VERSIONS = is_checked("daphne", "Twisted", "autobahn")
"""Whether `write_text_now` was checked against these: it looks at private buffers of Twisted."""


class Backpressure:
    """A Twisted push producer (IPushProducer) that knows whether its transport accepts more."""

    def __init__(self) -> None:
        self.writable = asyncio.Event()
        self.writable.set()

    def pauseProducing(self) -> None:  # noqa: N802
        self.writable.clear()

    def resumeProducing(self) -> None:  # noqa: N802
        self.writable.set()

    def stopProducing(self) -> None:  # noqa: N802
        self.writable.set()  # the connection is gone: stop waiting


_ALWAYS = asyncio.Event()
_ALWAYS.set()


class WebSocketProtocol(CountedFrames, ws_protocol.WebSocketProtocol):  # type: ignore[misc]
    backpressure: Backpressure | None = None
    """None until the handshake is done."""
    _is_reading = True
    failedByMe: bool  # noqa: N815  autobahn's

    def onOpen(self) -> None:  # noqa: N802
        super().onOpen()
        self.backpressure = Backpressure()
        # The HTTP channel that this connection began as is still registered; it would also stop reading.
        self.transport.unregisterProducer()
        self.transport.registerProducer(self.backpressure, streaming=True)
        self.failByDrop = False
        self.closeHandshakeTimeout = conf.CLOSE_SECONDS
        # These limit what is sent, too: a snapshot over daphne's 1 MiB would be dropped without a log line.
        self.maxFramePayloadSize = self.maxMessagePayloadSize = 0
        self.transport.bufferSize = READ_BYTES

    def onMessage(self, payload: bytes, isBinary: bool) -> None:  # noqa: N802, N803
        super().onMessage(payload, isBinary)
        if self._is_reading and self.application_queue.qsize() >= READ_AHEAD:
            self._is_reading = False
            self.transport.pauseProducing()

    def received(self) -> None:
        """Read on, where the application had to take messages first."""
        if not self._is_reading and self.application_queue.qsize() < READ_AHEAD // 2:
            self._is_reading = True
            self.transport.resumeProducing()

    def onMessageFrameBegin(self, length: int) -> None:  # noqa: N802
        super().onMessageFrameBegin(length)
        if not self.failedByMe and self.message_data_total_length > conf.MAX_MESSAGE_BYTES:
            # The rest of it, and all after it, is read and discarded: after a reset the client would not see its close.
            self.failedByMe = True
            self.application_queue.put_nowait({"type": "websocket.too.big"})

    def check_timeouts(self) -> None:
        """End no socket after a day, which is daphne's default: a page stays open for longer."""
        if self.server.websocket_timeout == DAPHNES_TIMEOUT_SECONDS:
            self.server.websocket_timeout = -1
        super().check_timeouts()

    def onCloseFrame(self, code: int | None, reasonRaw: bytes | None) -> None:  # noqa: N802, N803
        """Answer a close, or end a connection whose close it answers, once it may leave (door.py)."""
        leave(partial(self._take_close, code, reasonRaw))

    def _take_close(self, code: int | None, reason: bytes | None) -> None:
        if self.state in {self.STATE_OPEN, self.STATE_CLOSING}:  # else the connection was lost meanwhile
            super().onCloseFrame(code, reason)

    def connectionLost(self, reason: Any) -> None:  # noqa: N802
        """End what has lost its connection, once it may leave (door.py)."""
        leave(partial(self._end, reason))

    def _end(self, reason: Any) -> None:
        super().connectionLost(reason)
        # What refers to this protocol, which would be left to the garbage collector.
        self.is_open = self.is_closed = None

    def dropConnection(self, abort: bool = False) -> None:  # noqa: N802
        super().dropConnection(abort)
        if self.backpressure is not None:
            self.backpressure.stopProducing()  # autobahn has registered itself instead
        if not abort:  # Twisted first waits until the client has taken what is in the buffer
            loop = asyncio.get_running_loop()
            loop.call_later(conf.CLOSE_SECONDS, self.transport.abortConnection)

    @property
    def writable(self) -> asyncio.Event:
        """Set while the transport takes more; the handshake is done."""
        return self.backpressure.writable if self.backpressure else _ALWAYS

    def unsent_bytes(self) -> int:
        """Return how many bytes Twisted buffers; 0 over TLS, and with another version of it."""
        if self.text_writer() is None:
            return 0
        transport = self.transport
        return int(len(transport.dataBuffer) - transport.offset + transport._tempDataLen)

    def owns(self, send: Any) -> bool:
        """Return whether this is the `send` that daphne made for this connection."""
        return isinstance(send, partial) and send.args == (self,)

    def text_writer(self) -> WriteNow | None:
        """Return `write_text_now`; None over TLS. (daphne negotiates no compression.)"""
        is_plain = KNOWN_VERSIONS and isinstance(self.transport, Connection) and not self.transport.TLS
        return self.write_text_now if is_plain else None

    def frame_writer(self) -> TwistedFrameWriter | None:
        """Return what writes frames; None over TLS."""
        return TwistedFrameWriter(self) if self.text_writer() is not None else None

    def write_text_now(self, text: str | bytes) -> bool:
        """Send a text message in one system call, after all sent before; return False if that is impossible now."""
        transport = self.transport
        if (
            self.state != self.STATE_OPEN
            or transport.disconnected  # autobahn learns that in its turn
            or self.send_queue  # autobahn's
            or transport._tempDataLen
            or transport.offset != len(transport.dataBuffer)
        ):
            return False
        if len(text) >= LARGE_BYTES:
            payload = text.encode() if isinstance(text, str) else text
            transport.write(text_header(len(payload)))
            transport.write(payload)
            return True
        frame = text_frame(text)
        sent = transport.writeSomeData(frame)
        if not isinstance(sent, int):
            transport.write(frame)  # the connection is lost: Twisted notices when it tries
        elif sent < len(frame):
            transport.write(frame[sent:])
        return True

    def handle_reply(self, message: dict[str, Any]) -> None:
        if message.get("type") == "websocket.close" and self.state == self.STATE_OPEN:
            self._close(message.get("code") or 1000, message.get("reason") or "")
        else:
            super().handle_reply(message)

    def handle_exception(self, exception: BaseException) -> None:
        if self.state == self.STATE_OPEN:
            close = CloseReason.INTERNAL_ERROR.value
            self._close(close.code, close.reason)
        else:
            super().handle_exception(exception)

    def _close(self, code: int, reason: str) -> None:
        self.sendCloseFrame(code=code, reasonUtf8=reason.encode(), isReply=False)


_handle_reply = server.Server.handle_reply


async def _handle_reply_once_writable(self: Any, protocol: Any, message: dict[str, Any]) -> None:
    backpressure = getattr(protocol, "backpressure", None)
    if backpressure is not None and not backpressure.writable.is_set():
        await backpressure.writable.wait()
    await _handle_reply(self, protocol, message)


_create_application = server.Server.create_application


def _create_application_that_knows_its_protocol(self: Any, protocol: Any, scope: dict[str, Any]) -> Any:
    if isinstance(protocol, WebSocketProtocol):
        scope["extensions"] = {EXTENSION: protocol}
    elif isinstance(protocol, BoundedRequest) and protocol.refused_body is not None:
        scope[REFUSED] = protocol.refused_body
    return _create_application(self, protocol, scope)


def _bounded_channel(factory: Any) -> Any:
    return _GenericHTTPChannelProtocol(BoundedChannel())


_server_from_string = server.serverFromString


def _listening_server(reactor: Any, description: str) -> Any:
    kind, _, rest = description.partition(":")
    if kind == "fd" and rest.removeprefix("fileno=").isdecimal():
        return daphne_channel.handed_down(reactor, int(rest.removeprefix("fileno=")))
    if kind in {"tcp", "ssl", "unix"} and ":backlog=" not in description:
        description = f"{description}:backlog={BACKLOG}"
    return _server_from_string(reactor, description)


_write_entry = AccessLogGenerator.write_entry


def _write_redacted_entry(self: Any, host: str, date: Any, request: str, **details: Any) -> None:
    _write_entry(self, host, date, redact(request), **details)


def install() -> None:
    """Change every daphne of this process, however it is started."""
    server.Server.create_application = _create_application_that_knows_its_protocol
    ws_protocol.WebSocketFactory.protocol = WebSocketProtocol
    http_protocol.WebRequest = BoundedRequest
    http_protocol.HTTPFactory.protocol = _bounded_channel
    daphne_channel.install()
    daphne_checks.install()
    server.serverFromString = _listening_server
    server.Server.handle_reply = _handle_reply_once_writable
    AccessLogGenerator.write_entry = _write_redacted_entry
