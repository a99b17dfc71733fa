"""What uvicorn 0.54 lacks: this project's goodbye to a client whose message is too long, and a cheap write.

Its WebSocket protocol (websockets-sansio) would take 16 MiB before the application sees a byte, and refuse what is
longer in words of its own. Up to here, the consumer says it; above, the message is never in memory as a whole.

Its way from a text to the transport costs about as much again as the system call at the end of it.
`write_text_now` builds the frame by hand. It is for realtime/socket/connection.py, and there only with versions
whose ways it was checked against.
"""

from __future__ import annotations

import logging
import sys
from typing import Any

from django.conf import settings
from websockets.server import ServerProtocol

from realtime.hub.outbox import WriteNow
from realtime.protocol import messages
from realtime.protocol.messages import CloseReason, ErrorCode
from realtime.servers.frames import text_frame

BAD_TEXT = "Invalid UTF-8 sequence received from client."  # uvicorn's words


class GoodbyeProtocol(ServerProtocol):
    def __init__(self, **options: Any) -> None:
        # Above the bound: uvicorn resets the connection here, which may overtake the goodbye. The consumer waits.
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


class DirectWrites:
    """What uvicorn's protocol gets besides its own methods; `self` is that protocol."""

    def text_writer(self: Any) -> WriteNow | None:
        """Return `write_text_now`, unless this client has what it is sent compressed."""
        return None if self.conn.extensions else self.write_text_now

    def write_text_now(self: Any, text: str) -> bool:
        """Send a text message, after all that was sent before; False where that cannot be now.

        uvicorn's `send` waits for `writable`, too, and refuses where a close was sent.
        """
        transport = self.transport
        if self.close_sent or not self.writable.is_set() or transport.is_closing():
            return False
        transport.write(text_frame(text))
        return True


class BadTextInOneLine(logging.Filter):
    """Leaves out the traceback of what is a client's fault."""

    def filter(self, record: logging.LogRecord) -> bool:
        if record.msg == BAD_TEXT:
            record.levelno, record.levelname = logging.INFO, "INFO"
            record.exc_info = record.exc_text = None
        return True


def install() -> None:
    """Make the uvicorn of this process so, if it is one."""
    if "uvicorn" in sys.modules:
        import uvicorn
        from uvicorn.protocols.websockets import websockets_sansio_impl

        logging.getLogger("uvicorn.error").addFilter(BadTextInOneLine())
        websockets_sansio_impl.ServerProtocol = GoodbyeProtocol  # type: ignore[attr-defined]
        if uvicorn.__version__.startswith("0.54."):
            uvicorn_protocol: Any = websockets_sansio_impl.WebSocketsSansIOProtocol
            uvicorn_protocol.text_writer = DirectWrites.text_writer
            uvicorn_protocol.write_text_now = DirectWrites.write_text_now
