"""Who is connected, over all processes: kept in Redis or Valkey by each hub, read by health checks and the admin.

Each hub has a set of its agents, and a place in the list of hubs with the time it was last seen. Both lapse when a
process dies, so that nobody is a ghost for longer than three beats.
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

logger = logging.getLogger(__name__)

HUBS_KEY = f"{valkey.KEY_PREFIX}hubs"
# Changes are written together, this long after the first of them.
GATHER_SECONDS = 0.05


class Presence:
    """One hub's part of it."""

    def __init__(self, hub_id: str) -> None:
        self._hub_id = hub_id
        self._agents: set[str] = set()
        self._came: set[str] = set()
        self._went: set[str] = set()
        self._changed = asyncio.Event()

    def add(self, agent_id: str) -> None:
        self._agents.add(agent_id)
        self._came.add(agent_id)
        self._went.discard(agent_id)
        self._changed.set()

    def remove(self, agent_id: str) -> None:
        self._agents.discard(agent_id)
        self._went.add(agent_id)
        self._came.discard(agent_id)
        self._changed.set()

    async def run(self) -> None:
        """Write what has changed, soon after it has, and all of it with every beat. Ends by cancellation only."""
        beat_seconds: float = settings.REALTIME["PRESENCE_SECONDS"]
        failing, beat_due = False, 0.0
        while True:
            try:
                now = time.monotonic()
                is_beat = now >= beat_due
                await self._write(everything=is_beat, lapse_seconds=3 * beat_seconds)
                beat_due = now + beat_seconds if is_beat else beat_due
                failing = False
            except valkey.Unavailable as error:
                if not failing:
                    logger.warning("who is connected cannot be written: %s", error)
                failing, beat_due = True, 0.0
                await asyncio.sleep(GATHER_SECONDS)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(
                    self._changed.wait(), max(0.0, beat_due - time.monotonic()) or beat_seconds
                )
                await asyncio.sleep(GATHER_SECONDS)

    async def leave(self) -> None:
        """Forget this hub now, instead of when it lapses; `run` must have ended. Raises valkey.Unavailable."""
        async with valkey.async_client().pipeline(transaction=True) as pipeline:
            pipeline.delete(_agents_key(self._hub_id))
            pipeline.zrem(HUBS_KEY, self._hub_id)
            await pipeline.execute()

    async def _write(self, *, everything: bool, lapse_seconds: float) -> None:
        self._changed.clear()
        came, went = (set(self._agents), set()) if everything else (self._came, self._went)
        self._came, self._went = set(), set()
        key = _agents_key(self._hub_id)
        async with valkey.async_client().pipeline(transaction=True) as pipeline:
            if everything:
                pipeline.delete(key)
            if came:
                pipeline.sadd(key, *came)
            if went:
                pipeline.srem(key, *went)
            pipeline.pexpire(key, round(1000 * lapse_seconds))
            pipeline.zadd(HUBS_KEY, {self._hub_id: time.time() + lapse_seconds})
            pipeline.zremrangebyscore(HUBS_KEY, "-inf", time.time())
            await pipeline.execute()


def connection_count() -> int:
    """Return how many sockets are open in all processes together. Raises valkey.Unavailable."""
    with valkey.client().pipeline(transaction=False) as pipeline:
        for hub_id in _live_hubs():
            pipeline.scard(_agents_key(hub_id))
        return sum(pipeline.execute())


def process_count() -> int:
    """Return how many processes report who is connected to them. Raises valkey.Unavailable."""
    return len(_live_hubs())


def connected_agents(agent_ids: Collection[UUID]) -> set[UUID]:
    """Return those of the agents that have an open socket somewhere. Raises valkey.Unavailable."""
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
