"""One batch of prices to many sockets: each token encoded once, one message a socket."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from positions import valkey
from realtime.hub.latest_prices import LatestPrices
from realtime.hub.outbox import Outbox, TokenIndex
from realtime.protocol import messages
from realtime.protocol.envelopes import read_prices

logger = logging.getLogger(__name__)

# Sockets written to before other tasks get a turn: a message costs about 11 µs (docs/performance.md).
SOCKETS_PER_TURN = 200
# An answer is taken apart in one go, about 3 µs a token.
TOKENS_PER_READ = 1000
GRACE_SECONDS = 1.0
"""How long a batch may be under way."""


class PriceFanOut:
    """Sends what `book` learns to the sockets that `index` names."""

    def __init__(self, book: LatestPrices, index: TokenIndex) -> None:
        self._book = book
        self._index = index
        self._away = False

    async def batch(self, message: Mapping[str, Any]) -> None:
        """Take in a `price.batch`."""
        news: dict[str, str] = {}
        for priced in read_prices(message):
            news |= self._book.remember(priced)
        await self._send(news)

    async def learn(self, tokens: Collection[str], *, ask_source: bool) -> None:
        """See to it that the book has what can be known about these tokens.

        Never raises for want of prices: the purchase price stands in. Whoever holds a token whose price is news is
        told: that it is in the book would otherwise keep a later look from telling them.
        """
        try:
            await self._send(await self._book.read(tokens, ask_source=ask_source))
            self._away = False
        except valkey.Unavailable as error:
            if not self._away:  # once an outage, not once a socket or an event
                logger.warning("prices cannot be read: %s", error or type(error).__name__)
            self._away = True

    async def refresh(self) -> None:
        """Read the prices of all tokens held here, and send what no batch has brought: one MGET for a thousand.

        The feed writes the cache before it sends: a batch that is under way is given time to come. Raises
        valkey.Unavailable.
        """
        tokens = self._index.tokens()
        for begin in range(0, len(tokens), TOKENS_PER_READ):
            cached = await self._book.cached(tokens[begin : begin + TOKENS_PER_READ])
            if any(map(self._book.is_news, cached)):
                await asyncio.sleep(GRACE_SECONDS)
            await self._send(self._book.learn(cached))

    def send_newest(self, outbox: Outbox, tokens: Iterable[str]) -> None:
        """Send one socket what is known about these tokens."""
        outbox.prices(self._book.fragments(tokens), messages.now())

    async def _send(self, fragments: Mapping[str, str]) -> None:
        if not fragments:
            return
        at, version = messages.now(), self._book.version
        # As most rounds of a market that moves are.
        nearly_all = self._index.are_nearly_all(fragments.keys())
        holders = self._index.everyone() if nearly_all else self._index.holders(fragments)
        for turn, outbox in enumerate(holders, start=1):
            outbox.prices(fragments, at, nearly_all=nearly_all)
            if turn % SOCKETS_PER_TURN == 0:
                await asyncio.sleep(0)
                if version != self._book.version:  # what is left must not follow on newer prices
                    fragments, version = self._book.fragments(fragments), self._book.version
