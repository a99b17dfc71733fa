"""From every process to whoever is asked for /metrics: each writes its numbers into Redis or Valkey with every beat.

So the answer is the same whichever process a load balancer chooses, and the broadcaster, which serves no HTTP, is part
of it (docs/adr/0005). The numbers of a process that died lapse after three beats.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import time
from collections.abc import Callable
from typing import cast

import msgspec
from django.conf import settings
from msgspec import Struct

from positions import valkey
from realtime.monitoring.metrics import Sample, counts

logger = logging.getLogger(__name__)

PROCESSES_KEY = f"{valkey.KEY_PREFIX}metrics"
DAY_SECONDS = 86_400.0


class Snapshot(Struct):
    """One process's numbers."""

    process: str
    """host:pid. One that begins again under the same name takes the place of what it left."""
    samples: dict[str, list[Sample]]


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Snapshot).decode


def process_name() -> str:
    return f"{socket.gethostname()}:{os.getpid()}"


class Reporter:
    """This process's part of it. `measure` refreshes what is not counted but looked at; `kind` is a label."""

    def __init__(self, kind: str, measure: Callable[[], None] = lambda: None) -> None:
        self._kind = kind
        self._measure = measure

    def snapshot(self) -> Snapshot:
        self._measure()
        return Snapshot(process_name(), counts.read(self._kind))

    async def run(self) -> None:
        """Write with every beat, for ever. Ends by cancellation only."""
        beat_seconds: float = settings.REALTIME["PRESENCE_SECONDS"]
        loop, failing = asyncio.get_running_loop(), False
        while True:
            try:
                await self._write(lapse_seconds=3 * beat_seconds)
                failing = False
            except valkey.Unavailable as error:
                if not failing:
                    logger.warning("metrics cannot be written: %s", error or type(error).__name__)
                failing = True
            due = loop.time() + beat_seconds
            await asyncio.sleep(beat_seconds)
            counts.gauges["nexgent_event_loop_lag_seconds"] = loop.time() - due

    async def leave(self) -> None:
        """Take the numbers away now, instead of when they lapse. Raises valkey.Unavailable."""
        async with valkey.async_client().pipeline(transaction=False) as pipeline:
            pipeline.delete(_key(process_name()))
            pipeline.zrem(PROCESSES_KEY, process_name())
            await pipeline.execute()

    async def _write(self, *, lapse_seconds: float) -> None:
        snapshot, now = self.snapshot(), time.time()
        async with valkey.async_client().pipeline(transaction=False) as pipeline:
            pipeline.set(_key(snapshot.process), _encode(snapshot), px=round(1000 * lapse_seconds))
            pipeline.zadd(PROCESSES_KEY, {snapshot.process: now})
            pipeline.zremrangebyscore(PROCESSES_KEY, "-inf", now - DAY_SECONDS)
            await pipeline.execute()


async def snapshots() -> list[Snapshot]:
    """Return what all processes have written: two calls. Raises valkey.Unavailable."""
    client = valkey.async_client()
    names = cast("list[bytes]", await client.zrange(PROCESSES_KEY, 0, -1))
    keys = [_key(name.decode()) for name in names]
    values = cast("list[bytes | None]", await client.mget(keys)) if keys else []
    return [_decode(value) for value in values if value is not None]


def _key(process: str) -> str:
    return f"{PROCESSES_KEY}:{process}"
