"""Who is connected, across all processes: written to Redis or Valkey by each hub, read by health checks and the admin.

Each hub has a set of its sockets: the agents that are owned there, and the numbers of watchers. It has an entry in the
list of hubs, too, with its time of expiry. Both are rewritten every NEXGENT_PRESENCE_SECONDS and expire after three
times that, so an entry of a process that died is stale for no longer.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Collection
from typing import NamedTuple
from uuid import UUID

from positions import valkey
from positions.installations import hold_prefix
from realtime.conf import conf
from realtime.hub.watchers import watcher_counts
from realtime.monitoring.tasks import Health

logger = logging.getLogger(__name__)

HUBS_KEY = f"{valkey.KEY_PREFIX}hubs"
# Changes are written together, this long after the first of them.
GATHER_SECONDS = 0.05


class Presence:
    """The sockets that are connected to one hub, by what stands for each (`Outbox.member`)."""

    def __init__(self, hub_id: str) -> None:
        self._hub_id = hub_id
        self._members: set[str] = set()
        self._added: set[str] = set()
        self._removed: set[str] = set()
        self._changed = asyncio.Event()

    def add(self, member: str) -> None:
        self._members.add(member)
        self._added.add(member)
        self._removed.discard(member)
        self._changed.set()

    def remove(self, member: str) -> None:
        self._members.discard(member)
        self._removed.add(member)
        self._added.discard(member)
        self._changed.set()

    async def run(self, health: Health) -> None:
        """Write changes soon after they happen, and everything at the interval in the settings."""
        interval_seconds: float = conf.PRESENCE_SECONDS
        failing, everything_due = False, 0.0
        while True:
            try:
                now = time.monotonic()
                is_due = now >= everything_due
                await self._write(everything=is_due, expire_seconds=3 * interval_seconds)
                everything_due = now + interval_seconds if is_due else everything_due
                failing = False
                health.works(for_seconds=3 * interval_seconds)
            except valkey.Unavailable as error:
                if not failing:
                    logger.warning("presence cannot be written: %s", error)
                failing, everything_due = True, 0.0
                await asyncio.sleep(GATHER_SECONDS)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(
                    self._changed.wait(), max(0.0, everything_due - time.monotonic()) or interval_seconds
                )
                await asyncio.sleep(GATHER_SECONDS)

    async def leave(self) -> None:
        """Remove this hub now, instead of when its entries expire; `run` must have ended. Raises valkey.Unavailable."""
        async with valkey.async_client().pipeline(transaction=True) as pipeline:
            pipeline.delete(_members_key(self._hub_id))
            pipeline.zrem(HUBS_KEY, self._hub_id)
            await pipeline.execute()

    async def _write(self, *, everything: bool, expire_seconds: float) -> None:
        if everything:
            await hold_prefix()
        self._changed.clear()
        added, removed = (set(self._members), set()) if everything else (self._added, self._removed)
        self._added, self._removed = set(), set()
        key = _members_key(self._hub_id)
        async with valkey.async_client().pipeline(transaction=True) as pipeline:
            if everything:
                pipeline.delete(key)
            if added:
                pipeline.sadd(key, *added)
            if removed:
                pipeline.srem(key, *removed)
            pipeline.pexpire(key, round(1000 * expire_seconds))
            pipeline.zadd(HUBS_KEY, {self._hub_id: time.time() + expire_seconds})
            pipeline.zremrangebyscore(HUBS_KEY, "-inf", time.time())
            await pipeline.execute()


def connection_count() -> int:
    """Return how many sockets are open in all processes. Raises valkey.Unavailable."""
    with valkey.client().pipeline(transaction=False) as pipeline:
        for hub_id in _live_hubs():
            pipeline.scard(_members_key(hub_id))
        return sum(pipeline.execute())


def process_count() -> int:
    """Return how many server processes have a hub. Raises valkey.Unavailable."""
    return len(_live_hubs())


class Connected(NamedTuple):
    """An agent's sockets, over all processes."""

    owners: int
    """1 or 0."""
    watchers: int

    def __str__(self) -> str:
        parts = [f"{self.owners} owner"] if self.owners else []
        if self.watchers:
            parts.append(f"{self.watchers} watcher{'s' if self.watchers > 1 else ''}")
        return ", ".join(parts) or "no"


def connected(agent_ids: Collection[UUID]) -> dict[UUID, Connected]:
    """Return which sockets each of the agents has. Three calls at most. Raises valkey.Unavailable."""
    ids = list(agent_ids)
    if not ids:
        return {}
    with valkey.client().pipeline(transaction=False) as pipeline:
        for hub_id in _live_hubs():
            pipeline.smismember(_members_key(hub_id), [str(agent_id) for agent_id in ids])
        # An agent that another process has taken over may for a moment be in two.
        owned = [max(members) for members in zip(*pipeline.execute(), strict=True)] or [0] * len(ids)
    watched = watcher_counts(ids)
    return {
        agent_id: Connected(int(owner), watched[agent_id]) for agent_id, owner in zip(ids, owned, strict=True)
    }


def _live_hubs() -> list[str]:
    hubs = valkey.client().zrangebyscore(HUBS_KEY, time.time(), "+inf")
    return [hub_id.decode() for hub_id in hubs]  # type: ignore[union-attr]


def _members_key(hub_id: str) -> str:
    return f"{valkey.KEY_PREFIX}hub:{hub_id}"
