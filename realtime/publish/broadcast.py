"""Functions that send to sockets, from any process, synchronous or not.

The plain Channels API does the same: `group_send(agent_group(id), event_message(event))` and
`group_send(PRICES_GROUP, price_message(quotes))`. From synchronous code it costs new connections with every call,
since `async_to_sync` makes a new event loop outside a server; the functions here do not.
"""

from __future__ import annotations

import asyncio
import atexit
import logging
import os
import socket
import threading
from collections.abc import Coroutine, Iterable, Sequence
from typing import Any
from uuid import UUID

from positions import valkey
from positions.installations import installation
from positions.models import PositionEvent
from positions.prices.quotes import Quote
from realtime.monitoring import outages
from realtime.monitoring.metrics import counts
from realtime.protocol.envelopes import access_message, disconnect_message, event_message
from realtime.protocol.messages import PRICES_GROUP, agent_group
from realtime.protocol.price_envelopes import price_message
from realtime.publish.connections import channel_layer

logger = logging.getLogger(__name__)

# How many calls may wait to be sent; more are dropped, and the reconciler reads their events from the database.
MOST_WAITING = 10_000
SEND_TIMEOUT_SECONDS = 2.0
# How long a process that exits waits for unsent messages.
FLUSH_SECONDS = 2.0


async def broadcast_prices(quotes: Iterable[Quote]) -> None:
    """Send these prices to every socket whose agent holds the tokens: one message for all of them.

    It goes to every server process, in however many groups the price feed sends (rounds.py).
    Raises what the channel layer raises when it is unavailable. Safe to cancel.
    """
    quotes = list(quotes)
    if quotes:
        layer = await channel_layer()
        await layer.group_send(PRICES_GROUP, price_message(quotes))


async def send_position_events(events: Sequence[PositionEvent]) -> None:
    """Send stored events to the sockets of their agents, in the order given.

    Raises what the channel layer raises when it is unavailable. Sending one twice is harmless: sockets drop duplicates.
    """
    layer = await channel_layer()
    for event in events:
        await layer.group_send(agent_group(event.agent_id), event_message(event))


def publish_position_events(events: Sequence[PositionEvent]) -> None:
    """Like send_position_events, for synchronous code: returns at once and never raises.

    A thread of this process sends, in the order of the calls. What it cannot send is logged and left to reconciliation.
    """
    _publisher.submit(send_position_events(events), f"events of agent {events[0].agent_id}")


async def send_access_changes(agent_ids: Iterable[UUID]) -> None:
    """Make every process check whether the sockets of these agents may stay open."""
    layer = await channel_layer()
    for agent_id in agent_ids:
        await layer.group_send(agent_group(agent_id), access_message(agent_id))


def publish_access_changes(agent_ids: Sequence[UUID]) -> None:
    """Like send_access_changes, for synchronous code: returns at once and never raises."""
    _publisher.submit(send_access_changes(agent_ids), f"changed access to {len(agent_ids)} agents")


def publish_disconnects(agent_ids: Sequence[UUID], *, watchers: bool = False) -> None:
    """Have the owners of these agents closed, in whichever process they are, with 1013, or with `watchers` those that
    watch: their clients reconnect.

    Returns at once and never raises, like publish_position_events.
    """
    _publisher.submit(_send_disconnects(agent_ids, watchers), f"disconnects of {len(agent_ids)} agents")


async def _send_disconnects(agent_ids: Iterable[UUID], watchers: bool) -> None:
    layer = await channel_layer()
    for agent_id in agent_ids:
        await layer.group_send(agent_group(agent_id), disconnect_message(agent_id, watchers=watchers))


def flush(timeout_seconds: float = FLUSH_SECONDS) -> bool:
    """Wait until everything submitted so far has been sent; return whether it was, in time."""
    return _publisher.flush(timeout_seconds)


class _Loop(asyncio.SelectorEventLoop):
    """Looks names up in its own thread, where nothing else runs.

    asyncio's executor has closed when `atexit` handlers run (python/cpython#99704), and a command that writes and ends
    connects to Redis or Valkey only then.
    """

    async def getaddrinfo(self, *args: Any, **options: Any) -> Any:
        return socket.getaddrinfo(*args, **options)


class _Publisher:
    """One thread with one event loop, and so one set of connections, for a process's synchronous code."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._queue: asyncio.Queue[tuple[Coroutine[Any, Any, None], str]]
        self._waiting = 0
        self._dropping = False
        self._idle = threading.Condition(self._lock)

    def submit(self, sending: Coroutine[Any, Any, None], what: str) -> None:
        installation()  # here, where a query may be made, so that the messages name it
        with self._lock:
            if self._waiting >= MOST_WAITING:
                sending.close()
                if not self._dropping:  # once an outage, not once a write
                    logger.error("%s not sent: %d sends are waiting already", what, self._waiting)
                self._dropping = True
                return
            self._dropping = False
            if self._loop is None:
                self._loop = _Loop()
                self._queue = asyncio.Queue()
                threading.Thread(target=self._run, name="publisher", daemon=True).start()
                atexit.register(self.flush, FLUSH_SECONDS)
            self._waiting += 1
            self._loop.call_soon_threadsafe(self._queue.put_nowait, (sending, what))

    def flush(self, timeout_seconds: float) -> bool:
        with self._idle:
            return self._idle.wait_for(lambda: self._waiting == 0, timeout_seconds)

    def _run(self) -> None:
        assert self._loop is not None  # noqa: S101
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._send_all())

    async def _send_all(self) -> None:
        unsent = 0
        while True:
            sending, what = await self._queue.get()
            try:
                await asyncio.wait_for(sending, SEND_TIMEOUT_SECONDS)
            except (Exception, asyncio.CancelledError) as error:  # the write has long succeeded
                if not isinstance(error, valkey.Unavailable):  # not an outage but a bug
                    logger.exception("%s not sent, left to reconciliation", what)
                elif not unsent:  # once an outage, not once a write
                    why = str(error) or type(error).__name__
                    logger.warning(
                        "%s not sent, left to reconciliation: %s", what, why, extra=outages.field("valkey")
                    )
                counts.channel_layer_errors["send"] += 1
                unsent += 1
            else:
                if unsent:
                    again = "sending works again; %d sends were left to reconciliation"
                    logger.info(again, unsent, extra=outages.field("valkey"))
                unsent = 0
            with self._idle:
                self._waiting -= 1
                self._idle.notify_all()


_publisher = _Publisher()


def _after_fork() -> None:
    global _publisher
    _publisher = _Publisher()  # the child has no such thread, and must not use the parent's connections


os.register_at_fork(after_in_child=_after_fork)
