"""Which groups of prices this process is a member of: those of the shards whose tokens its sockets hold.

In how many groups prices are sent is said by the price feed, in the cache and with every round; servers follow it
(docs/adr/0018). Where there is one, every process is a member from the start, and nothing is done here.

A price that came before the group was joined is in the cache. So tokens are read once more after the join, which a
message of our own through the group has confirmed: what the sockets lack is sent then.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from typing import Any

import msgspec
from channels.layers import get_channel_layer

from positions import valkey
from realtime.conf import conf
from realtime.hub.listener import Listener
from realtime.monitoring import outages
from realtime.monitoring.metrics import counts
from realtime.monitoring.tasks import Health
from realtime.protocol.envelopes import JoinedMessage, joined_message
from realtime.protocol.messages import PRICES_GROUP
from realtime.protocol.shards import MOST_SHARDS, group_of, shard_groups
from realtime.publish import groups

logger = logging.getLogger(__name__)

KEEP_SECONDS = 30.0
"""How long a process stays in a group that it does not need: agents come and go."""
WAIT_SECONDS = (0.5, 1.0, 2.0)
"""How long a join may take to be confirmed, each time that it is asked for."""
RETRY_SECONDS = 0.5


class NotConfirmed(Exception):
    """The channel layer did not confirm that it delivers a group's messages here."""


class PriceGroups:
    """`held` returns the tokens that sockets hold. `read` reads tokens from the cache, and sends what sockets lack."""

    def __init__(
        self,
        hub_id: str,
        *,
        held: Callable[[], Iterable[str]],
        read: Callable[[Collection[str]], Awaitable[None]],
    ) -> None:
        self.shards = 1
        """In how many groups the feed sends."""
        self._hub_id = hub_id
        self._held = held
        self._read = read
        self._asked: dict[str, float] = {}
        """When a stream that may not hold it yet has read a token."""
        self._joined: set[str] = set()
        self._wanted: dict[str, float] = {}
        """When a group that was joined, or is being joined, was last needed."""
        self._unconfirmed: set[str] = set()
        self._confirmed = asyncio.Event()
        self._changed = asyncio.Event()
        self._measure()

    def names(self) -> Iterable[str]:
        """Return the groups of prices that this process listens to."""
        return [PRICES_GROUP, *self._wanted]

    def is_member(self, shards: int, shard: int) -> bool:
        """Return whether the messages of that shard come here, where the feed has so many."""
        return shards == self.shards and shard_groups(shards)[shard] in self._joined

    def follow(self, shards: int) -> None:
        """Note in how many groups the feed sends now."""
        if shards == self.shards or not 1 <= shards <= MOST_SHARDS:
            return
        own = "" if shards == conf.PRICE_SHARDS else f"; NEXGENT_PRICE_SHARDS is {conf.PRICE_SHARDS} here"
        logger.info("the price feed sends by %d shards of tokens now, not %d%s", shards, self.shards, own)
        self.shards = shards
        self._changed.set()
        self._measure()

    def need(self, tokens: Collection[str], shards: int | None = None) -> None:
        """Have the groups of these tokens joined, and the tokens read then, unless they are joined already.

        Called before the tokens are read for a stream, since what is read while its group is being joined is read
        again; and after it, with what the cache says of `shards`.
        """
        if shards is not None:
            self.follow(shards)
        if self.shards > 1:
            self._asked.update(dict.fromkeys(tokens, time.monotonic()))
            if any(self._is_missing(token) for token in tokens):
                self._changed.set()

    async def joined(self, message: Mapping[str, Any]) -> None:
        """Note that a `price.joined` has come through its group."""
        joined = msgspec.convert(message, JoinedMessage)
        if joined.hub == self._hub_id:
            self._unconfirmed.discard(joined.group)
            if not self._unconfirmed:
                self._confirmed.set()

    async def run(self, listener: Listener, health: Health) -> None:
        """Join and leave, as tokens come and go. Ends when it is cancelled."""
        interval_seconds: float = conf.RECONCILE_SECONDS
        failing = False
        while True:
            self._changed.clear()
            try:
                await self._update(listener)
            except (NotConfirmed, *valkey.Unavailable) as error:
                if not failing:  # once an outage
                    why = str(error) or type(error).__name__
                    what = "prices come by reconciliation"
                    logger.warning("%s: %s", what, why, extra=outages.field("valkey"))
                failing = True
                health.fails()
                await asyncio.sleep(RETRY_SECONDS)
                continue
            if failing:
                logger.info("prices come by their groups again", extra=outages.field("valkey"))
            failing = False
            health.works(for_seconds=3 * interval_seconds + sum(WAIT_SECONDS))
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._changed.wait(), interval_seconds)

    async def _update(self, listener: Listener) -> None:
        now = time.monotonic()
        self._asked = {token: at for token, at in self._asked.items() if now - at < KEEP_SECONDS}
        needed = {group_of(token, self.shards) for token in self._tokens()} - {PRICES_GROUP}
        self._wanted.update(dict.fromkeys(needed, now))
        if left := [group for group, at in self._wanted.items() if now - at >= KEEP_SECONDS]:
            for group in left:
                del self._wanted[group]
            self._joined.difference_update(left)
            self._measure()
            await listener.leave(left)
        if missing := needed - self._joined:
            await self._join(listener, missing)

    async def _join(self, listener: Listener, names: set[str]) -> None:
        await listener.ready()
        await listener.join(names)
        self._unconfirmed = set(names)
        layer = get_channel_layer(conf.CHANNEL_LAYER)
        for seconds in WAIT_SECONDS:
            self._confirmed.clear()
            asked = [(name, joined_message(name, self._hub_id)) for name in self._unconfirmed]
            await groups.send(layer, asked)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._confirmed.wait(), seconds)
            if not self._unconfirmed:
                break
        confirmed = names - self._unconfirmed
        self._joined |= confirmed
        self._measure()
        await self._read([token for token in self._tokens() if group_of(token, self.shards) in confirmed])
        if names > confirmed:
            raise NotConfirmed(f"{len(names - confirmed)} groups of prices are not delivered here")

    def _tokens(self) -> Iterable[str]:
        return {*self._held(), *self._asked} if self.shards > 1 else ()

    def _is_missing(self, token: str) -> bool:
        group = group_of(token, self.shards)
        return group != PRICES_GROUP and group not in self._joined

    def _measure(self) -> None:
        counts.gauges["nexgent_price_shards"] = self.shards
        counts.gauges["nexgent_price_shards_joined"] = len(self._joined) if self.shards > 1 else 1
