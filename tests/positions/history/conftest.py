from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from asgiref.sync import sync_to_async
from django.db import connections

from positions import valkey
from positions.books.accounting import digits
from positions.history.recorder import Recorder
from positions.models import Candle
from positions.prices.feed import PriceFeed
from positions.prices.quotes import Market as MarketOfToken
from positions.prices.quotes import Prices, Quote, Token, quotes_in_sol

NOON = datetime(2026, 1, 31, 12, 0, tzinfo=UTC)


class Market:
    """A source of prices whose prices, and whose clock, a test sets."""

    name = "market"
    simulated = True

    def __init__(self) -> None:
        self.now = NOON
        self.prices: dict[str, Decimal] = {}
        self.sol_usd: Decimal | None = Decimal(100)
        self.market: MarketOfToken | None = None
        """What the source reports of the tokens' markets."""

    async def fetch(self, tokens: Collection[Token]) -> Prices:
        held = {token.address for token in tokens}
        prices = {address: price for address, price in self.prices.items() if address in held}
        quotes = quotes_in_sol(prices, sol_usd=self.sol_usd, as_of=self.now)
        current = {address: replace(quote, market=self.market) for address, quote in quotes.items()}
        return Prices(current, self.sol_usd)

    async def aclose(self) -> None:
        pass


class World:
    """A feed, and the recorder of its rounds."""

    def __init__(self, market: Market) -> None:
        self.market = market
        self.restart()

    def restart(self) -> None:
        """Go on in another process: what this one remembers is gone."""
        self.recorder = Recorder(sleep=self.sleep, now=lambda: self.market.now)
        self.feed = PriceFeed(self.market, self.publish, 1.5, on_prices=self.recorder.note_round)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(0)

    async def publish(self, quotes: list[Quote]) -> None:
        pass

    async def round(self, at: str | None = None, **prices: str | Decimal) -> None:
        """Run a round at this time of the day, with these prices."""
        if at is not None:
            hour, minute, second = map(int, at.split(":"))
            self.market.now = NOON.replace(hour=hour, minute=minute, second=second)
        self.market.prices = {token: Decimal(price) for token, price in prices.items()}
        await self.feed.round()


@pytest.fixture
def market() -> Market:
    return Market()


@pytest.fixture
async def history(market: Market) -> AsyncIterator[World]:
    world = World(market)
    yield world
    await world.recorder.flush()
    await valkey.close_async_client()
    await sync_to_async(connections.close_all)()


def candles(token: str, seconds: int = Candle.MINUTE) -> list[tuple[str, ...]]:
    """Return a token's candles: when, open, high, low, close."""
    rows = Candle.objects.filter(token__address=token, seconds=seconds).order_by("start")
    return [
        (
            f"{row.start:%H:%M}",
            *(digits(each) for each in (row.open, row.high, row.low, row.close)),
        )
        for row in rows
    ]


acandles = sync_to_async(candles)
