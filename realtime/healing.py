"""What messages alone cannot keep true, looked at every few seconds for all sockets of a process.

Events that the channel layer lost are read from the database, sockets whose user may no longer watch are closed,
prices that were missed are read from the cache, and of two sockets of one agent the older one ends. Each step costs
one query or call for all sockets together, and fails on its own: what is away now is asked again next time.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING
from uuid import UUID

from django.conf import settings

from positions import valkey
from realtime import database
from realtime.protocol import CloseReason
from realtime.storage import ended_sessions, standings

if TYPE_CHECKING:
    from realtime.delivery import Delivery
    from realtime.hub import Hub

logger = logging.getLogger(__name__)

Away = (*database.Unavailable, *valkey.Unavailable)


class Healing:
    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._failing: set[str] = set()

    async def run(self) -> None:
        """Look for ever, at the interval that the settings give. Ends by cancellation only."""
        while True:
            await asyncio.sleep(settings.REALTIME["HEALING_SECONDS"])
            if self._hub.sockets:
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
                    "healing %s failed, and goes on trying: %s", name, error or type(error).__name__
                )
            self._failing.add(name)
        except Exception:
            logger.exception("healing %s failed", name)
        else:
            if name in self._failing:
                logger.info("healing %s works again", name)
            self._failing.discard(name)

    async def events_and_access(self) -> None:
        """One query: how far each agent's events go, and who may watch it."""
        known = await standings(list(self._hub.sockets))
        for agent_id, delivery in list(self._hub.sockets.items()):
            if agent_id not in known:
                continue  # came while we asked
            standing = known[agent_id]
            if standing is None or standing.watcher_id != delivery.user_id:
                self._hub.revoke(delivery)
            elif delivery.seq is not None and delivery.seq < standing.seq:
                self._hub.events.heal(delivery, upto=standing.seq)

    async def sessions(self) -> None:
        """One query, none where only bots are connected: which browser sessions were logged out of."""
        by_session: dict[UUID, list[Delivery]] = {}
        for delivery in self._hub.sockets.values():
            if delivery.session_id is not None:
                by_session.setdefault(delivery.session_id, []).append(delivery)
        if by_session:
            for session_id in await ended_sessions(list(by_session)):
                for delivery in by_session[session_id]:
                    if delivery.session_id == session_id:
                        self._hub.revoke(delivery)

    async def claims(self) -> None:
        """One call: whether another process has a newer socket of one of these agents."""
        claims = {
            agent_id: delivery.claim
            for agent_id, delivery in self._hub.sockets.items()
            if delivery.seq is not None
        }
        for agent_id in await self._hub.claims.overruled(claims):
            delivery = self._hub.sockets.get(agent_id)
            if delivery is not None and delivery.claim == claims[agent_id]:
                delivery.close(CloseReason.REPLACED)

    async def prices(self) -> None:
        """One MGET for a thousand of the tokens held here: their prices, for batches that never came."""
        await self._hub.fan_out.refresh()
