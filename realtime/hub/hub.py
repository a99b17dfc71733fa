"""One per server process: its sockets, and which of them a message concerns.

The members of every group are hubs, not sockets: a batch of prices reaches a process once, however many sockets it
serves, and each token's fragment is encoded once. A message's path: `Listener` → `PriceRounds` → `PriceFanOut`, or
`PositionEvents` → `Outbox`.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import uuid
import weakref
from collections.abc import Mapping
from functools import partial
from typing import Any
from uuid import UUID

import msgspec

from positions import valkey
from realtime.conf import conf
from realtime.hub.arrivals import Arrivals
from realtime.hub.epochs import Epochs
from realtime.hub.garbage import Garbage
from realtime.hub.guard import guarded
from realtime.hub.latest_prices import LatestPrices
from realtime.hub.listener import READY_SECONDS, Handler, Listener
from realtime.hub.membership import Left, Member, Membership
from realtime.hub.outbox import Outbox
from realtime.hub.ownership import Ownership, Wish
from realtime.hub.position_events import PositionEvents
from realtime.hub.presence import Presence
from realtime.hub.price_fan_out import PriceFanOut
from realtime.hub.price_groups import PriceGroups
from realtime.hub.price_rounds import PriceRounds
from realtime.hub.probe import Probe
from realtime.hub.queries import may_watch
from realtime.hub.reconciler import SOCKETS_PER_TURN, Reconciler
from realtime.hub.shared_snapshots import SharedSnapshots
from realtime.hub.shares import Shares
from realtime.hub.sockets import Sockets
from realtime.hub.token_index import TokenIndex
from realtime.hub.turns import turns
from realtime.hub.watchers import Watch, new_place
from realtime.monitoring.metrics import counts
from realtime.monitoring.metrics_report import Reporter
from realtime.monitoring.tasks import Tasks
from realtime.protocol.envelopes import AccessMessage, ClaimMessage, DisconnectMessage
from realtime.protocol.messages import CloseReason, ErrorCode, agent_group

logger = logging.getLogger(__name__)


class Hub:
    """The sockets of this process, and everything that serves them."""

    def __init__(self) -> None:
        self.id = uuid.uuid4().hex
        self.tasks = Tasks()
        self.spawn = self.tasks.spawn
        self.sockets = Sockets()
        self.index = TokenIndex[Outbox]()
        self.prices = LatestPrices()
        self.snapshots = SharedSnapshots(self.prices)
        self.turns = turns()
        """In which starts of sockets, and long work for streams, take turns with everything else."""

        def in_crowd() -> bool:
            return self.turns.is_crowded

        self.price_groups = PriceGroups(
            self.id, held=self.index.tokens, read=lambda tokens: self.fan_out.read(tokens)
        )
        self.fan_out = PriceFanOut(self.prices, self.index, need=self.price_groups.need, in_crowd=in_crowd)
        send_round = Garbage(in_crowd, lambda: len(self.shares.sockets)).after(self.fan_out.batch)
        self._rounds = PriceRounds(send_round, self.price_groups, spawn=self.spawn)
        self.events = PositionEvents(self.sockets, self.index, self.prices, self.fan_out, spawn=self.spawn)
        self.shares = Shares()
        """What each user takes of this process; every connection is counted there."""
        self.arrivals = Arrivals(in_crowd)
        """What sockets that start ask for, together."""
        self.ownership = Ownership()
        self.epochs = Epochs(lambda: self.spawn(self._start_all_over()))
        self._presence = Presence(self.id)
        self._reconciler = Reconciler(
            self.sockets,
            events=self.events,
            fan_out=self.fan_out,
            ownership=self.ownership,
            epochs=self.epochs,
            revoke=self.revoke,
        )
        self.reporter = Reporter("server", self._measure)
        handlers: dict[str, Handler] = {
            "price.batch": self._rounds.batch,
            "price.layout": self._rounds.layout,
            "price.joined": self.price_groups.joined,
            "position.event": self.events.receive,
            "access.changed": self._access_changed,
            "socket.disconnect": self._disconnect,
            "watchers.disconnect": self._disconnect_watchers,
            "socket.claimed": self._socket_claimed,
        }
        self._probe = Probe()
        self._listener = Listener(
            handlers,
            groups=lambda: [*self.price_groups.names(), *map(agent_group, self.sockets.agents())],
            probe=self._probe,
        )
        self._membership = Membership(
            self.ownership,
            self._listener,
            is_served=lambda agent_id: bool(self.sockets.of(agent_id)),
            in_crowd=in_crowd,
        )

    def start(self) -> None:
        report_seconds = 3 * conf.PRESENCE_SECONDS
        self.tasks.keep_running("listener", self._listener.run, grace_seconds=READY_SECONDS)
        self.tasks.keep_running("subscription", self._probe.run, grace_seconds=report_seconds)
        self.tasks.keep_running("presence", self._presence.run, grace_seconds=report_seconds)
        self.tasks.keep_running("metrics", self.reporter.run, grace_seconds=report_seconds)
        self.tasks.keep_running(
            "price_groups", partial(self.price_groups.run, self._listener), grace_seconds=READY_SECONDS
        )
        for name, run in self._reconciler.loops().items():
            self.tasks.keep_running(name, run, grace_seconds=self._reconciler.lasts_seconds)

    async def close(self) -> None:
        """End, once the sockets are gone: release their claims, and remove this process from the presence list.

        Otherwise other processes see these entries until they expire. Safe to cancel.
        """
        await self.tasks.stop(self.tasks.checks().keys() - {"listener"})
        try:
            await self._presence.leave()
            await self.reporter.leave()
        except valkey.Unavailable as error:
            logger.warning("this process could not be removed from the presence list: %s", error)
        await self.tasks.spawned()
        await self.tasks.stop(["listener"])

    def _measure(self) -> None:
        """Measure all sockets of this process: how many there are, and how much is queued for them."""
        self.shares.forget_unused()
        waiting = [outbox.waiting for outbox in self.shares.sockets]
        counts.gauges["nexgent_sockets"] = len(waiting)
        counts.gauges["nexgent_watchers"] = sum(1 for _ in self.sockets.watchers())
        counts.gauges["nexgent_slow_sockets"] = sum(count is not None for count in waiting)
        counts.gauges["nexgent_outbox_messages"] = sum(count or 0 for count in waiting)
        counts.gauges["nexgent_outbox_bytes"] = self.shares.unsent_bytes
        counts.gauges["nexgent_outbox_deepest"] = max((count or 0 for count in waiting), default=0)

    # Joining and leaving

    async def join(self, outbox: Outbox) -> None:
        """Make this a socket of its agent, across all processes; from now on the agent's events collect in `outbox`.

        Returns once the channel layer is known to deliver the agent's messages here: a snapshot read after that
        misses nothing. Raises NotJoined, or what the channel layer raises, if it does not; TooManySockets if the user
        has too many, WatchersFull if the agent has too many that watch. Of two sockets that own it the older one is
        closed, here at once and elsewhere when the claim arrives. Safe to cancel; `leave` undoes all of it.
        """
        agent_id, left, outbox.left = outbox.agent_id, outbox.left, None
        if outbox.watches:
            outbox.claim = await self._membership.place(Watch(agent_id, outbox.user_id, new_place(), left))
        else:
            outbox.claim = await self._membership.claim(Wish(agent_id, outbox.user_id, left))
        if outbox.closed:  # meanwhile; its claim must not end the agent's socket elsewhere
            self.spawn(self._leave_group(outbox, agent_id, outbox.claim))
            return
        older = None if outbox.watches else self.sockets.owners.get(agent_id)
        if older is not None and older is not outbox:
            if older.claim > outbox.claim:  # its claim was taken later than ours
                outbox.close(CloseReason.REPLACED)
                return
            older.close(CloseReason.REPLACED)  # leaves: see `leave`
        self.sockets.add(outbox)
        self._presence.add(outbox.member)
        # A watcher's number is negative on the way: lower than every claim, it ends no socket.
        await self._membership.join(Member(agent_id, -outbox.claim if outbox.watches else outbox.claim))

    def serves(self, outbox: Outbox) -> bool:
        """Return whether this is a socket of its agent here."""
        return outbox in self.sockets

    def leave(self, outbox: Outbox) -> None:
        """Forget a socket, unless a newer one of the agent has replaced it."""
        if not self.serves(outbox):
            return
        self.sockets.remove(outbox)
        self._presence.remove(outbox.member)
        self.spawn(self._leave_group(outbox, outbox.agent_id, outbox.claim))

    async def _leave_group(self, outbox: Outbox, agent_id: str, claim: int) -> None:
        # The socket may own or watch another agent by the time that this is done.
        watch = Watch(agent_id, outbox.user_id, claim) if outbox.watches else None
        try:
            await self._membership.leave(Left(agent_id, claim, watch))
        except valkey.Unavailable as error:
            logger.warning("agent %s: its group could not be left: %s", agent_id, error)

    async def _start_all_over(self) -> None:
        for number, outbox in enumerate(self.sockets.each(), start=1):
            if number % SOCKETS_PER_TURN == 0:
                await asyncio.sleep(0)
            if outbox.seq is not None:  # else it has not begun, and reads what there is now
                outbox.lost()

    def revoke(self, outbox: Outbox) -> None:
        """End a socket whose user may not watch its agent any more."""
        outbox.refuse(
            CloseReason.ACCESS_REVOKED, ErrorCode.ACCESS_REVOKED, "access to this agent was revoked"
        )

    # Messages

    async def _disconnect(self, message: Mapping[str, Any]) -> None:
        owner = self.sockets.owners.get(msgspec.convert(message, DisconnectMessage).agent_id)
        if owner is not None:
            owner.close(CloseReason.TRY_LATER)

    async def _disconnect_watchers(self, message: Mapping[str, Any]) -> None:
        for outbox in self.sockets.of(msgspec.convert(message, DisconnectMessage).agent_id):
            if outbox.watches:
                outbox.close(CloseReason.TRY_LATER)

    async def _access_changed(self, message: Mapping[str, Any]) -> None:
        for outbox in self.sockets.of(msgspec.convert(message, AccessMessage).agent_id):
            self.spawn(guarded(outbox, self._check_access(outbox)))

    async def _check_access(self, outbox: Outbox) -> None:
        """End a socket if its user may not watch the agent any more.

        The answer is for the agent and the tokens that were asked about. A socket that has switched to another agent
        meanwhile is left alone, since its start checks access; for one with a token of another family it asks again.
        """
        agent_id, claim = UUID(outbox.agent_id), outbox.claim
        while self.serves(outbox) and outbox.claim == claim:
            family_id = outbox.family_id
            allowed = await may_watch(outbox.user_id, agent_id, family_id)
            if outbox.family_id == family_id:
                if not allowed and self.serves(outbox) and outbox.claim == claim:
                    self.revoke(outbox)
                return

    async def _socket_claimed(self, message: Mapping[str, Any]) -> None:
        claimed = msgspec.convert(message, ClaimMessage)
        self._membership.received(claimed)
        outbox = self.sockets.owners.get(claimed.agent_id)
        if outbox is not None and outbox.claim < claimed.claim:
            outbox.close(CloseReason.REPLACED)
        elif outbox is not None and outbox.claim > claimed.claim > 0:  # not a watcher's
            # It joined before our claim reached it.
            self.spawn(self._announce(claimed.agent_id, outbox.claim))

    async def _announce(self, agent_id: str, claim: int) -> None:
        with contextlib.suppress(*valkey.Unavailable):  # the reconciler checks it as well
            await self._membership.announce(agent_id, claim)


_hubs: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, Hub] = weakref.WeakKeyDictionary()


def get_hub() -> Hub:
    """Return the running event loop's hub; the first call starts it."""
    loop = asyncio.get_running_loop()
    hub = _hubs.get(loop)
    if hub is None:
        hub = _hubs[loop] = Hub()
        hub.start()
    return hub


def running_hub() -> Hub | None:
    """Return the running event loop's hub, if it has one."""
    return _hubs.get(asyncio.get_running_loop())


async def close_hub() -> None:
    """End the running event loop's hub, if it has one."""
    hub = running_hub()
    if hub is not None:
        await hub.close()
