"""Receives what the channel layer delivers to a process: one channel, a member of every group, for all its sockets."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from time import perf_counter
from typing import Any

from channels.layers import get_channel_layer

from positions import valkey
from positions.installations import hold_prefix, installation, known_installation
from realtime.conf import conf
from realtime.hub.database import in_database_thread
from realtime.hub.probe import PROBE, Probe
from realtime.hub.turns import SLICE_SECONDS
from realtime.monitoring.metrics import counts
from realtime.monitoring.tasks import Health
from realtime.protocol.envelopes import foreign, unreadable
from realtime.publish import groups, receiving

logger = logging.getLogger(__name__)

# How long a joining socket waits for the process to receive messages.
READY_SECONDS = 5.0
RETRY_SECONDS = (0.2, 0.5, 1.0, 2.0, 5.0)

_find_installation = in_database_thread(installation)

Handler = Callable[[Mapping[str, Any]], Awaitable[None]]


class Listener:
    """Passes each message to the handler of its type. `groups` returns the groups to join after a reconnect."""

    def __init__(
        self, handlers: Mapping[str, Handler], *, groups: Callable[[], Iterable[str]], probe: Probe
    ) -> None:
        self._handlers = handlers
        self._probe = probe
        self._groups = groups
        self._channel: str | None = None
        self._is_ready = asyncio.Event()
        self._skipped: set[str] = set()

    async def ready(self) -> None:
        """Wait until messages are received here. Raises TimeoutError after READY_SECONDS."""
        if not self._is_ready.is_set():
            await asyncio.wait_for(self._is_ready.wait(), READY_SECONDS)

    async def join(self, names: Collection[str]) -> None:
        """Receive the messages of these groups, too. Raises what the channel layer raises."""
        assert self._channel is not None  # noqa: S101  callers have waited for `ready`
        await groups.join(get_channel_layer(conf.CHANNEL_LAYER), names, self._channel)

    async def leave(self, names: Collection[str]) -> None:
        if self._channel is not None:
            await groups.leave(get_channel_layer(conf.CHANNEL_LAYER), names, self._channel)

    async def run(self, health: Health) -> None:
        """Receive until cancelled. Neither a lost connection nor a broken message ends it."""
        failures = 0
        try:
            while True:
                try:
                    if known_installation() is None:
                        await asyncio.wait_for(_find_installation(), READY_SECONDS)
                    await hold_prefix()
                    channel_layer = get_channel_layer(conf.CHANNEL_LAYER)
                    if self._channel is None:
                        receiving.install(channel_layer)
                        self._channel = await channel_layer.new_channel()
                    await groups.join(channel_layer, [*self._probe.groups, *self._groups()], self._channel)
                    self._is_ready.set()
                    health.works()
                    failures = 0
                    await self._receive(channel_layer)
                except valkey.Unavailable as error:
                    counts.channel_layer_errors["receive"] += 1
                    self._is_ready.clear()
                    health.fails()
                    wait = RETRY_SECONDS[min(failures, len(RETRY_SECONDS) - 1)]
                    failures += 1
                    logger.warning("the channel layer is unavailable (%s); retrying in %s s", error, wait)
                    await asyncio.sleep(wait)
        finally:
            self._is_ready.clear()

    async def _receive(self, channel_layer: Any) -> None:
        handling = 0.0
        while True:
            # Where messages wait, `receive` returns at once, and nothing else would run until all of them are handled.
            # Of those that come alone, few give up a turn: a price that has come meanwhile would wait for it.
            if handling >= SLICE_SECONDS:
                await asyncio.sleep(0)
                handling = 0.0
            try:
                message = await channel_layer.receive(self._channel)
            except valkey.Unavailable:
                raise
            except Exception:
                # One message that cannot be decoded. The layer has removed it from its queue.
                counts.channel_layer_errors["receive"] += 1
                logger.exception("a message from the channel layer could not be decoded")
                await asyncio.sleep(0)
            else:
                began = perf_counter()
                await self._handle(message)
                handling += perf_counter() - began

    async def _handle(self, message: Mapping[str, Any]) -> None:
        self._probe.arrived()
        if message.get("type") == PROBE:
            self._probe.heard(message)
            return
        if what := unreadable(message):
            self._skip(f"messages of {what} are skipped: this release does not know them")
            return
        if sender := foreign(message):
            self._skip(
                f"messages of another installation ({sender}) are skipped: it uses the same Redis or Valkey with the"
                f" same prefix, {conf.REDIS_PREFIX!r}; set NEXGENT_REDIS_PREFIX for one of them"
            )
            return
        content = "prices" if message["type"].startswith("price.") else "other"
        counts.layer_bytes[content] += getattr(message, "bytes", 0)  # a layer in memory has no bytes
        try:
            await self._handlers[message["type"]](message)
        except Exception:
            logger.exception("a message of type %r could not be handled", message["type"])

    def _skip(self, sentence: str) -> None:
        if sentence not in self._skipped and len(self._skipped) < 100:  # not a line for each message
            self._skipped.add(sentence)
            logger.warning("%s", sentence)
