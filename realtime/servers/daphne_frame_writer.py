"""Writes whole frames to a connection of daphne, as frame_writer.py does under uvicorn.

Only with the versions that it was checked with: it looks at private buffers of Twisted (docs/private-apis.md).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


class TwistedFrameWriter:
    """Sends frames past autobahn and Twisted, until `stop`; what the kernel does not take is left to Twisted."""

    __slots__ = ("_open", "_protocol", "_send", "_transport")

    def __init__(self, protocol: Any) -> None:
        self._protocol = protocol
        self._transport = protocol.transport
        self._open: int | None = protocol.STATE_OPEN
        self._send: Callable[[bytes], int] = protocol.transport.socket.send

    def write(self, frame: bytes) -> bool:
        """Send a frame, after all sent before; return False if that is impossible now. After `stop`, drop it."""
        protocol, transport = self._protocol, self._transport
        if (
            protocol.state != self._open
            or protocol.send_queue  # autobahn's
            or transport._tempDataLen
            or transport.offset != len(transport.dataBuffer)
        ):
            return self._open is None
        try:
            sent = self._send(frame)
        except OSError:  # it would block, or the connection is lost: Twisted knows
            sent = 0
        if sent < len(frame):
            transport.write(frame[sent:])
        return True

    def stop(self) -> None:
        """Write nothing more: a close follows, and nothing may follow that."""
        self._open = None
