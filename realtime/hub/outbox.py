"""One socket's outgoing stream: every event once and in order, the newest price of each token, within bounds.

Pure asyncio: knows neither Django nor Channels. Everything here runs on the event loop's thread and returns at once;
a client that reads slowly delays no other.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from uuid import UUID

from realtime.hub.disconnects import is_disconnect
from realtime.hub.early_events import EarlyEvents, Event
from realtime.hub.encoded_prices import EncodedPrices, PlainPrices
from realtime.hub.held_tokens import HeldTokens
from realtime.hub.joined_frames import JoinedFrames
from realtime.hub.price_keys import PriceKeys
from realtime.hub.token_index import TokenIndex
from realtime.hub.writer import SNAPSHOT, SUPERSEDED, AsgiSend, WriteFrame, WriteNow, Writer, ignore
from realtime.monitoring.metrics import counts
from realtime.protocol import messages
from realtime.protocol.frames import payload_of
from realtime.protocol.messages import Close, CloseReason, ErrorCode

__all__ = ["Event", "Outbox"]  # an outbox's event is part of it

logger = logging.getLogger(__name__)


class Outbox:
    """The stream of one socket.

    Until `start`, events wait; after it they follow the snapshot's `seq` without a gap. Messages other than prices
    are sent in the order of the calls. While a write is pending (uvicorn: the client does not read), they queue, at
    most `max_unsent` of them with `max_unsent_bytes`, and prices are conflated: the newest per token goes out when the
    client reads again. A snapshot may have any size, and replaces one that is still queued.

    `buffered` returns how many bytes the server has taken and the client has not. `on_unsent` is told by how many bytes
    the messages that are unsent here have grown or shrunk.
    """

    # Every round of prices goes through a thousand of them: what is read of each had better be in the CPU's cache.
    __slots__ = (
        "__weakref__", "_buffered", "_early", "_held", "_joined", "_max_unsent", "_max_unsent_bytes", "_on_close",
        "_on_gap", "_on_lost", "_on_new_token", "_on_unsent", "_prices", "_retry_after_seconds", "_takes_prices",
        "_write_frame", "_write_now", "_writer", "agent_id", "claim", "closed", "family_id", "keys_told", "left",
        "price_keys", "read_only", "seq", "user_id", "watches",
    )  # fmt: skip

    def __init__(
        self,
        send: AsgiSend,
        write_now: WriteNow,
        write_frame: WriteFrame | None = None,
        *,
        user_id: object,
        agent_id: str,
        index: TokenIndex[Outbox],
        max_unsent: int,
        retry_after_seconds: float,
        on_gap: Callable[[Outbox], None],
        on_lost: Callable[[Outbox], None],
        on_close: Callable[[Outbox], None],
        on_new_token: Callable[[Outbox, Sequence[str]], None],
        max_unsent_bytes: int = sys.maxsize,
        buffered: Callable[[], int] = lambda: 0,
        on_unsent: Callable[[Outbox, int], None] = lambda outbox, change: None,
    ) -> None:
        self.user_id = user_id
        self.family_id: UUID | None = None
        """The family of tokens whose end ends this stream."""
        self.read_only = False
        """Whether its token may only read: such a stream watches, from the next agent on if it owns one."""
        self.watches = False
        """Whether it watches its agent, beside the one that owns it; set while it is not joined."""
        self.price_keys: PriceKeys | None = None
        """Where its client has compact prices, the numbers of tokens."""
        self.keys_told = False
        """Whether the client has the keys of what its agent holds, from a snapshot and the events after it."""
        self.agent_id = agent_id
        self.left: str | None = None
        """What stood for it among its user's sockets before it left its last agent for this one."""
        self.claim = 0
        """The highest claim, over all processes, is that of the socket that owns the agent. Of a watcher, its place."""
        self.seq: int | None = None
        """Number of the last event sent; None before the snapshot."""
        self.closed: Close | None = None
        """Why the server ended this stream; None while it runs."""
        self._held = HeldTokens(self, index)
        self._write_now = write_now
        self._write_frame = write_frame
        self._joined: JoinedFrames | None = None
        self._writer = Writer(
            send, on_bytes=self._unsent_changed, on_error=self._not_sent, on_written=self._flush_prices
        )
        self._max_unsent = max_unsent
        self._retry_after_seconds = retry_after_seconds
        self._on_gap = on_gap
        self._on_lost = on_lost
        self._on_close = on_close
        self._on_new_token = on_new_token
        self._max_unsent_bytes = max_unsent_bytes
        self._buffered = buffered
        self._on_unsent = on_unsent
        self._takes_prices = False
        """Whether it has started, and nothing is unsent here."""
        self._prices: dict[str, str] = {}
        self._early = EarlyEvents()

    # Events

    def hold(self, token: str, position_id: str) -> None:
        """Note, before `start`, that a position holds a token."""
        self._held.add([(token, position_id)])

    def start(self, texts: Iterable[str | bytes], seq: int, held: Iterable[tuple[str, str]] = ()) -> None:
        """Send `texts`, then the events after number `seq` that have arrived meanwhile.

        `texts`: the snapshot as of `seq`, last, or nothing for a client that has the events up to there.
        `held`: the token and the id of each position that the agent holds and `hold` was not told of.
        """
        if self.closed:
            return
        texts = list(texts)
        if texts and messages.type_of(texts[-1]) == SNAPSHOT:
            self._writer.drop(SUPERSEDED)
            self.keys_told = True
        for text in texts:
            self.write(text)
        self.seq = seq
        self._takes_prices = self._writer.pending is None
        if not self.closed:  # by a write that exceeded a bound
            self._held.add(held)
        self._send_ahead()

    def hold_back(self) -> None:
        """Queue events until the next `start`, and send no prices: the stream moves to another agent."""
        self.seq = None
        self._takes_prices = False
        self._early.clear()
        self._prices.clear()
        self._held.clear()

    def event(self, event: Event) -> None:
        """Send an event in order. One that was sent already is dropped; one that is early waits for those before it."""
        if self.closed or (self.seq is not None and event.seq <= self.seq):
            return
        if self.seq is not None and event.seq == self.seq + 1 and not self._early:  # nearly always
            self._send_event(event)
            return
        self._early.add(event)
        if self.seq is not None:
            self._send_ahead()
        if len(self._early) > self._max_unsent or self._early.bytes > self._max_unsent_bytes:
            self._end_slow()

    def lost(self) -> None:
        """Start over with a new snapshot: events are missing that are no longer stored."""
        if not self.closed:
            self.hold_back()
            self._on_lost(self)

    @property
    def waiting(self) -> int | None:
        """How many messages are queued for the client; None if it has read all so far."""
        return self._writer.waiting if self._writer.pending else None

    @property
    def unsent_bytes(self) -> int:
        """What this process holds of messages that the client has not taken, in bytes; without prices."""
        return self._writer.bytes + self._early.bytes + self._buffered()

    @property
    def buffered_bytes(self) -> int:
        """What the server has taken and the client has not."""
        return self._buffered()

    async def drained(self) -> None:
        """Wait until no message is unsent here, or the stream has ended. Safe to cancel."""
        await self._writer.drained()

    @property
    def member(self) -> str:
        """What stands for it among its user's sockets, and in the presence of its process."""
        return f"watch:{self.claim}" if self.watches else self.agent_id

    @property
    def has_gap(self) -> bool:
        """Whether events are missing between the last one sent and one that has come."""
        return self.seq is not None and bool(self._early)

    def _send_ahead(self) -> None:
        """Send the waiting events whose numbers directly follow the last one sent."""
        assert self.seq is not None  # noqa: S101  callers have a snapshot
        for seq in self._early.numbers():
            if self.closed:  # by a write that exceeded a bound
                return
            if seq > self.seq + 1:
                self._on_gap(self)
                return
            event = self._early.take(seq)
            if seq == self.seq + 1:
                self._send_event(event)

    def _send_event(self, event: Event) -> None:
        self.seq = event.seq
        self.write(event.text if self.price_keys is None else self.price_keys.told(event))
        if event.token != self._held.of(event.position_id):
            self._exchange(event.position_id, event.token)

    def _exchange(self, position_id: str, token: str | None) -> None:
        """Note that the position now holds this token, or none; send the price of a token new to this stream."""
        self._held.discard(position_id)
        if token is not None and not self.closed:
            is_new = token not in self._held.each()
            self._held.add([(token, position_id)])
            if is_new:
                self._on_new_token(self, [token])

    # Prices

    def prices(self, fragments: Mapping[str, str], at: str) -> None:
        """Send this stream the prices of tokens that the agent holds, by their fragments: see `send_prices`."""
        keys = self.price_keys
        prices = PlainPrices(fragments, at) if keys is None else keys.rows(fragments)
        self.send_prices(prices)
        prices.count()

    def send_prices(self, prices: EncodedPrices) -> None:
        """Send the prices of tokens that the agent holds as one message: now, or the newest once the client reads.

        `prices`: in the form that this stream's client has, counted by the caller.
        """
        if not self._takes_prices:
            if self.seq is not None:  # else the snapshot will have the newest
                self._conflate(prices.fragments)
        elif pieces := self._held.pick(prices):
            if self._write_frame is None:
                self._transmit(prices.message(pieces))
            elif not self._write_frame(frame := prices.frame(pieces)):
                self._queue_frame(frame)

    def _conflate(self, fragments: Mapping[str, str]) -> None:
        newest = {token: fragments[token] for token in self._held.each() if token in fragments}
        for token in newest.keys() & self._prices.keys():
            counts.conflated_prices += 1
            newest[token] = messages.followed_by(self._prices[token], newest[token])
        self._prices.update(newest)

    def _flush_prices(self) -> None:
        if self._prices:
            waiting, self._prices = self._prices, {}
            self.prices(waiting, messages.now())

    # The wire

    @contextlib.contextmanager
    def joining(self) -> Iterator[None]:
        """Give the connection what is sent meanwhile in few writes. Nothing may be awaited meanwhile."""
        if self._write_frame is None:
            yield
            return
        ways = self._write_now, self._write_frame
        self._joined = joined = JoinedFrames(*ways, on_refused=self._queue_frame)
        self._write_now, self._write_frame = joined.write_now, joined.write_frame
        try:
            yield
        finally:
            self._joined, (self._write_now, self._write_frame) = None, ways
            joined.flush()

    def _queue_frame(self, frame: bytes) -> None:
        if not self.closed:  # by the frame before it, which exceeded a bound
            self._writer.put({"type": "websocket.send", "text": payload_of(frame)})

    def write(self, text: str | bytes) -> None:
        """Send a message after all those before it."""
        if not self.closed:
            counts.sent[messages.type_of(text)] += 1
            counts.other_bytes += len(text if isinstance(text, bytes) or text.isascii() else text.encode())
            self._transmit(text)

    def _transmit(self, text: str | bytes) -> None:
        if self._writer.pending or not self._write_now(text):
            self._writer.put({"type": "websocket.send", "text": text})

    def refuse(self, reason: CloseReason, code: ErrorCode, message: str) -> None:
        """Send an error, announce the close, close."""
        self.write(messages.error(code, message))
        self.close(reason)

    def close(self, reason: CloseReason) -> None:
        """Announce the close and close, after what is queued. Later calls of any kind do nothing.

        A client that is too slow for its events is not sent those in the queue: it resumes, or gets a new snapshot.
        """
        if self.closed:
            return
        if self._joined:
            self._joined.flush()
        if reason is CloseReason.TRY_LATER:
            self._writer.drop()
        close = reason.value
        self._end(close)
        text = messages.closing(close, retry_after_seconds=self._retry_after_seconds)
        counts.sent["closing"] += 1
        self._writer.put({"type": "websocket.send", "text": text})
        self._writer.put({"type": "websocket.close", "code": close.code, "reason": close.reason})

    def abandon(self) -> None:
        """Send nothing more: the connection is gone."""
        self._end(Close(1006, "", reconnect=True))
        self._writer.abandon()

    def forget(self) -> None:
        """Refer to nobody any more who refers to this stream; it has ended, and nobody uses it.

        Else each socket that is gone stays until the garbage collector finds it: 20,000 of them at once took 2.8 s, in
        which nothing was sent.
        """
        if self._writer.pending is None:  # else its end is counted later
            self._writer.forget()
            self._held.forget()
            self._on_lost = self._on_close = ignore

    def _end(self, close: Close) -> None:
        if self.closed is None:
            self.closed = close
            self._held.clear()
            self._prices.clear()
            self._early.clear()
            self._writer.release()
            self._on_close(self)

    def _unsent_changed(self, change: int) -> None:
        self._on_unsent(self, change)
        writer = self._writer
        self._takes_prices = writer.pending is None and self.seq is not None
        if (
            change > 0
            and not self.closed
            and (writer.waiting > self._max_unsent or writer.queued_bytes > self._max_unsent_bytes)
        ):
            self._end_slow()

    def _end_slow(self) -> None:
        if not self.closed:
            counts.refusals["socket_unsent"] += 1
            self.close(CloseReason.TRY_LATER)

    def _not_sent(self, error: BaseException) -> None:
        """End the stream: its client is gone, or a message is lost."""
        if isinstance(error, asyncio.CancelledError) or is_disconnect(error):
            logger.debug("agent %s: the client is gone: %r", self.agent_id, error)
            self.abandon()
        elif self.closed:
            logger.warning("agent %s: the end of a stream could not be sent: %r", self.agent_id, error)
        else:
            logger.error("agent %s: a message could not be sent", self.agent_id, exc_info=error)
            self._writer.drop()  # a client cannot use what follows a lost message
            self.close(CloseReason.INTERNAL_ERROR)
