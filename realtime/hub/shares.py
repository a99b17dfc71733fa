"""What each user takes of this process: connects, sockets, work and memory. Bounded, so that nobody starves the others.

Work is counted in rows: positions and events that are read and sent for a user, at some 0.05 ms of CPU each, and what
else a message costs, as rows that would cost the same. A user who has used that up waits, and nobody else does.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from typing import Any

from realtime.conf import conf
from realtime.hub.guard import Refused
from realtime.hub.outbox import Outbox
from realtime.hub.strangers import Strangers
from realtime.hub.token_bucket import TokenBucket
from realtime.monitoring.metrics import counts
from realtime.protocol.messages import CloseReason, ErrorCode

AT_CAPACITY = "the server is at capacity"
# A client that reconnects may be here twice, until its old connection is noticed to be gone.
CONNECTIONS_PER_SOCKET = 2
LONGEST_WAIT_SECONDS = 10.0
"""How long a message waits until its user may cause more work; after that, its socket is closed."""
READS_AT_ONCE = 4
"""How many streams of one user are read and built at the same time: each has all of its rows in memory."""
BUFFERED_BYTES = 64 * 1024
"""A server buffers this much for each client that does not read (asyncio's and Twisted's default), and more only where
one message is larger."""
# In rows.
CONNECT_COST, QUERY_COST, MESSAGE_COST = 40, 20, 1
BYTES_PER_ROW = 256
"""Of a client's message: 16 KiB of numbers take 6 ms to parse."""
TOO_MUCH_WORK = "too many positions and events are being read for this user"
TOO_MUCH_UNSENT = "too much is waiting for this user's clients to read it"


class Share:
    """One user's share of this process, over all of the user's sockets."""

    def __init__(self) -> None:
        self.sockets: set[Outbox] = set()
        """Its connections, also those that are being refused or closed."""
        self.connects = TokenBucket(conf.USER_CONNECTS_PER_SECOND, conf.USER_CONNECT_BURST)
        self.unsent_bytes = 0
        """What the messages take that wait in this process for its clients to read."""
        self._rows = TokenBucket(conf.USER_ROWS_PER_SECOND, conf.USER_ROWS_BURST)
        self._reads = asyncio.Semaphore(READS_AT_ONCE)

    def is_unused(self, now: float) -> bool:
        """Whether forgetting it changes nothing."""
        is_fresh = self.connects.is_full(now) and self._rows.is_full(now)
        return is_fresh and not self.sockets and not self.unsent_bytes

    def spend(self, rows: int) -> None:
        """Count work, before or after it is done."""
        self._rows.spend(time.monotonic(), rows)

    async def wait(self) -> None:
        """Wait until the user may cause more work: nearly always at once. Raises Refused. Safe to cancel."""
        while seconds := self._rows.seconds_in_debt(time.monotonic()):
            if seconds > LONGEST_WAIT_SECONDS:
                raise _too_much_work()
            await asyncio.sleep(seconds)

    @contextlib.asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Enter to read or build a stream: few at a time, the others in order. Raises Refused. Safe to cancel."""
        try:
            async with asyncio.timeout(LONGEST_WAIT_SECONDS):
                await self._reads.acquire()
        except TimeoutError:  # the database may be slow
            raise refused("user_reads", TOO_MUCH_WORK) from None
        try:
            yield
        finally:
            self._reads.release()


class Shares:
    """The shares of all users of this process. Clients without a valid token have none, but bounds of their own."""

    def __init__(self) -> None:
        self.sockets: set[Outbox] = set()
        """All connections of this process."""
        self.strangers = Strangers()
        self._by_user: dict[Any, Share] = {}
        self._unsent_bytes = 0
        self._buffered: set[Outbox] = set()
        """Those that may have more than BUFFERED_BYTES in the server's buffer."""
        self._arrivals = TokenBucket(conf.CONNECTS_PER_SECOND, conf.CONNECT_BURST)

    def of(self, user_id: Any) -> Share:
        share = self._by_user.get(user_id)
        if share is None:
            share = self._by_user[user_id] = Share()
        return share

    def admit(self, outbox: Outbox) -> None:
        """Count a new connection. Raises Refused at capacity, or if too many connect at once.

        A user's own bounds come first: what they refuse takes nothing from the others.
        """
        share, now = self.of(outbox.user_id), time.monotonic()
        limit = conf.USER_SOCKETS
        if len(share.sockets) >= CONNECTIONS_PER_SOCKET * limit:
            raise refused("user_sockets", too_many_sockets(limit))
        if not share.connects.take(now):
            rate = conf.USER_CONNECTS_PER_SECOND
            raise refused("user_connects", f"too many connects: at most {rate:g} a second for each user")
        if len(self.sockets) >= conf.MAX_SOCKETS:
            raise refused("sockets", AT_CAPACITY)
        if not self._arrivals.take(now):
            raise refused("connects", AT_CAPACITY)
        self.sockets.add(outbox)
        share.sockets.add(outbox)

    def dismiss(self, outbox: Outbox) -> None:
        """Stop counting a connection: it is gone."""
        self.sockets.discard(outbox)
        self._buffered.discard(outbox)
        share = self._by_user.get(outbox.user_id)
        if share is not None:
            share.sockets.discard(outbox)

    # Memory

    @property
    def unsent_bytes(self) -> int:
        """What this process holds of messages that its clients have not taken, without small buffers of the server."""
        return self._unsent_bytes + sum(outbox.buffered_bytes for outbox in self._buffered)

    def note_unsent(self, outbox: Outbox, change: int) -> None:
        """Note that the outbox holds more bytes, or fewer; end a stream where that is too much."""
        share = self.of(outbox.user_id)
        share.unsent_bytes += change
        self._unsent_bytes += change
        # What is alone may have any size.
        if change > 0 and not outbox.closed and self._unsent_bytes > change:
            if share.unsent_bytes > change and share.unsent_bytes > conf.MAX_USER_UNSENT_BYTES:
                counts.refusals["user_unsent"] += 1
                outbox.close(CloseReason.TRY_LATER)
            elif self._unsent_bytes > conf.MAX_PROCESS_UNSENT_BYTES:
                self._end_largest()

    def note_snapshot(self, outbox: Outbox, size_bytes: int) -> None:
        """Note that a snapshot is about to be sent, which the server takes whole."""
        if size_bytes > BUFFERED_BYTES:
            self._buffered.add(outbox)

    def check_room(self, user_id: Any) -> None:
        """Raise Refused where a snapshot for this user finds too much that is not read yet."""
        if not self._buffered and not self._unsent_bytes:
            return  # nearly always
        self._buffered = {outbox for outbox in self._buffered if outbox.buffered_bytes > BUFFERED_BYTES}
        of_user = sum(outbox.buffered_bytes for outbox in self._buffered if outbox.user_id == user_id)
        if self.of(user_id).unsent_bytes + of_user > conf.MAX_USER_UNSENT_BYTES:
            raise refused("user_unsent", TOO_MUCH_UNSENT)
        if self.unsent_bytes > conf.MAX_PROCESS_UNSENT_BYTES:
            self._end_largest()
            raise refused("unsent", AT_CAPACITY)

    def _end_largest(self) -> None:
        """End the stream that has the most unsent, if those that end already do not leave enough room.

        Their connections are cut off where the clients do not read.
        """
        streams = {outbox: outbox.unsent_bytes for outbox in self.sockets if not outbox.closed}
        if sum(streams.values()) > conf.MAX_PROCESS_UNSENT_BYTES:
            counts.refusals["unsent"] += 1
            max(streams, key=streams.__getitem__).close(CloseReason.TRY_LATER)

    def forget_unused(self) -> None:
        """Drop the shares that are as new. To be called now and then."""
        self.strangers.forget_unused()
        now = time.monotonic()
        unused = [user_id for user_id, share in self._by_user.items() if share.is_unused(now)]
        for user_id in unused:
            del self._by_user[user_id]


def too_many_sockets(limit: int) -> str:
    return f"too many sockets: at most {limit} for each user"


def _too_much_work() -> Refused:
    return refused("user_rows", TOO_MUCH_WORK, CloseReason.RATE_LIMITED)


def refused(bound: str, message: str, reason: CloseReason = CloseReason.TRY_LATER) -> Refused:
    """Count a refusal, by the bound that was reached; return the exception to raise."""
    counts.refusals[bound] += 1
    code = ErrorCode.RATE_LIMITED if reason is CloseReason.RATE_LIMITED else ErrorCode.TRY_LATER
    return Refused(reason, code, message)
