"""What sockets that start ask for, answered together for all that start at the same time (batches.py)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, NamedTuple
from uuid import UUID

from positions.accounts.identity import Identity, Refused, identify_all
from positions.errors import DATABASE_UNAVAILABLE
from realtime.hub import missed
from realtime.hub.batches import Batches
from realtime.hub.database import in_database_thread
from realtime.hub.holdings import Asked, Holdings, TooMany, few_holdings, holdings
from realtime.hub.missed import Gap, Stored
from realtime.hub.queries import watchable

Turn = Callable[[], AbstractAsyncContextManager[None]]


class Newcomer(NamedTuple):
    """A socket that wants to watch an agent: the claims of its verified token, and the agent, if it names one."""

    claims: Mapping[str, Any]
    agent_id: UUID | None


class Admitted(NamedTuple):
    identity: Identity
    may_watch: bool
    """Whether its user owns the agent, and is active."""


class Arrivals:
    """Safe to cancel, all of it. Raises what the database raises."""

    def __init__(self, in_crowd: Callable[[], bool]) -> None:
        outages = DATABASE_UNAVAILABLE
        self._admissions = Batches[Newcomer, Admitted](
            in_database_thread(admit), outages=outages, in_crowd=in_crowd
        )
        self._holdings = Batches[Asked, Holdings | None](few_holdings, outages=outages, in_crowd=in_crowd)
        self._events = Batches[Gap, list[Stored]](missed.events, outages=outages, in_crowd=in_crowd)

    async def admit(self, newcomer: Newcomer) -> Admitted:
        """Return whom the token speaks for, and whether that user may watch the agent. Raises identity.Refused."""
        return await self._admissions.ask(newcomer)

    async def holdings(self, asked: Asked, large: Turn) -> Holdings | None:
        """Return what `holdings.read_holdings` does: what is long by itself, and in a `large` turn."""
        try:
            return await self._holdings.ask(asked)
        except TooMany:
            async with large():
                return await holdings(*asked)

    async def events(self, gap: Gap, large: Turn) -> list[Stored]:
        """Return the events of a gap that are stored, in order; many by themselves, as above."""
        if gap.upto - gap.after <= missed.FEW:
            return await self._events.ask(gap)
        async with large():
            return (await missed.events([gap]))[0]


def admit(newcomers: Sequence[Newcomer]) -> list[Admitted | Refused]:
    """Return for each whom its token speaks for, and whether that user may watch the agent. Two statements."""
    identities = identify_all([each.claims for each in newcomers])
    watchable = _watchable(identities, [each.agent_id for each in newcomers])
    return [
        identity if isinstance(identity, Refused) else Admitted(identity, may_watch)
        for identity, may_watch in zip(identities, watchable, strict=True)
    ]


def _watchable(identities: Sequence[Identity | Refused], agent_ids: Sequence[UUID | None]) -> list[bool]:
    users = [None if isinstance(identity, Refused) else identity.user.pk for identity in identities]
    asked = [
        (user_id, agent_id)
        for user_id, agent_id in zip(users, agent_ids, strict=True)
        if user_id is not None and agent_id is not None
    ]
    found = watchable(asked)
    return [pair in found for pair in zip(users, agent_ids, strict=True)]
