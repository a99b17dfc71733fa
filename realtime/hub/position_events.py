"""Sends each event, from its message or its row, to its agent's stream: in order, valued at the newest price.

The channel layer may lose messages; the events that a stream misses are read from the database.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

from positions import errors
from positions.books.snapshots import live
from realtime.hub.guard import guarded
from realtime.hub.latest_prices import LatestPrices
from realtime.hub.outbox import Event, Outbox
from realtime.hub.price_fan_out import PriceFanOut
from realtime.hub.queries import missed_events
from realtime.hub.token_index import TokenIndex
from realtime.monitoring.metrics import counts, seconds_since
from realtime.protocol import messages
from realtime.protocol.envelopes import EventMessage, read_event
from realtime.protocol.messages import PositionUpdate, PositionUpdateData

logger = logging.getLogger(__name__)

READ_SECONDS = 10.0
"""For one query of missed events; the reconciler finds what is left."""


class PositionEvents:
    """Sends events to `sockets`, the stream of each agent that is served here."""

    def __init__(
        self,
        sockets: Mapping[str, Outbox],
        index: TokenIndex[Outbox],
        prices: LatestPrices,
        fan_out: PriceFanOut,
        *,
        spawn: Callable[[Coroutine[Any, Any, None]], None],
    ) -> None:
        self._sockets = sockets
        self._index = index
        self._prices = prices
        self._fan_out = fan_out
        self._spawn = spawn
        self._behind: set[tuple[Outbox, str]] = set()
        """Those that are being caught up, and with which agent: a stream may move meanwhile."""

    async def receive(self, message: Mapping[str, Any]) -> None:
        """Handle a `position.event`: send it in order to the agent's socket, if that is here."""
        event = read_event(message)
        outbox = self._sockets.get(event.agent_id)
        if outbox is not None:
            await self._deliver(outbox, event)

    async def _deliver(self, outbox: Outbox, event: EventMessage) -> None:
        token = event.position["token_address"] if event.position else None
        if token is not None and not self._index.holders([token]):
            # The price known here may be old: only prices of held tokens are kept up to date. The source is not asked:
            # that may take seconds, and every other message waits behind this one.
            await self._fan_out.learn([token], ask_source=False)
        if outbox.agent_id == event.agent_id:  # else it has moved to another agent meanwhile
            outbox.event(self.as_sent(event))
            counts.event_seconds.observe(seconds_since(event.created_at))

    def as_sent(self, event: EventMessage) -> Event:
        """Return the event as a stream sends it, its position at the newest price that is known here."""
        token = event.position["token_address"] if event.position else None
        return Event(event.seq, self._event_text(event), event.position_id, token)

    def _event_text(self, event: EventMessage) -> str:
        data = PositionUpdateData(event_type=event.event_type, seq=event.seq, timestamp=event.created_at)
        if event.position is None:
            data.position_id = event.position_id
        else:
            data.position = live(
                event.position,
                self._prices.quote(event.position["token_address"]),
                sol_usd=self._prices.sol_usd,
            )
        return messages.encode(PositionUpdate(data))

    def catch_up(self, outbox: Outbox, upto: int = 0) -> None:
        """Read what is missing between the last event sent and those that have come, or number `upto`, and send it."""
        if (outbox, outbox.agent_id) not in self._behind:
            self._behind.add((outbox, outbox.agent_id))
            self._spawn(guarded(outbox, self._catch_up(outbox, outbox.agent_id, upto)))

    async def _catch_up(self, outbox: Outbox, agent_id: str, upto: int) -> None:
        try:
            while (
                not outbox.closed
                and outbox.agent_id == agent_id
                and outbox.seq is not None
                and (outbox.has_gap or outbox.seq < upto)
            ):
                after = outbox.seq
                async with asyncio.timeout(READ_SECONDS):
                    events = await missed_events(agent_id, after=after)
                if outbox.agent_id != agent_id or not events:
                    return  # moved; or what came ahead has a number that was never assigned
                if events[0].seq > after + 1 and outbox.seq == after:
                    outbox.lost()  # pruned: only a new snapshot helps
                    return
                counts.gaps_filled += 1
                counts.gap_events += len(events)
                for event in events:
                    await self._deliver(outbox, event)
        except (TimeoutError, *errors.DATABASE_UNAVAILABLE) as error:
            why = str(error) or f"no answer within {READ_SECONDS:g} s"
            logger.warning("agent %s: missed events could not be read; retrying: %s", agent_id, why)
        finally:
            self._behind.discard((outbox, agent_id))
