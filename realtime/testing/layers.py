"""A channel layer for tests without processes beside them."""

from __future__ import annotations

import asyncio
import contextlib
from copy import deepcopy
from typing import Any

from channels.exceptions import ChannelFull
from channels.layers import InMemoryChannelLayer


class InMemoryLayer(InMemoryChannelLayer):  # type: ignore[misc]
    """Channels' own, across threads.

    What synchronous code writes is sent by a thread, and Channels' own layer lets the receiver's event loop sleep on,
    for up to 2 s here (channels 4.3.2).
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._loops: dict[str, asyncio.AbstractEventLoop] = {}  # of those who have received, by channel

    async def receive(self, channel: str) -> dict[str, Any]:
        self._loops[channel] = asyncio.get_running_loop()
        message: dict[str, Any] = await super().receive(channel)
        return message

    async def send(self, channel: str, message: dict[str, Any]) -> None:
        loop = self._loops.get(channel)
        if loop is None or loop is asyncio.get_running_loop():
            await super().send(channel, message)
            return
        copy = deepcopy(message)
        with contextlib.suppress(RuntimeError):  # closed: nobody receives there any more
            loop.call_soon_threadsafe(lambda: loop.create_task(self._deliver(channel, copy)))

    async def _deliver(self, channel: str, message: dict[str, Any]) -> None:
        with contextlib.suppress(ChannelFull):  # lost, as with the real one
            await super().send(channel, message)

    async def flush(self) -> None:
        await super().flush()
        self._loops.clear()
