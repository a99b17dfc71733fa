"""The newest price of each token that a server process has heard of."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from decimal import Decimal

from positions.prices.cache import aget_prices
from positions.prices.lookup import fill_misses
from positions.prices.quotes import WRAPPED_SOL, Quote


class PriceBook:
    """Filled by every price batch, and from the cache and the source where a token is new here.

    An older quote never replaces a newer one, whichever way each came.
    """

    def __init__(self) -> None:
        self.quotes: dict[str, Quote] = {}
        self.sol_usd: Decimal | None = None
        """USD for one SOL, for positions that have no quote of their own; None where unknown."""

    async def read(self, tokens: Collection[str], *, ask_source: bool = False) -> list[Quote]:
        """Read these tokens from the cache: one MGET; with `ask_source`, what it misses from the source (which may
        take seconds). Return those whose price was not known.

        Raises valkey.Unavailable. Safe to cancel.
        """
        if not tokens:
            return []
        known = await aget_prices(tokens)
        self.sol_usd = known.sol_usd  # None, too: what nobody vouches for any more is unknown
        news = self._learn(known.quotes.values())
        missing = [token for token in tokens if token not in self.quotes]
        if missing and ask_source:
            news += self._learn((await fill_misses(missing)).values())
        return news

    def _learn(self, quotes: Iterable[Quote]) -> list[Quote]:
        """Keep what is not older than what is known; return those whose price was not known.

        Known now, not when it was asked for: what a batch brought meanwhile, its sockets have heard already.
        """
        news = []
        for quote in quotes:
            before = self.quotes.get(quote.token_address)
            if self._keep(quote) and not quote.same_price(before):
                news.append(quote)
        return news

    def remember(self, quotes: Iterable[Quote]) -> list[Quote]:
        """Keep what is not older than what is known; return it."""
        return [quote for quote in quotes if self._keep(quote)]

    def _keep(self, quote: Quote) -> bool:
        known = self.quotes.get(quote.token_address)
        if known is not None and known.as_of > quote.as_of:
            return False
        self.quotes[quote.token_address] = quote
        if quote.token_address == WRAPPED_SOL:
            self.sol_usd = quote.sol_usd
        return True
