"""What a sale brings at the market price, where its proceeds are not named."""

from __future__ import annotations

from decimal import Decimal
from uuid import UUID

from django.utils import timezone

from positions.books import accounting
from positions.errors import PriceUnknown
from positions.models import Position
from positions.prices.last_quotes import newest_prices
from positions.prices.quotes import Quote
from positions.services.entries import LATE, Entry


def market_price(position_id: UUID, entry: Entry) -> Quote | PriceUnknown:
    """Return the price to sell at, or why there is none: of no interest to a repeat of what was booked.

    To be asked before the lock: a price cache that hangs must not hold up the agent's other writers.
    """
    address, symbol = Position.objects.values_list("token_address", "token_symbol").get(pk=position_id)
    moment = entry.given_executed_at
    if moment is not None and timezone.now() - moment > LATE:
        return PriceUnknown("a sale that is booked late needs its proceeds", field="proceeds_sol")
    prices = newest_prices([address])
    quote = prices.quotes.get(address)
    problem = ""
    if prices.errors:
        problem = "the price cache cannot be reached"
    elif quote is None:
        problem = f"no market price of {symbol} is known"
    elif quote.status != "live":
        problem = f"the price of {symbol} is {quote.status} and {_age(quote)} old"
    if problem or quote is None:
        return PriceUnknown(f"{problem}: proceeds are required", field="proceeds_sol")
    return quote


def proceeds(named: Decimal | None, market: Quote | PriceUnknown | None, tokens: Decimal) -> Decimal:
    """Return what the sale of these tokens brings: as named, or at the market price. Raises PriceUnknown."""
    if named is not None:
        return named
    if not isinstance(market, Quote):
        raise market or PriceUnknown("proceeds are required", field="proceeds_sol")
    return accounting.proceeds(tokens=tokens, price=market.price)


def _age(quote: Quote) -> str:
    seconds = max(0.0, (timezone.now() - quote.priced_at).total_seconds())
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} minutes"
