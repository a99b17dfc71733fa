"""A token's price at one moment, and how far to believe it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal, localcontext
from typing import Literal

WRAPPED_SOL = "So11111111111111111111111111111111111111112"

MarketStatus = Literal["live", "thin", "gone"]
"""What a source's answer is worth: a good market, one whose price is not to be relied on, none any more."""
PriceStatus = Literal["live", "stale", "thin", "gone", "none"]
"""What a reader is told: `stale` if the source has not answered for too long, `none` if no price was ever known."""


@dataclass(frozen=True, slots=True)
class Market:
    """The market that makes a price, as the source last told it."""

    status: MarketStatus = "live"
    liquidity_usd: Decimal | None = None
    pool_tokens: Decimal | None = None
    pool_sol: Decimal | None = None
    """What lies in the pool: tokens, and the other side in SOL; None where the source does not say."""
    priced_at: datetime | None = None
    """When it gave the last price, where it has answered without one since."""


UNKNOWN_MARKET = Market()


@dataclass(frozen=True, slots=True)
class Quote:
    """One token's price."""

    token_address: str
    price: Decimal
    """In SOL, not negative, at most 30 decimals."""
    price_usd: Decimal | None
    """In USD; None where the source does not know what SOL costs."""
    as_of: datetime
    """When the source last answered for the token."""
    market: Market | None = None
    """None where the source tells nothing of it, and in a message between processes where it is as it was."""
    is_stale: bool = False
    """Whether that is too long ago (`positions.prices.quotes.judged`, at the moment of reading)."""

    @property
    def status(self) -> PriceStatus:
        if self.is_stale:
            return "stale"
        return self.market.status if self.market else "live"

    @property
    def priced_at(self) -> datetime:
        """When the source gave this price."""
        return (self.market and self.market.priced_at) or self.as_of

    def same_price(self, other: Quote | None) -> bool:
        """Whether the prices are the same: a newer time alone is not sent to clients."""
        return other is not None and (self.price, self.price_usd) == (other.price, other.price_usd)

    def same_market(self, other: Quote | None) -> bool:
        """Whether the markets, too, are told alike."""
        return other is not None and (self.market or UNKNOWN_MARKET) == (other.market or UNKNOWN_MARKET)

    @property
    def sol_usd(self) -> Decimal | None:
        """USD for one SOL according to this quote, so that figures in SOL and in USD always agree."""
        if self.price_usd is None or not self.price:
            return None
        with localcontext(prec=50):
            return self.price_usd / self.price
