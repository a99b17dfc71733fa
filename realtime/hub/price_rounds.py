"""Puts the messages of one round of prices together, so that each socket gets one message a round.

Where the price feed sends by shard, a round comes in a message for each shard and a last one to all processes, over
several connections if the channel layer has several servers.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from typing import Any

import msgspec

from realtime.hub.price_groups import PriceGroups
from realtime.protocol.envelopes import LayoutMessage

Message = Mapping[str, Any]

ROUND_SECONDS = 1.0
"""How long a round waits for its next message, where one was lost. What comes later is sent by itself."""


class PriceRounds:
    """Passes messages on to `handle`: those of a round together, of the shards whose `groups` are joined."""

    def __init__(
        self,
        handle: Callable[..., Awaitable[None]],
        groups: PriceGroups,
        *,
        spawn: Callable[[Coroutine[Any, Any, None]], None],
    ) -> None:
        self._handle = handle
        self._groups = groups
        self._spawn = spawn
        self._round: int | None = None
        self._done: int | None = None
        self._parts: list[Message] = []
        self._came: set[object] = set()
        self._awaited: set[int] | None = None
        """The shards that belong to the round; None until its last message has told."""
        self._timer: asyncio.TimerHandle | None = None

    async def batch(self, message: Message) -> None:
        """Handle a `price.batch`: at once, unless it is a part of a round that is not complete."""
        number = message.get("round")
        if number is None or number == self._done:
            await self._handle(message)
            return
        await self._belongs_to(number)
        self._parts.append(message)
        self._came.add(message.get("shard"))
        await self._look()

    async def layout(self, message: Message) -> None:
        """Handle a `price.layout`."""
        layout = msgspec.convert(message, LayoutMessage)
        self._groups.follow(layout.shards)
        if layout.round == self._done:
            await self._handle(message)
            return
        await self._belongs_to(layout.round)
        self._parts.append(message)
        self._awaited = {shard for shard in layout.sent if self._groups.is_member(layout.shards, shard)}
        await self._look()

    async def _belongs_to(self, number: int) -> None:
        """Begin that round, unless it has begun; wait for what else it has."""
        parts: list[Message] = []
        if number != self._round:
            parts = self._take()
            self._round = number
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(ROUND_SECONDS, self._is_late, number)
        if parts:
            await self._handle(*parts)

    async def _look(self) -> None:
        if self._awaited is not None and self._awaited <= self._came:
            await self._handle(*self._take())

    def _take(self) -> list[Message]:
        """End the round; return what has come of it."""
        if self._timer is not None:
            self._timer.cancel()
        parts, self._done = self._parts, self._round
        self._round, self._parts, self._came, self._awaited = None, [], set(), None
        return parts

    def _is_late(self, number: int) -> None:
        if number == self._round:
            self._spawn(self._finish())

    async def _finish(self) -> None:
        if parts := self._take():
            await self._handle(*parts)
