"""The newest price of each token that a server process knows."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import UTC, datetime
from decimal import Decimal
from itertools import compress, repeat

from positions.prices.cache import aget_prices
from positions.prices.lookup import fill_misses
from positions.prices.quotes import WRAPPED_SOL, Quote
from realtime.protocol.envelopes import Priced, decoded, encoded

LONG_AGO = datetime.min.replace(tzinfo=UTC)


class LatestPrices:
    """Filled by every price batch, and from the cache and the source for tokens that are new here.

    An older price never replaces a newer one, wherever they came from. Prices are stored as they are sent to clients:
    far more are sent than read.
    """

    def __init__(self) -> None:
        self.sol_usd: Decimal | None = None
        """USD per SOL, for positions without a quote of their own; None where unknown."""
        self.version = 0
        """Higher after each change of a price."""
        self._known: dict[str, tuple[str, str, datetime]] = {}  # token → its fragment, its digits, as of when
        self._newest = LONG_AGO

    def quote(self, token: str) -> Quote | None:
        """Return the token's price, digit for digit; None if it is not known here."""
        known = self._known.get(token)
        if known is None:
            return None
        _, digits, as_of = known
        return decoded(token, digits, as_of)

    def fragments(self, tokens: Iterable[str]) -> dict[str, str]:
        """Return the fragments of those of the tokens that are known."""
        return {token: self._known[token][0] for token in tokens if token in self._known}

    def remember(self, priced: Priced) -> dict[str, str]:
        """Keep what is not older than what is known; return its fragments."""
        as_of, fragments, digits = priced
        if as_of >= self._newest:  # than everything: the usual case, without a comparison for each token
            self._newest = as_of
        else:
            kept = [self._as_of(token) <= as_of for token in fragments]
            fragments, digits = dict(compress(fragments.items(), kept)), list(compress(digits, kept))
        self._known.update(zip(fragments, zip(fragments.values(), digits, repeat(as_of)), strict=False))
        if WRAPPED_SOL in fragments:
            self._learn_sol_usd()
        self.version += bool(fragments)
        return fragments

    async def read(self, tokens: Collection[str], *, ask_source: bool = False) -> dict[str, str]:
        """Read these tokens from the cache; return the fragments of those whose price was not known.

        One MGET. With `ask_source`, tokens that are not in the cache are requested from the source, which may take
        seconds. Raises valkey.Unavailable. Safe to cancel.
        """
        news = self.learn(await self.cached(tokens))
        missing = [token for token in tokens if token not in self._known]
        if missing and ask_source:
            news |= self.learn((await fill_misses(missing)).values())
        return news

    async def cached(self, tokens: Collection[str]) -> Collection[Quote]:
        """Return the cached prices of these tokens. One MGET. Raises valkey.Unavailable."""
        if not tokens:
            return ()
        as_of = self._as_of(WRAPPED_SOL)
        cached = await aget_prices(tokens)
        if self._as_of(WRAPPED_SOL) == as_of:  # else a batch has brought it meanwhile
            self.sol_usd = cached.sol_usd  # also None: without a recent price it is unknown
        return cached.quotes.values()

    def is_news(self, quote: Quote) -> bool:
        """Return whether this price is new here, and no newer one is known."""
        token = quote.token_address
        return self._as_of(token) < quote.as_of and not quote.same_price(self.quote(token))

    def learn(self, quotes: Iterable[Quote]) -> dict[str, str]:
        """Keep what is newer than what is known; return the fragments of those whose price was not known.

        Compared with what is known now, not when the cache was read: a batch that came meanwhile has been sent.
        """
        news = {}
        for quote in quotes:
            token = quote.token_address
            if self._as_of(token) >= quote.as_of:  # nearly all: the cache has what the batches brought
                continue
            price = encoded(quote)
            if token not in self._known or self._known[token][0] != price.fragment:
                news[token] = price.fragment
            self._known[token] = *price, quote.as_of
            self._newest = max(self._newest, quote.as_of)
            if token == WRAPPED_SOL:
                self._learn_sol_usd()
        self.version += bool(news)
        return news

    def _as_of(self, token: str) -> datetime:
        known = self._known.get(token)
        return known[2] if known else LONG_AGO

    def _learn_sol_usd(self) -> None:
        quote = self.quote(WRAPPED_SOL)
        self.sol_usd = quote.sol_usd if quote else None
