"""Publishes a round's prices: first to the cache, then to the server processes; after an outage, every price again.

No error ends the loop: the round's result has it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Set
from typing import Any

from positions.prices.cache import FeedStatus, put_prices
from positions.prices.known_quotes import KnownQuotes
from positions.prices.openings import OpeningsKeeper
from positions.prices.quotes import Quote
from positions.prices.rounds import sentence
from positions.valkey import Unavailable

PUBLISH_DEADLINE_SECONDS = 5.0

Prepare = Callable[[list[Quote]], Awaitable[Any]]
"""Makes the messages with these quotes, while the cache is being written."""
Publish = Callable[[Any], Awaitable[None]]
"""Sends them to the server processes."""


class Publishing:
    """Writes what is known to the cache, and sends what is new."""

    def __init__(self, known: KnownQuotes, publish: Publish, prepare: Prepare | None = None) -> None:
        self._known = known
        self._publish = publish
        self._prepare = prepare or _as_they_are
        self._openings = OpeningsKeeper()
        self._cache_behind = False

    def keep_only(self, tokens: Set[str]) -> None:
        self._openings.keep_only(tokens)

    async def publish(self, news: list[Quote], status: FeedStatus, errors: list[str]) -> bool:
        """Publish a round, whose news these are; return whether the server processes have them.

        Errors of the cache and the channel layer are added to `errors`.
        """
        # The cache first: a client that connects in between reads the new price there, and gets it again.
        _, message = await asyncio.gather(self._write(status, errors), self._prepare(news))
        return await self._send(news, message, errors)

    async def _write(self, status: FeedStatus, errors: list[str]) -> None:
        # All of them, also where the source has failed: nothing tells the feed that a cache was emptied.
        quotes = self._known.latest
        try:
            await put_prices(quotes.values(), status)
            await self._openings.keep(quotes.values())
        except Unavailable as error:
            self._outage()
            errors.append(sentence("The price cache cannot be written", error))
        else:
            self._cache_behind = False

    async def _send(self, changed: list[Quote], message: Any, errors: list[str]) -> bool:
        if not changed:
            return True
        try:
            async with asyncio.timeout(PUBLISH_DEADLINE_SECONDS):
                await self._publish(message)
        except Unavailable as error:
            self._outage()
            errors.append(sentence("The prices cannot be sent to the servers", error))
            return False
        # After an outage of the cache alone, all prices are sent again: clients that connected meanwhile read old ones.
        if not self._cache_behind:
            self._known.mark_sent(changed)
        return True

    def _outage(self) -> None:
        """Make the next successful round write and send every price."""
        self._cache_behind = True
        self._known.send_all_again()


async def _as_they_are(quotes: list[Quote]) -> list[Quote]:
    return quotes
