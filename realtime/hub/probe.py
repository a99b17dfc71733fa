"""Proves every few seconds that the channel layer delivers to this process, and reconnects it where it does not.

A connection may live and not work: packets vanish without a close, or a fail-over leaves a subscription that nothing
reaches. The channel layer notices neither. So the hub sends itself a message through each shard, and where none has
arrived for a while although new connections work, it replaces those of the layer. What was lost in between is read by
the reconciler.

A process that has more to do than it can is late with its own messages, too: to connect anew would lose what waits. So
anything that arrives shows that the subscription lives, and a shard is judged by what others have brought meanwhile.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections.abc import Mapping
from typing import Any

import redis.asyncio
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from positions import valkey
from realtime.conf import conf
from realtime.monitoring import outages
from realtime.monitoring.metrics import counts
from realtime.monitoring.tasks import Health
from realtime.protocol.shards import spread
from realtime.publish.connections import channel_layer, reconnect

logger = logging.getLogger(__name__)

PROBE = "hub.probe"
"""The type of the message, which no other process receives."""
SECONDS = 2.0
"""From one probe to the next, at most; a shorter NEXGENT_PRESENCE_SECONDS shortens it."""
MOST_MISSED = 3


class Probe:
    def __init__(self) -> None:
        name = secrets.token_hex(8)
        shards = len(valkey.urls())
        # A group's name decides its shard: several for each, where a project's layer places them in another way.
        self.groups = spread(f"probe.{name}", 1 if shards == 1 else 16 * shards)
        """The listener joins them, and passes their messages to `heard`."""
        self._round = 0
        self._heard: dict[int, int] = {}
        """The newest round of each group."""
        self._arrived_at = 0.0

    def arrived(self) -> None:
        """Note that the channel layer has delivered a message, of whatever kind."""
        self._arrived_at = time.monotonic()

    def heard(self, message: Mapping[str, Any]) -> None:
        self._heard[message["number"]] = message["round"]

    async def run(self, health: Health) -> None:
        """Send, look what has arrived, reconnect. Ends when it is cancelled."""
        interval_seconds = min(SECONDS, conf.PRESENCE_SECONDS)
        silent_seconds = MOST_MISSED * interval_seconds
        self._start_over()
        while True:
            self._round += 1
            await asyncio.gather(*map(self._send, range(len(self.groups))))
            asleep_at = time.monotonic()
            await asyncio.sleep(interval_seconds)
            now = time.monotonic()
            if now - asleep_at > silent_seconds:
                self._start_over()  # this process stood still, and could not have heard anything
            elif now - self._arrived_at < silent_seconds and not self._misses_a_shard():
                health.works(for_seconds=silent_seconds)
            else:
                health.fails()
                if await _new_connections_work():
                    await self._reconnect()

    def _start_over(self) -> None:
        self._arrived_at = time.monotonic()
        self._heard = dict.fromkeys(range(len(self.groups)), self._round)

    def _misses_a_shard(self) -> bool:
        """Whether a group has missed rounds of which others have arrived."""
        return max(self._heard.values()) - min(self._heard.values()) >= MOST_MISSED

    async def _reconnect(self) -> None:
        logger.warning("nothing arrives from the channel layer though it can be reached: reconnecting")
        counts.channel_layer_errors["receive"] += 1
        try:
            await reconnect(await channel_layer())
        except valkey.Unavailable as error:
            logger.warning(
                "the channel layer could not reconnect; trying again: %s",
                str(error) or "no answer",
                extra=outages.field("valkey"),
            )
        else:
            self._start_over()

    async def _send(self, number: int) -> None:
        try:
            async with asyncio.timeout(SECONDS):
                layer = await channel_layer()
                await layer.group_send(
                    self.groups[number], {"type": PROBE, "number": number, "round": self._round}
                )
        except valkey.Unavailable:
            pass  # not heard, then


async def _new_connections_work() -> bool:
    for url in valkey.urls():
        client = redis.asyncio.Redis.from_url(
            url,
            socket_connect_timeout=SECONDS,
            socket_timeout=SECONDS,
            retry=Retry(NoBackoff(), 0),
        )
        try:
            await client.ping()
        except valkey.Unavailable:
            return False
        finally:
            await client.aclose()
    return True
