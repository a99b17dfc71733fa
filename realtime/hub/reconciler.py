"""Checks every few seconds, for all sockets of a process, what messages alone cannot guarantee.

Events that the channel layer lost are read from the database, sockets whose user may no longer watch are closed,
prices that were missed are read from the cache, clients get those that have become stale, and of two sockets of one
agent the older one is closed. Each of these steps costs one query or call for all sockets together, and has its own
task and deadline: a database that hangs does not delay the steps that do not need it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from functools import partial
from uuid import UUID

from positions import errors, valkey
from realtime.conf import conf
from realtime.hub.epochs import Epochs
from realtime.hub.outbox import Outbox
from realtime.hub.ownership import Ownership
from realtime.hub.position_events import PositionEvents
from realtime.hub.price_fan_out import PriceFanOut
from realtime.hub.queries import agent_states, living_families
from realtime.hub.sockets import Sockets
from realtime.hub.watchers import Watch, renew_places, watchers_full
from realtime.monitoring import outages
from realtime.monitoring.outages import Kind
from realtime.monitoring.tasks import Health, Work
from realtime.protocol.messages import CloseReason, ErrorCode

logger = logging.getLogger(__name__)

SOCKETS_PER_TURN = 2000
"""How many are compared before other tasks get a turn: some 0.5 µs each."""
DEADLINE_SECONDS = 10.0
"""For one round of a step. What it does not reach, the next round does."""
Unavailable = (*errors.DATABASE_UNAVAILABLE, *valkey.Unavailable)


class Reconciler:
    def __init__(
        self,
        sockets: Sockets,
        *,
        events: PositionEvents,
        fan_out: PriceFanOut,
        ownership: Ownership,
        epochs: Epochs,
        revoke: Callable[[Outbox], None],
        deadline_seconds: float = DEADLINE_SECONDS,
    ) -> None:
        self._sockets = sockets
        self._events = events
        self._fan_out = fan_out
        self._ownership = ownership
        self._epochs = epochs
        self._revoke = revoke
        self._interval_seconds: float = conf.RECONCILE_SECONDS
        self._deadline_seconds = deadline_seconds
        self.lasts_seconds = 3 * self._interval_seconds + deadline_seconds
        """How long a step counts as working after a round."""

    def loops(self) -> dict[str, Work]:
        """Return the endless work of each step, by name."""
        return {
            "reconcile_epoch": partial(self._repeat, "epoch", self.epoch),
            "reconcile_events": partial(self._repeat, "events", self.events_and_access),
            "reconcile_tokens": partial(self._repeat, "tokens", self.tokens),
            "reconcile_owners": partial(self._repeat, "owners", self.owners),
            "reconcile_prices": partial(self._repeat, "prices", self.prices),
        }

    async def _repeat(self, name: str, step: Callable[[], Awaitable[None]], health: Health) -> None:
        """Run a step at the interval in the settings. Ends when it is cancelled or the step raises."""
        kind: Kind = "valkey" if name in {"owners", "prices"} else "database"
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
                    logger.warning(
                        "reconciling %s failed; retrying: %s", name, why, extra=outages.field(kind)
                    )
                failing = True
            else:
                if failing:
                    logger.info("reconciling %s works again", name, extra=outages.field(kind))
                failing = False
                health.works(for_seconds=self.lasts_seconds)

    async def epoch(self) -> None:
        """Two queries: look whether the database has been restored."""
        await self._epochs.look()

    async def events_and_access(self) -> None:
        """One query: send streams the events they have missed, close those whose user may no longer watch the agent."""
        asked = [(outbox.agent_id, outbox, outbox.claim, outbox.seq) for outbox in self._sockets.each()]
        known = await agent_states(list(self._sockets.agents()))
        went_back: list[Outbox] = []
        for number, (agent_id, outbox, claim, seq) in enumerate(asked, start=1):
            if number % SOCKETS_PER_TURN == 0:
                await asyncio.sleep(0)
            if outbox not in self._sockets or outbox.agent_id != agent_id or outbox.claim != claim:
                continue  # it left during the query; a socket that replaced it has read the state since
            state = known[agent_id]
            if state is None or state.watcher_id != outbox.user_id:
                self._revoke(outbox)
            elif outbox.seq is not None and outbox.seq < state.seq:
                self._events.catch_up(outbox, upto=state.seq)
            elif seq is not None and seq == outbox.seq and seq > state.seq:
                went_back.append(outbox)
        if went_back:  # commits were lost, or an agent restored: what was sent is no longer so
            await self._epochs.went_back()
            for outbox in went_back:
                if outbox.seq is not None:
                    outbox.lost()

    async def tokens(self) -> None:
        """One query: close the sockets whose tokens have ended, or are no longer stored."""
        by_family: dict[UUID, list[Outbox]] = {}
        for outbox in self._sockets.each():
            if outbox.family_id is not None:
                by_family.setdefault(outbox.family_id, []).append(outbox)
        if by_family:
            for family_id in by_family.keys() - await living_families(list(by_family)):
                for outbox in by_family[family_id]:
                    if outbox.family_id == family_id:  # else it got a token of another one during the query
                        self._revoke(outbox)

    async def owners(self) -> None:
        """One call for 250 agents: close each socket whose agent has a newer one in another process.

        One more for 250 watchers: keep their places, and close those that have lost them.
        """
        owners = self._sockets.owners
        claims = {agent_id: outbox.claim for agent_id, outbox in owners.items() if outbox.seq is not None}
        for agent_id in await self._ownership.overruled(claims):
            outbox = owners.get(agent_id)
            if outbox is not None and outbox.claim == claims[agent_id]:
                outbox.close(CloseReason.REPLACED)
        places = {
            Watch(outbox.agent_id, outbox.user_id, outbox.claim): outbox
            for outbox in self._sockets.watchers()
        }
        for lost in await renew_places(places):
            outbox = places[lost]
            if outbox in self._sockets and outbox.claim == lost.place:
                outbox.refuse(CloseReason.TRY_LATER, ErrorCode.TRY_LATER, watchers_full())

    async def prices(self) -> None:
        """One MGET for a thousand tokens: send the prices whose batch was lost, and say which have become stale."""
        try:
            await self._fan_out.refresh()
        finally:  # above all where the cache is unavailable
            await self._fan_out.age()
