"""What a server's protocol object must be able to do, beyond ASGI. Implemented in realtime/servers/."""

from __future__ import annotations

import asyncio
from typing import Any, Protocol

from realtime.hub.token_bucket import TokenBucket
from realtime.hub.writer import WriteNow


class FrameWriter(Protocol):
    """Sends frames past ASGI. Nothing of it is safe after the connection's own `send` has been given a close."""

    def write(self, frame: bytes) -> bool:
        """Send a frame at once, after all sent before; return False if that is impossible now."""

    def stop(self) -> None:
        """Send nothing more: a close follows."""


class ServerProtocol(Protocol):
    """A server's protocol object with the methods that realtime/servers/ adds."""

    transport: Any

    def owns(self, send: Any) -> bool:
        """Return whether this is the connection's own `send`, not a wrapper around it."""

    def text_writer(self) -> WriteNow | None:
        """Return a function that sends a text past ASGI, directly to the connection; None if that is impossible."""

    def frame_writer(self) -> FrameWriter | None:
        """Return what sends texts that are WebSocket frames already; None if that is impossible, or compression was
        agreed."""

    def unsent_bytes(self) -> int:
        """Return how many bytes the server has taken and the kernel has not."""

    @property
    def writable(self) -> asyncio.Event:
        """Set while the server takes more messages, and once the connection is gone."""

    def count_frames(self, inbound: TokenBucket) -> None:
        """Count pings, pongs and fragments from now on, too: the application gets `websocket.too.many` if there are
        more than the bucket has."""

    def ignore_input(self) -> None:
        """Read no more messages: discard what arrives, and end the connection when the client answers the close."""

    def received(self) -> None:
        """Note that the application has taken a message; read on if reading was paused."""
