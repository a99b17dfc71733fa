"""Sends each event, from its message or its row, to its agent's stream: in order, valued at the newest price.

The channel layer may lose messages; the events that a stream misses are read from the database.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection, Coroutine, Mapping
from typing import Any

from positions import errors
from positions.books.live import live
from realtime.hub.guard import all_guarded
from realtime.hub.latest_prices import LatestPrices
from realtime.hub.outbox import Event, Outbox
from realtime.hub.price_fan_out import PriceFanOut
from realtime.hub.queries import missed_events
from realtime.hub.sockets import Sockets
from realtime.hub.token_index import TokenIndex
from realtime.monitoring import outages
from realtime.monitoring.metrics import counts, seconds_since
from realtime.protocol import messages
from realtime.protocol.envelopes import EventMessage, read_event
from realtime.protocol.messages import PositionUpdate, PositionUpdateData

logger = logging.getLogger(__name__)

EVENTS_PER_TURN = 20
"""How many missed events are sent before other tasks get a turn: some 0.1 ms each."""
READ_SECONDS = 10.0
"""For one query of missed events; the reconciler finds what is left."""


class PositionEvents:
    """Sends events to the streams of their agent that are in `sockets`: each is encoded once for all of them."""

    def __init__(
        self,
        sockets: Sockets,
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
        self._behind: dict[str, dict[Outbox, int]] = {}
        """For each agent whose streams are being caught up, up to which number each of them at least."""

    async def receive(self, message: Mapping[str, Any]) -> None:
        """Handle a `position.event`: send it in order to the agent's sockets that are here."""
        event = read_event(message)
        if self._sockets.of(event.agent_id):
            await self._learn_price(event)
            self._send(event, self._sockets.of(event.agent_id))

    async def _learn_price(self, event: EventMessage) -> None:
        token = event.position["token_address"] if event.position else None
        if token is not None and not self._index.holders([token]):
            # The price known here may be old: only prices of held tokens are kept up to date. The source is not asked:
            # that may take seconds, and every other message waits behind this one.
            await self._fan_out.learn([token], ask_source=False)

    def _send(self, event: EventMessage, outboxes: Collection[Outbox]) -> None:
        """Send the event to those of these streams that are still of its agent."""
        there = [outbox for outbox in outboxes if outbox.agent_id == event.agent_id]
        if there:
            sent = self.as_sent(event)
            for outbox in there:
                outbox.event(sent)
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
            data.position = live(  # type: ignore[assignment]  # its key is added once it is encoded
                event.position,
                self._prices.quote(event.position["token_address"]),
                sol_usd=self._prices.sol_usd,
            )
        return messages.encode(PositionUpdate(data))

    def catch_up(self, outbox: Outbox, upto: int = 0) -> None:
        """Read what is missing between the last event sent and those that have come, or number `upto`, and send it.

        Once for all streams of the agent that miss the same.
        """
        behind = self._behind.get(outbox.agent_id)
        if behind is not None:
            behind[outbox] = max(upto, behind.get(outbox, 0))
            return
        self._behind[outbox.agent_id] = behind = {outbox: upto}
        self._spawn(all_guarded(behind, self._catch_up(outbox.agent_id, behind)))

    async def _catch_up(self, agent_id: str, behind: dict[Outbox, int]) -> None:
        try:
            while asked := _still_behind(agent_id, behind):
                after = min(asked.values())
                async with asyncio.timeout(READ_SECONDS):
                    events = await missed_events(agent_id, after=after)
                for outbox, seq in asked.items():
                    is_as_before = outbox.seq == seq and outbox.agent_id == agent_id
                    if is_as_before and seq < (events[0].seq - 1 if events else behind[outbox]):
                        outbox.lost()  # pruned, or left out by `recording.start_over`: only a new snapshot helps
                if not events:
                    return  # what came ahead has a number that was never assigned
                counts.gaps_filled += 1
                counts.gap_events += len(events)
                for number, event in enumerate(events, start=1):
                    await self._learn_price(event)
                    self._send(event, [outbox for outbox in asked if outbox.seq is not None])
                    if number % EVENTS_PER_TURN == 0:
                        await asyncio.sleep(0)
        except (TimeoutError, *errors.DATABASE_UNAVAILABLE) as error:
            why = str(error) or f"no answer within {READ_SECONDS:g} s"
            logger.warning(
                "agent %s: missed events could not be read; retrying: %s",
                agent_id,
                why,
                extra=outages.field("database"),
            )
        finally:
            del self._behind[agent_id]


def _still_behind(agent_id: str, behind: dict[Outbox, int]) -> dict[Outbox, int]:
    """Return the streams that miss events, and the last event that each has; drop the others from `behind`."""
    asked = {}
    for outbox, upto in list(behind.items()):
        seq = None if outbox.closed or outbox.agent_id != agent_id else outbox.seq
        if seq is not None and (outbox.has_gap or seq < upto):
            asked[outbox] = seq
        else:
            del behind[outbox]
    return asked
