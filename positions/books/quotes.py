"""A token's price at one moment."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal, localcontext

WRAPPED_SOL = "So11111111111111111111111111111111111111112"


@dataclass(frozen=True, slots=True)
class Quote:
    """One token's price."""

    token_address: str
    price: Decimal
    """In SOL, positive, at most 30 decimals."""
    price_usd: Decimal | None
    """In USD; None where the source does not know what SOL costs."""
    as_of: datetime
    """When the source gave it."""

    def same_price(self, other: Quote | None) -> bool:
        """Whether the prices are the same: a newer time alone is not sent to clients."""
        return other is not None and (self.price, self.price_usd) == (other.price, other.price_usd)

    @property
    def sol_usd(self) -> Decimal | None:
        """USD for one SOL according to this quote, so that figures in SOL and in USD always agree."""
        if self.price_usd is None:
            return None
        with localcontext(prec=50):
            return self.price_usd / self.price
