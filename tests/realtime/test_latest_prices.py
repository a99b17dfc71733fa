"""The newest prices in a server process, however each arrived."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from decimal import Decimal

import pytest

from positions.prices.cache import put_prices
from positions.prices.quotes import WRAPPED_SOL, Quote
from realtime.hub.latest_prices import LatestPrices
from realtime.protocol.price_envelopes import price_message, read_prices
from tests.conftest import BONK, WIF, quote


def receive_batch(latest: LatestPrices, *quotes: Quote) -> dict[str, str]:
    """Receive a batch; return what is new in it."""
    news: dict[str, str] = {}
    for priced in read_prices(price_message(quotes)):
        news |= latest.remember(priced)
    return news


async def test_read_returns_what_the_cache_has_and_was_not_known():
    latest = LatestPrices()
    await put_prices([quote(BONK, "0.002"), quote(WIF, "0.5")])
    assert (await latest.read([BONK, WIF, "unknown"])).keys() == {BONK, WIF}
    assert await latest.read([BONK, WIF]) == {}


async def test_read_does_not_return_what_a_batch_brought_meanwhile():
    """The fan-out has sent the batch to the sockets already: they would get it twice."""
    latest = LatestPrices()
    await put_prices([quote(BONK, "0.002")])
    await latest.read([BONK])
    reading = asyncio.create_task(latest.read([BONK]))
    await asyncio.sleep(0)  # it has asked, and its answer cannot be here yet
    receive_batch(latest, newest := quote(BONK, "0.003"))
    assert await reading == {}
    assert latest.quote(BONK) == newest


async def test_read_of_an_older_quote_keeps_the_newer_one():
    latest = LatestPrices()
    older, newer = quote(BONK, "0.002"), quote(BONK, "0.003")
    receive_batch(latest, newer)
    await put_prices([older])
    assert await latest.read([BONK]) == {}
    assert latest.quote(BONK) == newer


def test_batch_that_is_late_changes_only_what_is_older_still():
    latest = LatestPrices()
    late, newer = quote(BONK, "0.002"), quote(BONK, "0.003")
    other = replace(quote(WIF, "0.5"), as_of=late.as_of)
    receive_batch(latest, newer)
    assert receive_batch(latest, late, other).keys() == {WIF}
    assert (latest.quote(BONK), latest.quote(WIF)) == (newer, other)


@pytest.mark.parametrize("price_usd", [None, "123456789.000000000000000001"])
def test_quote_comes_back_digit_for_digit(price_usd):
    latest = LatestPrices()
    receive_batch(latest, given := quote(BONK, "0.000000000000000001", price_usd))
    assert latest.quote(BONK) == given
    assert latest.quote(WIF) is None


def test_price_of_sol_in_a_batch_prices_what_has_no_quote():
    latest = LatestPrices()
    receive_batch(latest, quote(WRAPPED_SOL, "1", "150.5"))
    assert latest.sol_usd == Decimal("150.5")
    receive_batch(latest, quote(WRAPPED_SOL, "1", None))
    assert latest.sol_usd is None


async def test_read_keeps_the_price_of_sol_that_a_batch_brought_meanwhile():
    prices = LatestPrices()
    reading = asyncio.create_task(prices.read([BONK]))  # the cache has no price of SOL
    await asyncio.sleep(0)  # it has asked, and its answer cannot be here yet
    receive_batch(prices, quote(WRAPPED_SOL, "1", "150"))
    await reading
    assert prices.sol_usd == Decimal(150)
