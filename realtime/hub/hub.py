"""One per server process: its sockets, and which of them a message concerns.

The members of every group are hubs, not sockets: a batch of prices reaches a process once, however many sockets it
serves, and each token's fragment is encoded once. A message's path: `Listener` → `PriceFanOut.batch` or
`PositionEvents.receive` → `Outbox`.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
import uuid
import weakref
from collections.abc import Mapping
from typing import Any
from uuid import UUID

import msgspec
from django.conf import settings

from positions import valkey
from realtime.hub.guard import guarded
from realtime.hub.latest_prices import LatestPrices
from realtime.hub.listener import READY_SECONDS, Handler, Listener
from realtime.hub.outbox import Outbox
from realtime.hub.ownership import Ownership
from realtime.hub.position_events import PositionEvents
from realtime.hub.presence import Presence
from realtime.hub.price_fan_out import PriceFanOut
from realtime.hub.queries import may_watch
from realtime.hub.reconciler import Reconciler
from realtime.hub.token_bucket import TokenBucket
from realtime.hub.token_index import TokenIndex
from realtime.monitoring.metrics import counts
from realtime.monitoring.metrics_report import Reporter
from realtime.monitoring.tasks import Tasks
from realtime.protocol.envelopes import AccessMessage, ClaimMessage, DisconnectMessage
from realtime.protocol.messages import PRICES_GROUP, CloseReason, ErrorCode, agent_group

logger = logging.getLogger(__name__)


class Hub:
    """The sockets of this process, and everything that serves them."""

    def __init__(self) -> None:
        self.id = uuid.uuid4().hex
        self.tasks = Tasks()
        self.spawn = self.tasks.spawn
        self.sockets: dict[str, Outbox] = {}
        """The socket of each agent that is served here."""
        self.index = TokenIndex[Outbox]()
        self.prices = LatestPrices()
        self.fan_out = PriceFanOut(self.prices, self.index)
        self.events = PositionEvents(self.sockets, self.index, self.prices, self.fan_out, spawn=self.spawn)
        self._open: set[Outbox] = set()
        self._arrivals = TokenBucket(
            settings.REALTIME["CONNECTS_PER_SECOND"], settings.REALTIME["CONNECT_BURST"]
        )
        self.ownership = Ownership()
        self._presence = Presence(self.id)
        self._reconciler = Reconciler(
            self.sockets,
            events=self.events,
            fan_out=self.fan_out,
            ownership=self.ownership,
            revoke=self.revoke,
        )
        self.reporter = Reporter("server", self._measure)
        handlers: dict[str, Handler] = {
            "price.batch": self.fan_out.batch,
            "position.event": self.events.receive,
            "access.changed": self._access_changed,
            "socket.disconnect": self._disconnect,
            "socket.claimed": self._socket_claimed,
        }
        self._listener = Listener(handlers, groups=lambda: [PRICES_GROUP, *map(agent_group, self.sockets)])

    def start(self) -> None:
        report_seconds = 3 * settings.REALTIME["PRESENCE_SECONDS"]
        self.tasks.keep_running("listener", self._listener.run, grace_seconds=READY_SECONDS)
        self.tasks.keep_running("presence", self._presence.run, grace_seconds=report_seconds)
        self.tasks.keep_running("metrics", self.reporter.run, grace_seconds=report_seconds)
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
        waiting = [outbox.waiting for outbox in self._open]
        counts.gauges["nexgent_sockets"] = len(waiting)
        counts.gauges["nexgent_slow_sockets"] = sum(count is not None for count in waiting)
        counts.gauges["nexgent_outbox_messages"] = sum(count or 0 for count in waiting)
        counts.gauges["nexgent_outbox_deepest"] = max((count or 0 for count in waiting), default=0)

    # Joining and leaving

    def admit(self, outbox: Outbox) -> bool:
        """Count a new connection; return False at capacity, or if too many connect at once."""
        if len(self._open) >= settings.REALTIME["MAX_SOCKETS"] or not self._arrivals.take(time.monotonic()):
            return False
        self._open.add(outbox)
        return True

    def dismiss(self, outbox: Outbox) -> None:
        """Stop counting a connection: it is gone."""
        self._open.discard(outbox)

    async def join(self, outbox: Outbox) -> None:
        """Make this the agent's socket, across all processes; from now on its events collect in `outbox`.

        Returns once the channel layer is known to deliver the agent's messages here: a snapshot read after that
        misses nothing. Raises NotJoined, or what the channel layer raises, if it does not. An older socket of the
        agent is closed, here at once and elsewhere when the claim arrives. Safe to cancel; `leave` undoes all of it.
        """
        agent_id = outbox.agent_id
        outbox.claim = await self.ownership.take(agent_id)
        if outbox.closed:  # meanwhile; its claim must not end the agent's socket elsewhere
            self.spawn(self._leave_group(agent_id, outbox.claim))
            return
        older = self.sockets.get(agent_id)
        if older is not None and older is not outbox:
            if older.claim > outbox.claim:  # its claim was taken later than ours
                outbox.close(CloseReason.REPLACED)
                return
            older.close(CloseReason.REPLACED)  # leaves: see `leave`
        self.sockets[agent_id] = outbox
        self._presence.add(agent_id)
        await self._listener.ready()
        if not self.serves(outbox):  # it was closed meanwhile, and its group left
            return
        await self._listener.join(agent_group(agent_id))
        if self.serves(outbox):
            await self.ownership.confirm(agent_id, outbox.claim)

    def serves(self, outbox: Outbox) -> bool:
        """Return whether this is the socket of its agent here."""
        return self.sockets.get(outbox.agent_id) is outbox

    def leave(self, outbox: Outbox) -> None:
        """Forget a socket, unless a newer one of the agent has replaced it."""
        if not self.serves(outbox):
            return
        del self.sockets[outbox.agent_id]
        self._presence.remove(outbox.agent_id)
        self.spawn(self._leave_group(outbox.agent_id, outbox.claim))

    async def _leave_group(self, agent_id: str, claim: int) -> None:
        try:
            if agent_id not in self.sockets:  # else a newer socket has joined meanwhile
                await self._listener.leave(agent_group(agent_id))
            await self.ownership.release(agent_id, claim)
        except valkey.Unavailable as error:
            logger.warning("agent %s: its group could not be left: %s", agent_id, error)

    def revoke(self, outbox: Outbox) -> None:
        """End a socket whose user may not watch its agent any more."""
        outbox.refuse(
            CloseReason.ACCESS_REVOKED, ErrorCode.ACCESS_REVOKED, "access to this agent was revoked"
        )

    # Messages

    async def _disconnect(self, message: Mapping[str, Any]) -> None:
        outbox = self.sockets.get(msgspec.convert(message, DisconnectMessage).agent_id)
        if outbox is not None:
            outbox.close(CloseReason.TRY_LATER)

    async def _access_changed(self, message: Mapping[str, Any]) -> None:
        outbox = self.sockets.get(msgspec.convert(message, AccessMessage).agent_id)
        if outbox is not None:
            self.spawn(guarded(outbox, self._check_access(outbox)))

    async def _check_access(self, outbox: Outbox) -> None:
        """End a socket if its user may not watch the agent any more.

        The answer is for the agent and the session that were asked about. A socket that has switched to another agent
        meanwhile is left alone, since its start checks access; for one with a token of another session it asks again.
        """
        agent_id, claim = UUID(outbox.agent_id), outbox.claim
        while self.serves(outbox) and outbox.claim == claim:
            session_id = outbox.session_id
            allowed = await may_watch(outbox.user_id, agent_id, session_id)
            if outbox.session_id == session_id:
                if not allowed and self.serves(outbox) and outbox.claim == claim:
                    self.revoke(outbox)
                return

    async def _socket_claimed(self, message: Mapping[str, Any]) -> None:
        claimed = msgspec.convert(message, ClaimMessage)
        self.ownership.received(claimed)
        outbox = self.sockets.get(claimed.agent_id)
        if outbox is not None and outbox.claim < claimed.claim:
            outbox.close(CloseReason.REPLACED)
        elif outbox is not None and outbox.claim > claimed.claim:
            # It joined before our claim reached it.
            self.spawn(self._announce(claimed.agent_id, outbox.claim))

    async def _announce(self, agent_id: str, claim: int) -> None:
        with contextlib.suppress(*valkey.Unavailable):  # the reconciler checks it as well
            await self.ownership.announce(agent_id, claim)


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
