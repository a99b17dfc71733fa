"""Sends a batch of prices to many sockets: each token is encoded once, each socket gets one message."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from positions import valkey
from positions.errors import DATABASE_UNAVAILABLE
from positions.prices.quotes import Quote
from realtime.hub.batches import Batches
from realtime.hub.clocks import Clocks
from realtime.hub.encoded_prices import PlainPrices
from realtime.hub.latest_prices import LatestPrices
from realtime.hub.outbox import Outbox
from realtime.hub.price_keys import PriceKeys
from realtime.hub.token_index import SOCKETS_PER_TURN, TokenIndex
from realtime.hub.turns import chunks
from realtime.monitoring import outages
from realtime.protocol import messages
from realtime.protocol.price_envelopes import read_prices

logger = logging.getLogger(__name__)

# An answer is decoded in one go, about 3 µs a token.
TOKENS_PER_READ = 1000
# Learned, or found to be stale, before other tasks get a turn: up to 20 µs a token.
TOKENS_PER_SLICE = 250
GRACE_SECONDS = 1.0
"""How long a batch may take to arrive."""


class PriceFanOut:
    """Sends the prices that `latest` learns to the sockets that hold their tokens, by `index`.

    `need` is told which tokens are read for streams, before it and after it; then also in how many groups the price
    feed sends, if the cache has it.
    """

    def __init__(
        self,
        latest: LatestPrices,
        index: TokenIndex[Outbox],
        *,
        need: Callable[[Collection[str], int | None], None] = lambda tokens, shards: None,
        in_crowd: Callable[[], bool] = lambda: False,
    ) -> None:
        self._latest = latest
        self._index = index
        self._need = need
        self.keys = PriceKeys()
        self._clocks = Clocks()
        self._unavailable = False
        self._in_crowd = in_crowd
        self._reads = Batches[Collection[str], None](
            self._read_all, outages=valkey.Unavailable, in_crowd=in_crowd
        )

    async def batch(self, *messages: Mapping[str, Any]) -> None:
        """Learn the prices of a `price.batch`, or of all messages of a round, and send them."""
        news: dict[str, str] = {}
        for message in messages:
            for priced in self._clocks.of_now(read_prices(message)):
                news |= self._latest.remember(priced)
        await self._send(news)

    async def learn(self, tokens: Collection[str], *, ask_source: bool) -> None:
        """Read the prices of these tokens, from the cache, and with `ask_source` from the source where it has none.

        A stream that starts asks the source, and shares one MGET with those that start at the same time (`_unread`).

        A missing price is not an error: the last one in the database is used, or else the purchase price. A price that
        is news is sent to every socket that holds the token: once it is known here, no later round would send it.
        """
        self._need(tokens, None)
        try:
            if ask_source and len(tokens) <= TOKENS_PER_SLICE:
                if unread := self._unread(tokens):
                    await self._reads.ask(unread)
            else:
                await self.read(tokens)
            if ask_source:
                await self._learn(await self._latest.ask_source(tokens))
            self._unavailable = False
        except valkey.Unavailable as error:
            if not self._unavailable:  # once an outage, not once a socket or an event
                why = str(error) or type(error).__name__
                logger.warning("prices cannot be read: %s", why, extra=outages.field("valkey"))
            self._unavailable = True
        if ask_source:
            with contextlib.suppress(*DATABASE_UNAVAILABLE):  # the caller's own queries report it
                await self._learn(await self._latest.ask_database(tokens))
        await self._age(tokens)

    def _unread(self, tokens: Collection[str]) -> Collection[str]:
        """Return which of the tokens of a stream that starts are read: in a crowd, those that no stream here holds yet.

        The rounds bring the prices of the others, and the reconciler what was lost of them. A batch of the crowd held
        up everybody for 4 ms while it read them again, 200 tokens (2026-11-26).
        """
        if not self._in_crowd():
            return tokens
        return [token for token in tokens if not (self._index.has(token) and self._latest.knows(token))]

    async def _read_all(self, asked: Sequence[Collection[str]]) -> list[Exception | None]:
        await self.read(dict.fromkeys(token for tokens in asked for token in tokens))
        return [None] * len(asked)

    async def read(self, tokens: Collection[str]) -> None:
        """Read these tokens from the cache, and send what is news. Raises valkey.Unavailable."""
        for some in chunks(tokens, TOKENS_PER_SLICE):
            news = await self._latest.read(some)
            self._need(some, self._latest.shards)
            await self._send(news)

    async def _learn(self, quotes: Collection[Quote]) -> None:
        for some in chunks(quotes, TOKENS_PER_SLICE):
            await self._send(self._latest.learn(some))
            await self._let_others(quotes)

    async def age(self) -> None:
        """Send the sockets which prices have become stale, for whatever reason no newer ones came."""
        await self._age(self._index.tokens())

    async def _age(self, tokens: Collection[str]) -> None:
        now = datetime.now(UTC)
        for some in chunks(tokens, TOKENS_PER_SLICE):
            await self._send(self._latest.aged(some, now))
            await self._let_others(tokens)

    async def _let_others(self, items: Collection[object]) -> None:
        if len(items) > TOKENS_PER_SLICE:
            await asyncio.sleep(0)

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
            self._need((), self._latest.shards)
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
        holders = self._index.everyone() if nearly_all else list(self._index.holders(fragments))
        plain = PlainPrices(fragments, at, has_nearly_all=nearly_all)
        rows = self.keys.rows(fragments, has_nearly_all=nearly_all)
        for begin in range(0, len(holders), SOCKETS_PER_TURN):
            if begin:
                await asyncio.sleep(0)
                if version != self._latest.version:  # the rest must not be sent older prices after newer ones
                    fragments, version = self._latest.renewed(fragments), self._latest.version
                    plain = PlainPrices(fragments, at, has_nearly_all=nearly_all)
                    rows = self.keys.rows(fragments, has_nearly_all=nearly_all)
            for outbox in holders[begin : begin + SOCKETS_PER_TURN]:
                outbox.send_prices(plain if outbox.price_keys is None else rows)
            plain.count()
            rows.count()
