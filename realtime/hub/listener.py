"""Receives what the channel layer delivers to a process: one channel, a member of every group, for all its sockets."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any

from channels.layers import get_channel_layer

from positions import valkey
from realtime.monitoring.metrics import counts
from realtime.monitoring.tasks import Health
from realtime.protocol.envelopes import unreadable

logger = logging.getLogger(__name__)

# How long a joining socket waits for the process to receive messages.
READY_SECONDS = 3.0
RETRY_SECONDS = (0.2, 0.5, 1.0, 2.0, 5.0)

Handler = Callable[[Mapping[str, Any]], Awaitable[None]]


class Listener:
    """Passes each message to the handler of its type. `groups` returns the groups to join after a reconnect."""

    def __init__(self, handlers: Mapping[str, Handler], *, groups: Callable[[], Iterable[str]]) -> None:
        self._handlers = handlers
        self._groups = groups
        self._channel: str | None = None
        self._is_ready = asyncio.Event()
        self._skipped: set[str] = set()

    async def ready(self) -> None:
        """Wait until messages are received here. Raises TimeoutError after READY_SECONDS."""
        await asyncio.wait_for(self._is_ready.wait(), READY_SECONDS)

    async def join(self, group: str) -> None:
        """Receive the group's messages, too. Raises what the channel layer raises."""
        await get_channel_layer().group_add(group, self._channel)

    async def leave(self, group: str) -> None:
        await get_channel_layer().group_discard(group, self._channel)

    async def run(self, health: Health) -> None:
        """Receive until cancelled. Neither a lost connection nor a broken message ends it."""
        failures = 0
        try:
            while True:
                try:
                    channel_layer = get_channel_layer()
                    if self._channel is None:
                        self._channel = await channel_layer.new_channel()
                    for group in self._groups():
                        await channel_layer.group_add(group, self._channel)
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
        while True:
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
                await self._handle(message)

    async def _handle(self, message: Mapping[str, Any]) -> None:
        if what := unreadable(message):
            if what not in self._skipped and len(self._skipped) < 100:
                self._skipped.add(what)
                logger.warning("messages of %s are skipped: this release does not know them", what)
            return
        try:
            await self._handlers[message["type"]](message)
        except Exception:
            logger.exception("a message of type %r could not be handled", message["type"])
