"""Joins and leaves agents' groups for the sockets of this process: those that do so at the same time, together.

A batch takes one script for the claims, one SUBSCRIBE for the groups, and one script that announces the claims. Each
socket then waits for its own claim to come back through its group: from then on, the group's messages arrive.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import NamedTuple

import redis
from channels.layers import get_channel_layer

from realtime.conf import conf
from realtime.hub.batches import Batches
from realtime.hub.listener import Listener
from realtime.hub.ownership import Ownership, Wish
from realtime.hub.watchers import Watch, release_place, take_places
from realtime.protocol.envelopes import ClaimMessage, claim_message
from realtime.protocol.messages import agent_group
from realtime.publish import groups

WAIT_SECONDS = (0.5, 1.0, 2.0, 4.0)
"""How long a socket waits for its claim to come back through the channel layer, each time that it announces it."""
OUTAGES = (redis.ConnectionError, redis.TimeoutError, redis.ReadOnlyError, OSError, TimeoutError)
"""What concerns all of a batch. Other errors of the server may be one member's: a key of another type."""
TRIES = 2
"""Of a batch: in a storm, a time-out is no outage yet."""


class NotJoined(Exception):
    """The channel layer did not confirm that it delivers this agent's messages here."""


class Member(NamedTuple):
    """A socket in its agent's group."""

    agent_id: str
    claim: int
    """Of a watcher, its place, negative: lower than every claim, it ends no socket."""


class Left(NamedTuple):
    """A socket that has left its agent."""

    agent_id: str
    claim: int
    watch: Watch | None


class Membership:
    """`is_served` returns whether a socket of this process has the agent. Raises valkey.Unavailable, all of it."""

    def __init__(
        self,
        ownership: Ownership,
        listener: Listener,
        *,
        is_served: Callable[[str], bool],
        in_crowd: Callable[[], bool] = lambda: False,
    ) -> None:
        self._ownership = ownership
        self._listener = listener
        self._is_served = is_served
        self._claims = Batches[Wish, int](ownership.take_all, outages=OUTAGES, tries=TRIES, in_crowd=in_crowd)
        self._places = Batches[Watch, int](take_places, outages=OUTAGES, tries=TRIES, in_crowd=in_crowd)
        self._joins = Batches[Member, None](self._join_all, outages=OUTAGES, tries=TRIES, in_crowd=in_crowd)
        self._leaves = Batches[Left, None](self._leave_all, outages=OUTAGES, tries=TRIES)
        self._waiting: dict[Member, asyncio.Future[None]] = {}

    async def claim(self, wish: Wish) -> int:
        """Return a claim on the agent, as `Ownership.take` does."""
        return await self._claims.ask(wish)

    async def place(self, watch: Watch) -> int:
        """Return the number of a watcher's place. Raises WatchersFull, TooManySockets."""
        return await self._places.ask(watch)

    async def join(self, member: Member) -> None:
        """Join the agent's group, announce the claim, and wait until it comes back through the group.

        (The Pub/Sub layer returns when the command is written, not when the server has executed it.)
        Raises NotJoined if it does not come back. Safe to cancel.
        """
        await self._listener.ready()
        received = self._waiting[member] = asyncio.get_running_loop().create_future()
        try:
            await self._joins.ask(member)
            for attempt, seconds in enumerate(WAIT_SECONDS):
                if attempt:
                    await self.announce(*member)
                if not received.done():
                    await asyncio.wait((received,), timeout=seconds)
                if received.done():
                    return
        finally:
            del self._waiting[member]
        raise NotJoined(f"the channel layer does not deliver the messages of agent {member.agent_id}")

    async def announce(self, agent_id: str, claim: int) -> None:
        """Announce a claim to the agent's group."""
        await get_channel_layer(conf.CHANNEL_LAYER).group_send(
            agent_group(agent_id), claim_message(agent_id, claim)
        )

    def received(self, message: ClaimMessage) -> None:
        """Note that a claim has come back through the group."""
        self._answer(Member(message.agent_id, message.claim))

    def _answer(self, member: Member) -> None:
        waiting = self._waiting.get(member)
        if waiting is not None and not waiting.done():
            waiting.set_result(None)

    async def leave(self, left: Left) -> None:
        """Release the claim or place, and leave the group unless another socket has joined meanwhile."""
        self._answer(Member(left.agent_id, left.claim if left.watch is None else -left.claim))
        await self._leaves.ask(left)

    async def _join_all(self, members: Sequence[Member]) -> list[Exception | None]:
        # Those that have left meanwhile would not leave once more.
        served = [member for member in members if self._is_served(member.agent_id)]
        for gone in {*members}.difference(served):
            self._answer(gone)
        await self._listener.join([agent_group(member.agent_id) for member in served])
        await groups.send(
            get_channel_layer(conf.CHANNEL_LAYER),
            [(agent_group(agent_id), claim_message(agent_id, claim)) for agent_id, claim in served],
        )
        return [None] * len(members)

    async def _leave_all(self, left: Sequence[Left]) -> list[Exception | None]:
        gone = {each.agent_id for each in left if not self._is_served(each.agent_id)}
        await self._listener.leave([agent_group(agent_id) for agent_id in gone])
        await self._ownership.release(*((each.agent_id, each.claim) for each in left if each.watch is None))
        for each in left:
            if each.watch is not None:
                await release_place(each.watch)
        return [None] * len(left)
