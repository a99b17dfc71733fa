"""From an event's message, or its row, to the stream of its agent: at the newest price, and in order.

The channel layer may lose a message; the rows are all there. Whoever is behind is healed from them.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

import msgspec

from positions.snapshots import live
from realtime import database, protocol
from realtime.delivery import Delivery, Event, TokenIndex
from realtime.fan_out import PriceFanOut
from realtime.layer import EventMessage
from realtime.metrics import counts, seconds_since
from realtime.price_book import PriceBook
from realtime.protocol import PositionUpdate, PositionUpdateData
from realtime.storage import missed_events

logger = logging.getLogger(__name__)


class PositionEvents:
    """Sends events to `sockets`, the stream of each agent that is served here."""

    def __init__(
        self,
        sockets: Mapping[str, Delivery],
        index: TokenIndex,
        prices: PriceBook,
        fan_out: PriceFanOut,
        *,
        spawn: Callable[[Coroutine[Any, Any, None]], None],
    ) -> None:
        self._sockets = sockets
        self._index = index
        self._prices = prices
        self._fan_out = fan_out
        self._spawn = spawn
        self._behind: set[Delivery] = set()
        """Those that are being healed."""

    async def receive(self, message: Mapping[str, Any]) -> None:
        """Take in a `position.event`: send it in its turn to the agent's socket, if that is here."""
        event = msgspec.convert(message, EventMessage)
        delivery = self._sockets.get(event.agent_id)
        if delivery is not None:
            await self._deliver(delivery, event)

    async def _deliver(self, delivery: Delivery, event: EventMessage) -> None:
        token = event.position["token_address"] if event.position else None
        if token is not None and not self._index.holders([token]):
            # News of it do not come here as long as nobody holds it. Not of the source: that may take seconds, and
            # every other message waits behind this one.
            await self._fan_out.learn([token], ask_source=False)
        if delivery.agent_id == event.agent_id:  # else it has moved to another agent meanwhile
            delivery.event(self.as_sent(event))
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
        return protocol.encode(PositionUpdate(data))

    def heal(self, delivery: Delivery, upto: int = 0) -> None:
        """Read what is missing between the last event sent and those that have come, or number `upto`, and send it."""
        if delivery not in self._behind:
            self._behind.add(delivery)
            self._spawn(self._heal(delivery, upto))

    async def _heal(self, delivery: Delivery, upto: int) -> None:
        agent_id = delivery.agent_id
        try:
            while (
                not delivery.closed and delivery.seq is not None and (delivery.has_gap or delivery.seq < upto)
            ):
                after = delivery.seq
                events = await missed_events(agent_id, after=after)
                if delivery.agent_id != agent_id or not events:
                    return  # moved; or what came ahead has a number that was never given
                if events[0].seq > after + 1 and delivery.seq == after:
                    delivery.lost()  # pruned: only a new snapshot helps
                    return
                counts.healed_gaps += 1
                counts.healed_events += len(events)
                for event in events:
                    await self._deliver(delivery, event)
        except database.Unavailable as error:
            logger.warning("agent %s: missed events not read, and asked for again: %s", agent_id, error)
        finally:
            self._behind.discard(delivery)
