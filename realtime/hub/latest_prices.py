"""The newest price of each token that a server process has heard of."""

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
    """Filled by every price batch, and from the cache and the source where a token is new here.

    An older price never replaces a newer one, whichever way each came. Prices are kept in the form in which clients
    are sent them: far more are passed on than looked at.
    """

    def __init__(self) -> None:
        self.sol_usd: Decimal | None = None
        """USD for one SOL, for positions that have no quote of their own; None where unknown."""
        self.version = 0
        """Another number after each change."""
        self._known: dict[str, tuple[str, str, datetime]] = {}  # token → its fragment, its digits, as of when
        self._newest = LONG_AGO

    def quote(self, token: str) -> Quote | None:
        """Return the token's price, digit for digit; None where it is not known here."""
        known = self._known.get(token)
        if known is None:
            return None
        _, digits, as_of = known
        return decoded(token, digits, as_of)

    def fragments(self, tokens: Iterable[str]) -> dict[str, str]:
        """Return what clients are sent of these tokens, of those that are known."""
        return {token: self._known[token][0] for token in tokens if token in self._known}

    def remember(self, priced: Priced) -> dict[str, str]:
        """Keep what is not older than what is known; return its fragments."""
        as_of, fragments, digits = priced
        if as_of >= self._newest:  # than everything: the usual case, without a look at each token
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
        """Read these tokens from the cache: one MGET; with `ask_source`, what it misses from the source (which may
        take seconds). Return the fragments of those whose price was not known.

        Raises valkey.Unavailable. Safe to cancel.
        """
        news = self.learn(await self.cached(tokens))
        missing = [token for token in tokens if token not in self._known]
        if missing and ask_source:
            news |= self.learn((await fill_misses(missing)).values())
        return news

    async def cached(self, tokens: Collection[str]) -> Collection[Quote]:
        """Return what the cache has of these tokens: one MGET. Raises valkey.Unavailable."""
        if not tokens:
            return ()
        cached = await aget_prices(tokens)
        self.sol_usd = cached.sol_usd  # None, too: what nobody vouches for any more is unknown
        return cached.quotes.values()

    def is_news(self, quote: Quote) -> bool:
        """Return whether this is a price that is not known here, nor a newer one."""
        token = quote.token_address
        return self._as_of(token) < quote.as_of and not quote.same_price(self.quote(token))

    def learn(self, quotes: Iterable[Quote]) -> dict[str, str]:
        """Keep what is newer than what is known; return the fragments of those whose price was not known.

        Known now, not when it was asked for: what a batch brought meanwhile, its sockets have heard already.
        """
        news = {}
        for quote in quotes:
            token = quote.token_address
            if self._as_of(token) >= quote.as_of:  # nearly all: the cache holds what the batches told
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
