"""The newest prices while the agents are recorded, a few at a time: each token is read once, not with every agent."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta
from decimal import Decimal

from positions.prices.last_quotes import known_prices
from positions.prices.quotes import judged

GOOD_FOR = timedelta(seconds=15)


class MarketNow:
    """Prices that were read less than GOOD_FOR ago."""

    def __init__(self) -> None:
        self._read_at: datetime | None = None
        self.prices: dict[str, Decimal | None] = {}
        """In SOL; None where none was ever known."""
        self.live: set[str] = set()
        """Those of them that are live."""
        self.sol_usd: Decimal | None = None

    def look_up(self, tokens: Collection[str], now: datetime) -> None:
        """Read the prices of these tokens, except those just read. An MGET, and a query where the cache misses some.

        Raises valkey.Unavailable.
        """
        if self._read_at is None or not timedelta(0) <= now - self._read_at < GOOD_FOR:
            self._read_at = now
            self.prices, self.live, self.sol_usd = {}, set(), None
        missing = set(tokens) - self.prices.keys()
        if missing or not self.prices:
            found = known_prices(missing)
            self.sol_usd = found.sol_usd
            for token in missing:
                quote = found.quotes.get(token)
                self.prices[token] = quote.price if quote else None
                if quote and judged(quote, now).status == "live":
                    self.live.add(token)
