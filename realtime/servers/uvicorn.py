"""What uvicorn 0.54 lacks: this project's close for a message that is too long, a cheap write, and a way from the
application to its connection.

Its WebSocket protocol (websockets-sansio) would read 16 MiB before the application sees a byte, and refuse what is
longer with a reason of its own. Up to the limit here, the consumer refuses a long message; above it, this module does,
and the message is never in memory as a whole.

Its own path from a text to the transport costs about as much as the system call at its end. `write_text_now` builds the
frame by hand. It is for realtime/socket/connection.py.

Private APIs: docs/private-apis.md. With other versions of uvicorn or websockets none of this is installed.
"""

from __future__ import annotations

import logging
import time
from functools import partial
from typing import Any

from websockets.frames import Frame, Opcode
from websockets.server import ServerProtocol

from positions.versions import is_checked
from realtime.conf import conf
from realtime.hub.token_bucket import TokenBucket
from realtime.hub.writer import WriteNow
from realtime.monitoring.redaction import redact
from realtime.protocol import messages
from realtime.protocol.frames import text_frame, text_header
from realtime.protocol.messages import CloseReason, ErrorCode
from realtime.servers.door import leave
from realtime.servers.frame_writer import FrameWriter, frame_writer
from realtime.servers.frames import LARGE_BYTES, READ_BYTES, fragment_cost, is_close
from realtime.servers.transports import let_go
from realtime.servers.uvicorn_log import Path, socket_log
from realtime.socket.connection import EXTENSION

MESSAGES = {Opcode.TEXT, Opcode.BINARY, Opcode.CLOSE}
"""Which the consumer counts, or nobody."""
TOO_MANY = Frame(Opcode.PONG, b"")
"""Stands among the events of a connection where it has sent too many frames."""
UNCOMPRESSED_BYTES = 256 * 1024
BAD_TEXT = "Invalid UTF-8 sequence received from client."  # uvicorn's words


class BoundedProtocol(ServerProtocol):
    def __init__(self, **options: Any) -> None:
        # Higher than the consumer's limit: here uvicorn resets the connection, which may overtake the close; the
        # consumer's close is not followed by a reset.
        super().__init__(**{**options, "max_size": 4 * conf.MAX_MESSAGE_BYTES, "logger": socket_log})
        self.inbound: TokenBucket | None = None
        self.frames: FrameWriter | None = None
        self._has_flooded = False

    def receive_data(self, data: bytes | bytearray) -> None:
        if not self._has_flooded:
            super().receive_data(data)

    def recv_frame(self, frame: Frame) -> None:
        """Count a frame that is no message; of a client that sends too many, discard what has been read."""
        if frame.opcode not in MESSAGES and self.inbound is not None:
            cost = fragment_cost(len(frame.data)) if frame.opcode is Opcode.CONT else 1.0
            if not self.inbound.take(time.monotonic(), cost):
                self._has_flooded = True
                self.reader.discard()
                self.events.append(TOO_MANY)
                return
        super().recv_frame(frame)

    def send_frame(self, frame: Frame) -> None:
        """Send nothing past this protocol once it has sent a close (RFC 6455, section 5.5.1)."""
        if frame.opcode is Opcode.CLOSE and self.frames is not None:
            self.frames.stop()
        super().send_frame(frame)

    def fail(self, code: int, reason: str = "") -> None:
        close = CloseReason.TOO_BIG.value
        if code == close.code and self.state.name == "OPEN":
            reason = close.reason
            message = messages.too_big(conf.MAX_MESSAGE_BYTES)
            self.send_text(messages.error(ErrorCode.TOO_BIG, message).encode())
            text = messages.closing(close, retry_after_seconds=conf.RETRY_AFTER_SECONDS)
            self.send_text(text.encode())
        super().fail(code, reason)


class ProtocolMethods:
    """Methods added to uvicorn's protocol, which is `self`."""

    async def run_asgi(self: Any) -> None:
        """Run the application, which finds the protocol in its scope."""
        self.scope["extensions"][EXTENSION] = self
        self.logger = socket_log
        await _run_asgi(self)

    def owns(self: Any, send: Any) -> bool:
        """Return whether this is this connection's own `send`."""
        return getattr(send, "__self__", None) is self

    def text_writer(self: Any) -> WriteNow | None:
        """Return `write_text_now`; for a client that has its messages compressed, one for large messages only."""
        write: WriteNow = self.write_large_now if self.conn.extensions else self.write_text_now
        return write

    def frame_writer(self: Any) -> FrameWriter | None:
        """Return what writes frames; None for a client that has its messages compressed."""
        if self.conn.extensions:
            return None
        self.conn.frames = writer = frame_writer(self.transport, self.writable)
        return writer

    def pause_writing(self: Any) -> None:
        self.writable.clear()
        if self.conn.frames is not None:
            self.conn.frames.pause()

    def resume_writing(self: Any) -> None:
        self.writable.set()
        if self.conn.frames is not None:
            self.conn.frames.resume()

    def handle_close(self: Any, event: Frame) -> None:
        """Answer a close, or end a connection whose close it answers, once it may leave (door.py)."""
        leave(partial(_handle_close, self, event))

    def connection_lost(self: Any, exc: Exception | None) -> None:
        """Give up the descriptor before asyncio closes it, since the next connection may have its number; and end,
        once it may leave (door.py)."""
        if self.conn.frames is not None:
            self.conn.frames.stop()
        self.disconnected = True  # so that uvicorn's `send` refuses, too
        let_go(self.transport)
        leave(partial(_end, self, exc))

    def write_large_now(self: Any, text: str | bytes) -> bool:
        """Send a large message as it is: compressing it would hold everybody up, 50 ms for 12 MB (RFC 7692, 6)."""
        return len(text) >= UNCOMPRESSED_BYTES and bool(self.write_text_now(text))

    def write_text_now(self: Any, text: str | bytes) -> bool:
        """Send a text message, after all sent before; return False if that is impossible now.

        uvicorn's `send` waits for `writable`, too, and refuses after a close.
        """
        transport = self.transport
        if self.close_sent or not self.writable.is_set() or transport.is_closing():
            return False
        if len(text) < LARGE_BYTES:
            transport.write(text_frame(text))
        else:
            payload = text.encode() if isinstance(text, str) else text
            transport.write(text_header(len(payload)))
            transport.write(memoryview(payload))
        return True

    def unsent_bytes(self: Any) -> int:
        return int(self.transport.get_write_buffer_size())

    def count_frames(self: Any, inbound: TokenBucket) -> None:
        self.conn.inbound = inbound
        if hasattr(self.transport, "max_size"):  # asyncio's own
            self.transport.max_size = READ_BYTES

    def handle_ping(self: Any) -> None:
        """Send the pong; none while the client reads nothing, since it would only wait (RFC 6455, section 5.5.3)."""
        output = self.conn.data_to_send()
        if self.writable.is_set():
            self.transport.write(b"".join(output))

    def handle_pong(self: Any, event: Frame) -> None:
        if event is TOO_MANY:
            self.queue.put_nowait({"type": "websocket.too.many"})
        else:
            _handle_pong(self, event)

    def ignore_input(self: Any) -> None:
        self.data_received = partial(_end_if_closed, self.transport)

    def received(self: Any) -> None:
        """Do nothing: uvicorn reads one message ahead, no more."""


def _end(protocol: Any, exc: Exception | None) -> None:
    _connection_lost(protocol, exc)
    # It refers to what has it: 24 objects and 6 kB that would be left to the garbage collector.
    protocol.conn.parser.close()


def _end_if_closed(transport: Any, data: bytes) -> None:
    if is_close(data):
        transport.close()


class BadTextInOneLine(logging.Filter):
    """Logs invalid UTF-8, the client's mistake, without a traceback."""

    def filter(self, record: logging.LogRecord) -> bool:
        if record.msg == BAD_TEXT:
            record.levelno, record.levelname = logging.INFO, "INFO"
            record.exc_info = record.exc_text = None
        return True


def _path_once_logged(scope: Any) -> Path:
    """Return the path and query for uvicorn's log lines of sockets, without tokens."""
    return Path(scope, lambda scope: redact(_path_with_query(scope)))


_run_asgi: Any = None  # uvicorn's own
_handle_pong: Any = None
_handle_close: Any = None
_connection_lost: Any = None
_path_with_query: Any = None


def install() -> None:
    """Change every uvicorn of this process, however it is started."""
    global _run_asgi, _handle_pong, _handle_close, _connection_lost, _path_with_query
    logging.getLogger("uvicorn.error").addFilter(BadTextInOneLine())
    if not is_checked("uvicorn", "websockets"):
        return
    from uvicorn.protocols.http import h11_impl
    from uvicorn.protocols.websockets import websockets_sansio_impl

    from realtime.servers import descriptors, uvicorn_requests

    descriptors.install()
    uvicorn_requests.install(h11_impl.H11Protocol)
    module: Any = websockets_sansio_impl
    module.ServerProtocol = BoundedProtocol
    protocol: Any = module.WebSocketsSansIOProtocol
    if _run_asgi is None:
        _run_asgi, _handle_pong = protocol.run_asgi, protocol.handle_pong
        _handle_close, _connection_lost = protocol.handle_close, protocol.connection_lost
        _path_with_query = module.get_path_with_query_string
    module.get_path_with_query_string = _path_once_logged
    for name in (
        "run_asgi",
        "owns",
        "text_writer",
        "frame_writer",
        "pause_writing",
        "resume_writing",
        "handle_close",
        "connection_lost",
        "write_large_now",
        "write_text_now",
        "unsent_bytes",
        "count_frames",
        "handle_ping",
        "handle_pong",
        "ignore_input",
        "received",
    ):
        setattr(protocol, name, getattr(ProtocolMethods, name))
