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
import sys
from typing import Any

from django.conf import settings
from websockets.server import ServerProtocol

from positions.versions import is_checked
from realtime.hub.outbox import WriteNow
from realtime.protocol import messages
from realtime.protocol.messages import CloseReason, ErrorCode
from realtime.servers.frames import text_frame
from realtime.socket.connection import EXTENSION

BAD_TEXT = "Invalid UTF-8 sequence received from client."  # uvicorn's words


class BoundedProtocol(ServerProtocol):
    def __init__(self, **options: Any) -> None:
        # Higher than the consumer's limit: here uvicorn resets the connection, which may overtake the close; the
        # consumer's close is not followed by a reset.
        super().__init__(**{**options, "max_size": 4 * settings.REALTIME["MAX_MESSAGE_BYTES"]})

    def fail(self, code: int, reason: str = "") -> None:
        close = CloseReason.TOO_BIG.value
        if code == close.code and self.state.name == "OPEN":
            reason = close.reason
            bounds = settings.REALTIME
            message = messages.too_big(bounds["MAX_MESSAGE_BYTES"])
            self.send_text(messages.error(ErrorCode.TOO_BIG, message).encode())
            text = messages.closing(close, retry_after_seconds=bounds["RETRY_AFTER_SECONDS"])
            self.send_text(text.encode())
        super().fail(code, reason)


class ProtocolMethods:
    """Methods added to uvicorn's protocol, which is `self`."""

    async def run_asgi(self: Any) -> None:
        """Run the application, which finds the protocol in its scope."""
        self.scope["extensions"][EXTENSION] = self
        await _run_asgi(self)

    def owns(self: Any, send: Any) -> bool:
        """Return whether this is this connection's own `send`."""
        return getattr(send, "__self__", None) is self

    def text_writer(self: Any) -> WriteNow | None:
        """Return `write_text_now`; None if this client has its messages compressed."""
        return None if self.conn.extensions else self.write_text_now

    def write_text_now(self: Any, text: str) -> bool:
        """Send a text message, after all sent before; return False if that is impossible now.

        uvicorn's `send` waits for `writable`, too, and refuses after a close.
        """
        transport = self.transport
        if self.close_sent or not self.writable.is_set() or transport.is_closing():
            return False
        transport.write(text_frame(text))
        return True


class BadTextInOneLine(logging.Filter):
    """Logs invalid UTF-8, the client's mistake, without a traceback."""

    def filter(self, record: logging.LogRecord) -> bool:
        if record.msg == BAD_TEXT:
            record.levelno, record.levelname = logging.INFO, "INFO"
            record.exc_info = record.exc_text = None
        return True


_run_asgi: Any = None  # uvicorn's own


def install() -> None:
    """Change the uvicorn of this process, if it is one."""
    global _run_asgi
    if "uvicorn" not in sys.modules:
        return
    logging.getLogger("uvicorn.error").addFilter(BadTextInOneLine())
    if not is_checked("uvicorn", "websockets"):
        return
    from uvicorn.protocols.websockets import websockets_sansio_impl

    websockets_sansio_impl.ServerProtocol = BoundedProtocol  # type: ignore[attr-defined]
    protocol: Any = websockets_sansio_impl.WebSocketsSansIOProtocol
    if _run_asgi is None:
        _run_asgi = protocol.run_asgi
    for name in ("run_asgi", "owns", "text_writer", "write_text_now"):
        setattr(protocol, name, getattr(ProtocolMethods, name))
