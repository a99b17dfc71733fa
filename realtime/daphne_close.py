"""Close codes and reasons on the wire under daphne.

daphne 4.2.3 hands a close to autobahn's `sendClose`, which raises on any code but 1000 and 3000–4999, and drops the
reason (daphne #374, autobahn-python #1642, both open). autobahn's `sendCloseFrame`, one level below, takes every code
of RFC 6455, section 7.4.1. pyproject.toml holds daphne below 4.3: look here again before that changes.
"""

from __future__ import annotations

from typing import Any

from daphne import ws_protocol

from realtime.protocol import CloseReason


class ReasonedWebSocketProtocol(ws_protocol.WebSocketProtocol):  # type: ignore[misc]
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


def install() -> None:
    """Make daphne's factory build these protocols, however daphne is started."""
    ws_protocol.WebSocketFactory.protocol = ReasonedWebSocketProtocol
