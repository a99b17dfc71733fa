"""Writes one socket's messages to its connection, in order; queues them while the client does not read.

Pure asyncio. Everything here runs on the event loop's thread and returns at once.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable, Collection
from typing import Any

from realtime.hub.eager import send_eagerly
from realtime.protocol import messages

AsgiSend = Callable[[dict[str, Any]], Awaitable[None]]
WriteNow = Callable[[str | bytes], bool]
"""Sends a text message at once, after all those sent before; returns False if that is impossible right now."""
WriteFrame = Callable[[bytes], bool]
"""The same for a text message in a WebSocket frame."""

SNAPSHOT = "initial_data"
SUPERSEDED = frozenset({SNAPSHOT, "position_update", "price_update_batch", "prices"})
"""What a new snapshot makes pointless to send: the types of messages whose content it has."""


class Writer:
    """One connection's outgoing messages. While a write is pending (uvicorn: the client does not read), they queue.

    `on_bytes` is told by how many bytes the unsent messages have grown or shrunk; `on_error` gets what a write raises;
    `on_written` is called when nothing is unsent any more.
    """

    __slots__ = (
        "_is_released", "_on_bytes", "_on_error", "_on_written", "_queue", "_send", "_waiters", "bytes", "pending",
        "pending_bytes", "queued_bytes",
    )  # fmt: skip

    def __init__(
        self,
        send: AsgiSend,
        *,
        on_bytes: Callable[[int], None],
        on_error: Callable[[BaseException], None],
        on_written: Callable[[], None],
    ) -> None:
        self.pending: asyncio.Task[None] | None = None
        """The write that has not ended yet."""
        self.bytes = 0
        """What all unsent messages take, in memory: the pending one and the queued ones."""
        self.pending_bytes = 0
        self.queued_bytes = 0
        """Of the queued messages, without the snapshot: that may have any size."""
        self._send = send
        self._on_bytes = on_bytes
        self._on_error = on_error
        self._on_written = on_written
        # Not a deque: an empty one takes 0.6 kB, and nearly all are empty.
        self._queue: list[dict[str, Any]] = []
        self._waiters: list[asyncio.Future[None]] | None = None
        self._is_released = False

    @property
    def waiting(self) -> int:
        """How many messages are queued behind the pending one."""
        return len(self._queue)

    def put(self, message: dict[str, Any]) -> None:
        """Write the message after all those before it."""
        if self.pending:
            self._queue.append(message)
            size = _size(message)
            self.queued_bytes += 0 if _is(message, {SNAPSHOT}) else size
            self._change(size)
            return
        try:
            self.pending = send_eagerly(self._send(_for_asgi(message)))
        except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001  it is told apart by `on_error`
            self._on_error(error)
            return
        if self.pending:
            self.pending_bytes = _size(message)
            self.pending.add_done_callback(self._written)
            self._change(self.pending_bytes)

    def drop(self, kinds: Collection[str] | None = None) -> None:
        """Forget the queued messages, or those of these types. The pending one stays."""
        kept = [message for message in self._queue if kinds is not None and not _is(message, kinds)]
        if len(kept) < len(self._queue):
            self._queue = kept
            self.queued_bytes = sum(_size(message) for message in kept if not _is(message, {SNAPSHOT}))
            self._change(self.pending_bytes + sum(map(_size, kept)) - self.bytes)

    def abandon(self) -> None:
        """Write nothing more: the connection is gone."""
        self.drop()
        if self.pending:
            self.pending.cancel()

    async def drained(self) -> None:
        """Wait until nothing is unsent here, or `release`. Safe to cancel."""
        while self.pending and not self._is_released:
            self._waiters = self._waiters or []
            waiter = asyncio.get_running_loop().create_future()
            self._waiters.append(waiter)
            await waiter

    def _written(self, task: asyncio.Task[None]) -> None:
        self.pending = None
        self._change(-self.pending_bytes)
        self.pending_bytes = 0
        error = asyncio.CancelledError() if task.cancelled() else task.exception()
        if error is not None:
            self._on_error(error)
        while self._queue and not self.pending:
            message = self._queue.pop(0)
            size = _size(message)
            self.queued_bytes -= 0 if _is(message, {SNAPSHOT}) else size
            self._change(-size)
            self.put(message)
        if not self.pending:
            self._on_written()
            self._wake()

    def release(self) -> None:
        """Let nobody wait any more: the stream has ended."""
        self._is_released = True
        self._wake()

    def forget(self) -> None:
        """Tell nobody any more. Nothing may be written after this."""
        self._on_bytes = self._on_error = self._on_written = ignore

    def _wake(self) -> None:
        waiters, self._waiters = self._waiters or (), None
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)

    def _change(self, by: int) -> None:
        self.bytes += by
        self._on_bytes(by)


def ignore(*_: object) -> None:
    """Do nothing: what a writer, or a stream, calls once nobody wants to know."""


def _for_asgi(message: dict[str, Any]) -> dict[str, Any]:
    text = message.get("text")
    return {**message, "text": text.decode()} if isinstance(text, bytes) else message


def size_of(text: str | bytes) -> int:
    """Return how many bytes a text takes: as a str, four a character where one of them is an emoji."""
    return sys.getsizeof(text)


def _size(message: dict[str, Any]) -> int:
    return size_of(message.get("text", ""))


def _is(message: dict[str, Any], kinds: Collection[str]) -> bool:
    return messages.type_of(message.get("text", "")) in kinds
