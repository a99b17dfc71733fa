"""Checks every few seconds, for all sockets of a process, what messages alone cannot guarantee.

Events that the channel layer lost are read from the database, sockets whose user may no longer watch are closed,
prices that were missed are read from the cache, clients get those that have become stale, and of two sockets of one
agent the older one is closed. Each of these steps costs one query or call for all sockets together, and has its own
task and deadline: a database that hangs does not delay the steps that do not need it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from uuid import UUID

from django.conf import settings

from positions import errors, valkey
from realtime.hub.outbox import Outbox
from realtime.hub.ownership import Ownership
from realtime.hub.position_events import PositionEvents
from realtime.hub.price_fan_out import PriceFanOut
from realtime.hub.queries import agent_states, ended_sessions
from realtime.monitoring.tasks import Health, Work
from realtime.protocol.messages import CloseReason

logger = logging.getLogger(__name__)

DEADLINE_SECONDS = 10.0
"""For one round of a step. What it does not reach, the next round does."""
Unavailable = (*errors.DATABASE_UNAVAILABLE, *valkey.Unavailable)


class Reconciler:
    def __init__(
        self,
        sockets: Mapping[str, Outbox],
        *,
        events: PositionEvents,
        fan_out: PriceFanOut,
        ownership: Ownership,
        revoke: Callable[[Outbox], None],
        deadline_seconds: float = DEADLINE_SECONDS,
    ) -> None:
        self._sockets = sockets
        self._events = events
        self._fan_out = fan_out
        self._ownership = ownership
        self._revoke = revoke
        self._interval_seconds: float = settings.REALTIME["RECONCILE_SECONDS"]
        self._deadline_seconds = deadline_seconds
        self.lasts_seconds = 3 * self._interval_seconds + deadline_seconds
        """How long a step counts as working after a round."""

    def loops(self) -> dict[str, Work]:
        """Return the endless work of each step, by name."""
        return {
            "reconcile_events": partial(self._repeat, "events", self.events_and_access),
            "reconcile_sessions": partial(self._repeat, "sessions", self.sessions),
            "reconcile_owners": partial(self._repeat, "owners", self.owners),
            "reconcile_prices": partial(self._repeat, "prices", self.prices),
        }

    async def _repeat(self, name: str, step: Callable[[], Awaitable[None]], health: Health) -> None:
        """Run a step at the interval in the settings. Ends when it is cancelled or the step raises."""
        failing = False
        while True:
            await asyncio.sleep(self._interval_seconds)
            try:
                async with asyncio.timeout(self._deadline_seconds) as deadline:
                    if self._sockets:
                        await step()
            except Unavailable as error:
                if not failing:  # once an outage, not once a round
                    why = str(error) or type(error).__name__
                    if deadline.expired():
                        why = f"not done within {self._deadline_seconds:g} s"
                    logger.warning("reconciling %s failed; retrying: %s", name, why)
                failing = True
            else:
                if failing:
                    logger.info("reconciling %s works again", name)
                failing = False
                health.works(for_seconds=self.lasts_seconds)

    async def events_and_access(self) -> None:
        """One query: send streams the events they have missed, close those whose user may no longer watch the agent."""
        asked = [(agent_id, outbox, outbox.claim) for agent_id, outbox in self._sockets.items()]
        known = await agent_states([agent_id for agent_id, _, _ in asked])
        for agent_id, outbox, claim in asked:
            if self._sockets.get(agent_id) is not outbox or outbox.claim != claim:
                continue  # it left during the query; a socket that replaced it has read the state since
            state = known[agent_id]
            if state is None or state.watcher_id != outbox.user_id:
                self._revoke(outbox)
            elif outbox.seq is not None and outbox.seq < state.seq:
                self._events.catch_up(outbox, upto=state.seq)

    async def sessions(self) -> None:
        """One query, or none if only bots are connected: close the sockets of sessions that were logged out of."""
        by_session: dict[UUID, list[Outbox]] = {}
        for outbox in self._sockets.values():
            if outbox.session_id is not None:
                by_session.setdefault(outbox.session_id, []).append(outbox)
        if by_session:
            for session_id in await ended_sessions(list(by_session)):
                for outbox in by_session[session_id]:
                    if outbox.session_id == session_id:
                        self._revoke(outbox)

    async def owners(self) -> None:
        """One call for a thousand agents: close each socket whose agent has a newer one in another process."""
        claims = {
            agent_id: outbox.claim for agent_id, outbox in self._sockets.items() if outbox.seq is not None
        }
        for agent_id in await self._ownership.overruled(claims):
            outbox = self._sockets.get(agent_id)
            if outbox is not None and outbox.claim == claims[agent_id]:
                outbox.close(CloseReason.REPLACED)

    async def prices(self) -> None:
        """One MGET for a thousand tokens: send the prices whose batch was lost, and say which have become stale."""
        try:
            await self._fan_out.refresh()
        finally:  # above all where the cache is unavailable
            await self._fan_out.age()
