"""Who is connected, across all processes: written to Redis or Valkey by each hub, read by health checks and the admin.

Each hub has a set of its agents, and an entry in the list of hubs with its time of expiry. Both are rewritten every
NEXGENT_PRESENCE_SECONDS and expire after three times that, so an entry of a process that died is stale for no longer.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Collection
from uuid import UUID

from django.conf import settings

from positions import valkey
from realtime.monitoring.tasks import Health

logger = logging.getLogger(__name__)

HUBS_KEY = f"{valkey.KEY_PREFIX}hubs"
# Changes are written together, this long after the first of them.
GATHER_SECONDS = 0.05


class Presence:
    """The agents that are connected to one hub."""

    def __init__(self, hub_id: str) -> None:
        self._hub_id = hub_id
        self._agents: set[str] = set()
        self._added: set[str] = set()
        self._removed: set[str] = set()
        self._changed = asyncio.Event()

    def add(self, agent_id: str) -> None:
        self._agents.add(agent_id)
        self._added.add(agent_id)
        self._removed.discard(agent_id)
        self._changed.set()

    def remove(self, agent_id: str) -> None:
        self._agents.discard(agent_id)
        self._removed.add(agent_id)
        self._added.discard(agent_id)
        self._changed.set()

    async def run(self, health: Health) -> None:
        """Write changes soon after they happen, and everything at the interval in the settings."""
        interval_seconds: float = settings.REALTIME["PRESENCE_SECONDS"]
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
            pipeline.delete(_agents_key(self._hub_id))
            pipeline.zrem(HUBS_KEY, self._hub_id)
            await pipeline.execute()

    async def _write(self, *, everything: bool, expire_seconds: float) -> None:
        self._changed.clear()
        added, removed = (set(self._agents), set()) if everything else (self._added, self._removed)
        self._added, self._removed = set(), set()
        key = _agents_key(self._hub_id)
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
            pipeline.scard(_agents_key(hub_id))
        return sum(pipeline.execute())


def process_count() -> int:
    """Return how many server processes have a hub. Raises valkey.Unavailable."""
    return len(_live_hubs())


def connected_agents(agent_ids: Collection[UUID]) -> set[UUID]:
    """Return those of the agents that have an open socket. Raises valkey.Unavailable."""
    ids = list(agent_ids)
    connected: set[UUID] = set()
    if ids:
        with valkey.client().pipeline(transaction=False) as pipeline:
            for hub_id in _live_hubs():
                pipeline.smismember(_agents_key(hub_id), [str(agent_id) for agent_id in ids])
            for members in pipeline.execute():
                connected.update(agent_id for agent_id, member in zip(ids, members, strict=True) if member)
    return connected


def _live_hubs() -> list[str]:
    hubs = valkey.client().zrangebyscore(HUBS_KEY, time.time(), "+inf")
    return [hub_id.decode() for hub_id in hubs]  # type: ignore[union-attr]


def _agents_key(hub_id: str) -> str:
    return f"{valkey.KEY_PREFIX}hub:{hub_id}"
