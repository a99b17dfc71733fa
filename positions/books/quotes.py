"""A token's price at one moment, and how reliable it is."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Context, Decimal
from typing import Literal

_DIGITS = Context(prec=50)
WRAPPED_SOL = "So11111111111111111111111111111111111111112"

MarketStatus = Literal["live", "thin", "gone"]
"""A reliable market; one whose price is not reliable; a market that no longer exists."""
PriceStatus = Literal["live", "stale", "thin", "gone", "none"]
"""The status that clients see: `stale` if the source has not answered for too long, `none` without any price yet."""


@dataclass(frozen=True, slots=True)
class Market:
    """The market that sets a price, as the source last reported it."""

    status: MarketStatus = "live"
    liquidity_usd: Decimal | None = None
    pool_tokens: Decimal | None = None
    pool_sol: Decimal | None = None
    """The pool's reserves: tokens, and the other side in SOL; None if the source does not report them."""
    priced_at: datetime | None = None
    """When it gave the last price, if it has answered without one since."""


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
    """None if the source reports nothing of it, and in a message between processes if it has not changed."""
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
        return other is not None and self.price == other.price and self.price_usd == other.price_usd

    def same_market(self, other: Quote | None) -> bool:
        """Whether the markets are reported as the same, too."""
        if other is None:
            return False
        market, others = self.market or UNKNOWN_MARKET, other.market or UNKNOWN_MARKET
        return market is others or market == others

    @property
    def sol_usd(self) -> Decimal | None:
        """USD for one SOL according to this quote, so that figures in SOL and in USD always agree."""
        if self.price_usd is None or not self.price:
            return None
        return _DIGITS.divide(self.price_usd, self.price)
