"""Writes whole frames to a connection on asyncio: for messages that go to thousands of sockets at a time.

A transport's own `write` makes ten checks in Python before its system call; uvloop's keeps what it is given until the
end of the event loop's turn. Where nothing waits in its buffer, a frame goes straight to the socket; what the kernel
does not take, and every failure, is left to the transport.
"""

from __future__ import annotations

import asyncio
import os
from typing import Any

_write = os.write
_NONE = -1
"""In place of a descriptor: to write to it fails."""


class FrameWriter:
    """Writes frames through a connection's transport, until `stop`. `writable`: set while the server takes more."""

    __slots__ = ("_transport", "_writable")

    def __init__(self, transport: asyncio.Transport, writable: asyncio.Event) -> None:
        self._transport: Any = transport
        self._writable = writable

    def write(self, frame: bytes) -> bool:
        """Send a frame, after all sent before; return False if that is impossible now. After `stop`, drop it."""
        transport = self._transport
        if transport is None:
            return True
        if transport.is_closing() or not self._writable.is_set():
            return False
        transport.write(frame)
        return True

    def pause(self) -> None:
        """The transport calls its protocol's `pause_writing`."""

    def resume(self) -> None:
        """The transport calls its protocol's `resume_writing`."""

    def stop(self) -> None:
        """Write nothing more: a close follows, and nothing may follow that; or the client has left.

        Of thousands that have left at once, a round of prices comes before the ends of most. Were it refused, each
        of them would be ended within the round.
        """
        self._transport = None


class AskingFrameWriter(FrameWriter):
    """Writes frames to the socket itself, and asks the transport each time whether anything waits in its buffer."""

    __slots__ = ("_descriptor",)

    def __init__(self, transport: asyncio.Transport, writable: asyncio.Event, descriptor: int) -> None:
        super().__init__(transport, writable)
        self._descriptor = descriptor

    def write(self, frame: bytes) -> bool:
        transport = self._transport
        if transport is None:
            return True
        if transport.is_closing():  # as long as it is not, the descriptor is its own
            return False
        if transport.get_write_buffer_size():
            return super().write(frame)
        try:
            sent = _write(self._descriptor, frame)
        except OSError:  # it would block, or the connection is lost: the transport notices, too
            sent = 0
        if sent < len(frame):
            transport.write(memoryview(frame)[sent:])
        return True


class ToldFrameWriter(FrameWriter):
    """Writes frames to the socket itself, as long as the protocol does not call `pause` or `stop`.

    To ask asyncio's transport took a tenth of a message's cost: between two system calls the CPU's caches have lost it.
    So it is made to call `pause_writing` as soon as anything waits; until it is empty again there is no descriptor to
    write to.
    """

    __slots__ = ("_descriptor", "_socket")

    def __init__(self, transport: asyncio.Transport, writable: asyncio.Event, descriptor: int) -> None:
        super().__init__(transport, writable)
        self._socket = descriptor
        self._descriptor = _NONE if transport.get_write_buffer_size() else descriptor
        transport.set_write_buffer_limits(high=0)

    def write(self, frame: bytes) -> bool:
        try:
            sent = _write(self._descriptor, frame)
        except OSError:  # there is none, the kernel takes nothing now, or the connection is lost
            return super().write(frame)
        if sent < len(frame):
            self._transport.write(memoryview(frame)[sent:])
        return True

    def pause(self) -> None:
        self._descriptor = _NONE

    def resume(self) -> None:
        self._descriptor = self._socket

    def stop(self) -> None:
        super().stop()
        self._descriptor = self._socket = _NONE


def frame_writer(transport: asyncio.Transport, writable: asyncio.Event) -> FrameWriter:
    """Return the cheapest writer that this transport allows."""
    # One of TLS that is closed may raise AttributeError, whatever it is asked for.
    if os.name != "posix" or transport.is_closing() or transport.get_extra_info("sslcontext") is not None:
        return FrameWriter(transport, writable)
    descriptor = transport.get_extra_info("socket").fileno()
    if hasattr(transport, "max_size"):  # asyncio's own; uvloop's would pause for each write
        return ToldFrameWriter(transport, writable, descriptor)
    return AskingFrameWriter(transport, writable, descriptor)
