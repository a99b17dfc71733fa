"""Each process writes its numbers to Redis or Valkey, for the one that is asked for /metrics.

So the answer is the same whichever process a load balancer chooses, and includes the broadcaster, which serves no HTTP
(docs/adr/0005). Numbers are written every NEXGENT_PRESENCE_SECONDS and expire after three times that.
"""

from __future__ import annotations

import asyncio
import functools
import logging
import os
import secrets
import socket
import time
from collections.abc import Callable
from typing import cast

import msgspec
from msgspec import Struct

from positions import valkey
from realtime.conf import conf
from realtime.monitoring import outages, pools
from realtime.monitoring.metrics import Sample, counts
from realtime.monitoring.tasks import Health

logger = logging.getLogger(__name__)

PROCESSES_KEY = f"{valkey.KEY_PREFIX}metrics"
DAY_SECONDS = 86_400.0


class Snapshot(Struct):
    """One process's numbers."""

    process: str
    """Its `process_name`."""
    samples: dict[str, list[Sample]]


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Snapshot).decode


def process_name() -> str:
    """Return host:pid:chance. In containers that share a host name every process is number 1 of its own."""
    pid = os.getpid()
    return f"{socket.gethostname()}:{pid}:{_chance(pid)}"


@functools.cache
def _chance(pid: int) -> str:
    """Return the same for the whole life of the process with this id: a fork gets another one."""
    return secrets.token_hex(3)


class Reporter:
    """Writes this process's numbers. `measure` updates the gauges that nothing else sets; `kind` is a label."""

    def __init__(self, kind: str, measure: Callable[[], None] = lambda: None) -> None:
        self._kind = kind
        self._measure = measure

    def snapshot(self) -> Snapshot:
        self._measure()
        pools.measure()
        return Snapshot(process_name(), counts.read(self._kind))

    async def run(self, health: Health) -> None:
        """Write at the interval in the settings, until cancelled."""
        interval_seconds: float = conf.PRESENCE_SECONDS
        loop, failing = asyncio.get_running_loop(), False
        while True:
            try:
                await self._write(expire_seconds=3 * interval_seconds)
                failing = False
                health.works(for_seconds=3 * interval_seconds)
            except valkey.Unavailable as error:
                if not failing:
                    why = str(error) or type(error).__name__
                    logger.warning("metrics cannot be written: %s", why, extra=outages.field("valkey"))
                failing = True
            due = loop.time() + interval_seconds
            await asyncio.sleep(interval_seconds)
            counts.gauges["nexgent_event_loop_lag_seconds"] = loop.time() - due

    async def leave(self) -> None:
        """Remove the numbers now, instead of when they expire. Raises valkey.Unavailable."""
        async with valkey.async_client().pipeline(transaction=False) as pipeline:
            pipeline.delete(_key(process_name()))
            pipeline.zrem(PROCESSES_KEY, process_name())
            await pipeline.execute()

    async def _write(self, *, expire_seconds: float) -> None:
        snapshot, now = self.snapshot(), time.time()
        async with valkey.async_client().pipeline(transaction=False) as pipeline:
            pipeline.set(_key(snapshot.process), _encode(snapshot), px=round(1000 * expire_seconds))
            pipeline.zadd(PROCESSES_KEY, {snapshot.process: now})
            pipeline.zremrangebyscore(PROCESSES_KEY, "-inf", now - DAY_SECONDS)
            await pipeline.execute()


async def snapshots() -> list[Snapshot]:
    """Return what all processes have written. Two calls. Raises valkey.Unavailable."""
    client = valkey.async_client()
    names = cast("list[bytes]", await client.zrange(PROCESSES_KEY, 0, -1))
    keys = [_key(name.decode()) for name in names]
    values = cast("list[bytes | None]", await client.mget(keys)) if keys else []
    return [_decode(value) for value in values if value is not None]


def _key(process: str) -> str:
    return f"{PROCESSES_KEY}:{process}"
