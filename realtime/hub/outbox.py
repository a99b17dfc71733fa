"""One socket's outgoing stream: every event once and in order, the newest price of each token, within bounds.

Pure asyncio: knows neither Django nor Channels. Everything here runs on the event loop's thread and returns at once;
a client that reads slowly delays no other.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple
from uuid import UUID

from realtime.hub.disconnects import is_disconnect
from realtime.hub.eager import send_eagerly
from realtime.hub.held_tokens import HeldTokens
from realtime.hub.token_index import TokenIndex
from realtime.monitoring.metrics import counts
from realtime.protocol import messages
from realtime.protocol.messages import Close, CloseReason, ErrorCode

logger = logging.getLogger(__name__)

AsgiSend = Callable[[dict[str, Any]], Awaitable[None]]
WriteNow = Callable[[str], bool]
"""Sends a text message at once, after all those sent before; returns False if that is impossible right now."""


class Event(NamedTuple):
    """An event as a stream sends it: its message, and what it changes in the index."""

    seq: int
    text: str
    position_id: str
    token: str | None
    """What the position holds after the event; None once it is closed."""


class Outbox:
    """The stream of one socket.

    Until `start`, events wait; after it they follow the snapshot's `seq` without a gap. Messages other than prices
    are sent in the order of the calls. While a write is pending (uvicorn: the client does not read), they queue, at
    most `max_unsent` of them, and prices are conflated: the newest per token goes out when the client reads again.
    """

    def __init__(
        self,
        send: AsgiSend,
        write_now: WriteNow,
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
    ) -> None:
        self.user_id = user_id
        self.session_id: UUID | None = None
        """The browser session whose log-out ends this stream; None for a bot's."""
        self.agent_id = agent_id
        self.claim = 0
        """The highest claim, over all processes, is that of the agent's newest socket."""
        self.seq: int | None = None
        """Number of the last event sent; None before the snapshot."""
        self.closed: Close | None = None
        """Why the server ended this stream; None while it runs."""
        self._held = HeldTokens(self, index)
        self._send = send
        self._write_now = write_now
        self._max_unsent = max_unsent
        self._retry_after_seconds = retry_after_seconds
        self._on_gap = on_gap
        self._on_lost = on_lost
        self._on_close = on_close
        self._on_new_token = on_new_token
        # Not a deque: an empty one takes 0.6 kB, and nearly all are empty.
        self._queue: list[dict[str, Any]] = []
        self._prices: dict[str, str] = {}
        self._ahead: dict[int, Event] = {}
        self._writing: asyncio.Task[None] | None = None

    # Events

    def start(self, texts: Iterable[str], seq: int, held: Iterable[tuple[str, str]]) -> None:
        """Send `texts`, then the events after number `seq` that have arrived meanwhile.

        `texts`: the snapshot as of `seq`, or nothing for a client that has the events up to there.
        `held`: the token and the id of each position that the agent holds.
        """
        if self.closed:
            return
        for text in texts:
            self.write(text)
        self.seq = seq
        if not self.closed:  # by a write that exceeded `max_unsent`
            self._held.add(held)
        self._send_ahead()

    def hold_back(self) -> None:
        """Queue events until the next `start`, and send no prices: the stream moves to another agent."""
        self.seq = None
        self._ahead.clear()
        self._prices.clear()
        self._held.clear()

    def event(self, event: Event) -> None:
        """Send an event in order. One that was sent already is dropped; one that is early waits for those before it."""
        if self.closed or (self.seq is not None and event.seq <= self.seq):
            return
        self._ahead[event.seq] = event
        if self.seq is not None:
            self._send_ahead()
        if len(self._ahead) > self._max_unsent:
            self.close(CloseReason.TRY_LATER)

    def lost(self) -> None:
        """Start over with a new snapshot: events are missing that are no longer stored."""
        if not self.closed:
            self.hold_back()
            self._on_lost(self)

    @property
    def waiting(self) -> int | None:
        """How many messages are queued for the client; None if it has read all so far."""
        return len(self._queue) if self._writing else None

    @property
    def has_gap(self) -> bool:
        """Whether events are missing between the last one sent and one that has come."""
        return self.seq is not None and bool(self._ahead)

    def _send_ahead(self) -> None:
        """Send the waiting events whose numbers directly follow the last one sent."""
        assert self.seq is not None  # noqa: S101  callers have a snapshot
        for seq in sorted(self._ahead):
            if self.closed:  # by a write that exceeded `max_unsent`
                return
            if seq > self.seq + 1:
                self._on_gap(self)
                return
            event = self._ahead.pop(seq)
            if seq == self.seq + 1:
                self.seq = seq
                self.write(event.text)
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

    def prices(self, fragments: Mapping[str, str], at: str, *, nearly_all: bool = False) -> None:
        """Send the prices of tokens that the agent holds as one batch: now, or the newest ones once the client reads.

        `nearly_all`: a hint that `fragments` has nearly every token, so that it pays not to look up each.
        """
        if self.seq is None:
            return  # the snapshot will have the newest
        if self._writing:
            newest = {token: fragments[token] for token in self._held.each() if token in fragments}
            for token in newest.keys() & self._prices.keys():
                counts.conflated_prices += 1
                newest[token] = messages.followed_by(self._prices[token], newest[token])
            self._prices.update(newest)
        elif held := (nearly_all and self._held.pick_all(fragments)) or self._held.pick(fragments):
            counts.price_batches += 1
            text = messages.price_batch(held, at)
            if not self._write_now(text):  # as in `_transmit`, inlined: it runs a thousand times a round
                self._put({"type": "websocket.send", "text": text})

    def _flush_prices(self) -> None:
        if self._prices and not self._writing:
            waiting, self._prices = self._prices, {}
            self.prices(waiting, messages.now())

    # The wire

    def write(self, text: str) -> None:
        """Send a message after all those before it."""
        if not self.closed:
            counts.sent[messages.type_of(text)] += 1
            self._transmit(text)

    def _transmit(self, text: str) -> None:
        if self._writing or not self._write_now(text):
            self._put({"type": "websocket.send", "text": text})

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
        if reason is CloseReason.TRY_LATER:
            self._queue.clear()
        close = reason.value
        self._end(close)
        text = messages.closing(close, retry_after_seconds=self._retry_after_seconds)
        counts.sent["closing"] += 1
        self._put({"type": "websocket.send", "text": text})
        self._put({"type": "websocket.close", "code": close.code, "reason": close.reason})

    def abandon(self) -> None:
        """Send nothing more: the connection is gone."""
        self._end(Close(1006, "", reconnect=True))
        self._queue.clear()
        if self._writing:
            self._writing.cancel()

    def _end(self, close: Close) -> None:
        if self.closed is None:
            self.closed = close
            self._held.clear()
            self._prices.clear()
            self._ahead.clear()
            self._on_close(self)

    def _put(self, message: dict[str, Any]) -> None:
        if self._writing:
            self._queue.append(message)
            if len(self._queue) > self._max_unsent and not self.closed:
                self.close(CloseReason.TRY_LATER)
            return
        try:
            self._writing = send_eagerly(self._send(message))
        except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001  _not_sent tells them apart
            self._not_sent(error)
            return
        if self._writing:
            self._writing.add_done_callback(self._written)

    def _written(self, task: asyncio.Task[None]) -> None:
        self._writing = None
        error = asyncio.CancelledError() if task.cancelled() else task.exception()
        if error is not None:
            self._not_sent(error)
        while self._queue and not self._writing:
            self._put(self._queue.pop(0))
        self._flush_prices()

    def _not_sent(self, error: BaseException) -> None:
        """End the stream: its client is gone, or a message is lost."""
        if isinstance(error, asyncio.CancelledError) or is_disconnect(error):
            logger.debug("agent %s: the client is gone: %r", self.agent_id, error)
            self.abandon()
        elif self.closed:
            logger.warning("agent %s: the end of a stream could not be sent: %r", self.agent_id, error)
        else:
            logger.error("agent %s: a message could not be sent", self.agent_id, exc_info=error)
            self._queue.clear()  # a client cannot use what follows a lost message
            self.close(CloseReason.INTERNAL_ERROR)
