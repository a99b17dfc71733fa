"""Under daphne, pings, pongs and fragments count as messages that a client sends; autobahn takes any number of them.

A pong is not sent while the client reads nothing: it would wait in Twisted's buffer, which has no bound. (RFC 6455,
section 5.5.3: not every ping need be answered.)
"""

from __future__ import annotations

import asyncio
import time
from functools import partial
from typing import Any

from realtime.hub.token_bucket import TokenBucket
from realtime.servers.frames import fragment_cost, is_close


class CountedFrames:
    """For realtime/servers/daphne.py, before autobahn's class."""

    _inbound: TokenBucket | None = None
    _has_flooded = False
    application_queue: asyncio.Queue[dict[str, Any]]
    transport: Any
    current_frame: Any
    data: bytes

    @property
    def writable(self) -> asyncio.Event:
        """Set while the transport takes more."""
        raise NotImplementedError

    def count_frames(self, inbound: TokenBucket) -> None:
        self._inbound = inbound

    def ignore_input(self) -> None:
        self.data = b""  # or autobahn would first read what it has: a chunk has thousands of frames
        self.dataReceived = partial(_end_if_closed, self.transport)

    def onPing(self, payload: bytes) -> None:  # noqa: N802
        if self._count(1.0) and self.writable.is_set():
            super().onPing(payload)  # type: ignore[misc]

    def onPong(self, payload: bytes) -> None:  # noqa: N802
        self._count(1.0)

    def onMessageFrameBegin(self, length: int) -> None:  # noqa: N802
        super().onMessageFrameBegin(length)  # type: ignore[misc]
        if self.current_frame.opcode == 0:
            self._count(fragment_cost(length))

    def _count(self, cost: float) -> bool:
        if self._has_flooded:
            return False
        if self._inbound is None or self._inbound.take(time.monotonic(), cost):
            return True
        self._has_flooded = True
        self.application_queue.put_nowait({"type": "websocket.too.many"})
        self.ignore_input()
        return False


def _end_if_closed(transport: Any, data: bytes) -> None:
    if is_close(data):
        transport.loseConnection()
