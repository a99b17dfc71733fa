"""Puts prices and status into the cache as the feed does."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from positions.prices.cache import FeedStatus, put_prices
from positions.prices.quotes import Quote
from positions.valkey import close_async_client

QUOTED_AT = datetime(2026, 1, 31, 12, 0, 0, 250_000, tzinfo=UTC)


def quote(
    token_address: str, price: str, price_usd: str | None = None, *, as_of: datetime = QUOTED_AT
) -> Quote:
    return Quote(token_address, Decimal(price), None if price_usd is None else Decimal(price_usd), as_of)


def fresh_quote(token_address: str, price: str) -> Quote:
    """Return a price that is good enough to sell at."""
    return quote(token_address, price, as_of=datetime.now(UTC))


def put(*quotes: Quote, sol_usd: Decimal | None = None, age: timedelta = timedelta(0)) -> None:
    """Write the quotes to the cache, and what SOL costs as the feed's status of that long ago has it."""
    status = FeedStatus(
        source="simulated",
        simulated=True,
        sol_usd=sol_usd,
        updated_at=datetime.now(UTC) - age,
        interval_seconds=1.5,
    )

    async def write() -> None:
        await put_prices(quotes, status)
        await close_async_client()

    asyncio.run(write())
