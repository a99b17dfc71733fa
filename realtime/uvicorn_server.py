"""What uvicorn 0.54 lacks: this project's goodbye to a client whose message is too long.

Its WebSocket protocol (websockets-sansio) would take 16 MiB before the application sees a byte, and refuse what is
longer in words of its own. Up to here, realtime.consumers says it; above, the message is never in memory as a whole.
"""

from __future__ import annotations

import sys
from typing import Any

from django.conf import settings
from websockets.server import ServerProtocol

from realtime import protocol
from realtime.protocol import CloseReason, ErrorCode


class GoodbyeProtocol(ServerProtocol):
    def __init__(self, **options: Any) -> None:
        # Above the bound: uvicorn resets the connection here, which may overtake the goodbye. The consumer waits.
        super().__init__(**{**options, "max_size": 4 * settings.REALTIME["MAX_MESSAGE_BYTES"]})

    def fail(self, code: int, reason: str = "") -> None:
        close = CloseReason.TOO_BIG.value
        if code == close.code and self.state.name == "OPEN":
            reason = close.reason
            bounds = settings.REALTIME
            message = f"a message may have {bounds['MAX_MESSAGE_BYTES']} bytes at most"
            self.send_text(protocol.error(ErrorCode.TOO_BIG, message).encode())
            text = protocol.closing(close, retry_after_seconds=bounds["RETRY_AFTER_SECONDS"])
            self.send_text(text.encode())
        super().fail(code, reason)


def install() -> None:
    """Make the uvicorn of this process so, if it is one."""
    if "uvicorn" in sys.modules:
        from uvicorn.protocols.websockets import websockets_sansio_impl

        websockets_sansio_impl.ServerProtocol = GoodbyeProtocol  # type: ignore[attr-defined]
