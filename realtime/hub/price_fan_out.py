"""Sends a batch of prices to many sockets: each token is encoded once, each socket gets one message."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Collection, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from positions import valkey
from positions.errors import DATABASE_UNAVAILABLE
from positions.prices.quotes import Quote
from realtime.hub.latest_prices import LatestPrices
from realtime.hub.outbox import Outbox
from realtime.hub.token_index import TokenIndex
from realtime.protocol import messages
from realtime.protocol.envelopes import read_prices

logger = logging.getLogger(__name__)

# Sockets written to before other tasks get a turn: a message costs about 11 µs (docs/performance.md).
SOCKETS_PER_TURN = 200
# An answer is decoded in one go, about 3 µs a token.
TOKENS_PER_READ = 1000
GRACE_SECONDS = 1.0
"""How long a batch may take to arrive."""


class PriceFanOut:
    """Sends the prices that `latest` learns to the sockets that hold their tokens, by `index`."""

    def __init__(self, latest: LatestPrices, index: TokenIndex[Outbox]) -> None:
        self._latest = latest
        self._index = index
        self._unavailable = False

    async def batch(self, message: Mapping[str, Any]) -> None:
        """Learn and send the prices of a `price.batch`."""
        news: dict[str, str] = {}
        for priced in read_prices(message):
            news |= self._latest.remember(priced)
        await self._send(news)

    async def learn(self, tokens: Collection[str], *, ask_source: bool) -> None:
        """Read the prices of these tokens, from the cache, and with `ask_source` from the source where it has none.

        A missing price is not an error: the last one in the database is used, or else the purchase price. A price that
        is news is sent to every socket that holds the token: once it is known here, no later round would send it.
        """
        try:
            await self._send(await self._latest.read(tokens, ask_source=ask_source))
            self._unavailable = False
        except valkey.Unavailable as error:
            if not self._unavailable:  # once an outage, not once a socket or an event
                logger.warning("prices cannot be read: %s", str(error) or type(error).__name__)
            self._unavailable = True
        if ask_source:
            with contextlib.suppress(*DATABASE_UNAVAILABLE):  # the caller's own queries report it
                await self._send(await self._latest.read_last(tokens))
        await self._send(self._latest.aged(tokens, datetime.now(UTC)))

    async def age(self) -> None:
        """Send the sockets which prices have become stale, for whatever reason no newer ones came."""
        await self._send(self._latest.aged(self._index.tokens(), datetime.now(UTC)))

    async def refresh(self) -> None:
        """Read the prices of all tokens held here, and send what no batch has brought: one MGET for a thousand.

        The feed writes the cache before it sends: batches in transit get time to arrive, once for all tokens.
        Raises valkey.Unavailable. Safe to cancel.
        """
        tokens = self._index.tokens()
        missed: list[list[Quote]] = []
        for begin in range(0, len(tokens), TOKENS_PER_READ):
            missed.append([])
            same: list[Quote] = []
            for quote in await self._latest.cached(tokens[begin : begin + TOKENS_PER_READ]):
                (missed[-1] if self._latest.is_news(quote) else same).append(quote)
            self._latest.learn(same)
        if any(missed):
            await asyncio.sleep(GRACE_SECONDS)
            # Once they are known here, no later round would send them: so all are sent, even if this is cancelled.
            await asyncio.shield(self._send_missed(missed))

    async def _send_missed(self, missed: Iterable[Iterable[Quote]]) -> None:
        for quotes in missed:
            await self._send(self._latest.learn(quotes))

    def send_newest(self, outbox: Outbox, tokens: Iterable[str], *, in_full: bool = False) -> None:
        """Send one socket the known prices of these tokens; `in_full`, with what else it may have missed of them."""
        outbox.prices(self._latest.fragments(tokens, in_full=in_full), messages.now())

    async def _send(self, fragments: Mapping[str, str]) -> None:
        if not fragments:
            return
        at, version = messages.now(), self._latest.version
        # As in most rounds of a moving market.
        nearly_all = self._index.are_nearly_all(fragments.keys())
        holders = self._index.everyone() if nearly_all else self._index.holders(fragments)
        for turn, outbox in enumerate(holders, start=1):
            outbox.prices(fragments, at, nearly_all=nearly_all)
            if turn % SOCKETS_PER_TURN == 0:
                await asyncio.sleep(0)
                if version != self._latest.version:  # the rest must not be sent older prices after newer ones
                    fragments, version = self._latest.renewed(fragments), self._latest.version
