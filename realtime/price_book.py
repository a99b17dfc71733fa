"""The newest price of each token that a server process has heard of."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable
from decimal import Decimal

from positions import valkey
from positions.prices.cache import aget_prices
from positions.prices.lookup import fill_misses
from positions.prices.quotes import WRAPPED_SOL, Quote

logger = logging.getLogger(__name__)


class PriceBook:
    """Filled by every price batch, and from the cache and the source where a token is new here.

    An older quote never replaces a newer one, whichever way each came.
    """

    def __init__(self) -> None:
        self.quotes: dict[str, Quote] = {}
        self.sol_usd: Decimal | None = None
        """USD for one SOL, for positions that have no quote of their own; None where unknown."""

    async def learn(self, tokens: Collection[str], *, ask_source: bool) -> None:
        """See to it that `quotes` has what can be known about these tokens: one MGET, and with `ask_source` the
        source for what the cache misses (seconds, where it is slow).

        Never raises for want of prices: the purchase price stands in. Safe to cancel.
        """
        try:
            await self.read(tokens)
        except valkey.Unavailable as error:
            logger.warning("prices of %d tokens not read: %s", len(tokens), error)
            return
        missing = [token for token in tokens if token not in self.quotes]
        if missing and ask_source:
            self.remember((await fill_misses(missing)).values())

    async def read(self, tokens: Collection[str]) -> list[Quote]:
        """Read these tokens from the cache; return what is not older than what was known.

        Raises valkey.Unavailable. Safe to cancel.
        """
        if not tokens:
            return []
        known = await aget_prices(tokens)
        self.sol_usd = known.sol_usd
        return self.remember(known.quotes.values())

    def remember(self, quotes: Iterable[Quote]) -> list[Quote]:
        """Keep what is not older than what is known; return it."""
        newer = []
        for quote in quotes:
            known = self.quotes.get(quote.token_address)
            if known is None or known.as_of <= quote.as_of:
                self.quotes[quote.token_address] = quote
                newer.append(quote)
                if quote.token_address == WRAPPED_SOL:
                    self.sol_usd = quote.sol_usd
        return newer
