"""What messages alone cannot keep true, looked at every few seconds for all sockets of a process.

Events that the channel layer lost are read from the database, sockets whose user may no longer watch are closed,
prices that were missed are read from the cache, and of two sockets of one agent the older one ends. Each step costs
one query or call for all sockets together, and fails on its own: what is away now is asked again next time.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from uuid import UUID

from django.conf import settings

from positions import valkey
from realtime.hub import database
from realtime.hub.outbox import Outbox
from realtime.hub.ownership import Ownership
from realtime.hub.position_events import PositionEvents
from realtime.hub.price_fan_out import PriceFanOut
from realtime.hub.queries import ended_sessions, standings
from realtime.protocol.messages import CloseReason

logger = logging.getLogger(__name__)

Away = (*database.Unavailable, *valkey.Unavailable)


class Reconciler:
    def __init__(
        self,
        sockets: Mapping[str, Outbox],
        *,
        events: PositionEvents,
        fan_out: PriceFanOut,
        ownership: Ownership,
        revoke: Callable[[Outbox], None],
    ) -> None:
        self._sockets = sockets
        self._events = events
        self._fan_out = fan_out
        self._ownership = ownership
        self._revoke = revoke
        self._failing: set[str] = set()

    async def run(self) -> None:
        """Look for ever, at the interval that the settings give. Ends by cancellation only."""
        while True:
            await asyncio.sleep(settings.REALTIME["RECONCILE_SECONDS"])
            if self._sockets:
                await self._try(self.events_and_access)
                await self._try(self.sessions)
                await self._try(self.claims)
                await self._try(self.prices)

    async def _try(self, step: Callable[[], Awaitable[None]]) -> None:
        name = step.__name__
        try:
            await step()
        except Away as error:
            if name not in self._failing:  # once an outage, not once a round
                logger.warning(
                    "reconciling %s failed, and is tried again: %s", name, error or type(error).__name__
                )
            self._failing.add(name)
        except Exception:
            logger.exception("reconciling %s failed", name)
        else:
            if name in self._failing:
                logger.info("reconciling %s works again", name)
            self._failing.discard(name)

    async def events_and_access(self) -> None:
        """One query: how far each agent's events go, and who may watch it."""
        asked = [(agent_id, outbox, outbox.claim) for agent_id, outbox in self._sockets.items()]
        known = await standings([agent_id for agent_id, _, _ in asked])
        for agent_id, outbox, claim in asked:
            if self._sockets.get(agent_id) is not outbox or outbox.claim != claim:
                continue  # it left while the database was asked; whoever came instead has read this since
            standing = known[agent_id]
            if standing is None or standing.watcher_id != outbox.user_id:
                self._revoke(outbox)
            elif outbox.seq is not None and outbox.seq < standing.seq:
                self._events.catch_up(outbox, upto=standing.seq)

    async def sessions(self) -> None:
        """One query, none where only bots are connected: which browser sessions were logged out of."""
        by_session: dict[UUID, list[Outbox]] = {}
        for outbox in self._sockets.values():
            if outbox.session_id is not None:
                by_session.setdefault(outbox.session_id, []).append(outbox)
        if by_session:
            for session_id in await ended_sessions(list(by_session)):
                for outbox in by_session[session_id]:
                    if outbox.session_id == session_id:
                        self._revoke(outbox)

    async def claims(self) -> None:
        """One call: whether another process has a newer socket of one of these agents."""
        claims = {
            agent_id: outbox.claim for agent_id, outbox in self._sockets.items() if outbox.seq is not None
        }
        for agent_id in await self._ownership.overruled(claims):
            outbox = self._sockets.get(agent_id)
            if outbox is not None and outbox.claim == claims[agent_id]:
                outbox.close(CloseReason.REPLACED)

    async def prices(self) -> None:
        """One MGET for a thousand of the tokens held here: their prices, for batches that never came."""
        await self._fan_out.refresh()
