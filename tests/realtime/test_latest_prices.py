"""The newest prices in a server process, however each arrived."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from decimal import Decimal

import pytest

from positions.prices.cache import put_prices
from positions.prices.quotes import WRAPPED_SOL, Quote
from realtime.hub.latest_prices import LatestPrices
from realtime.protocol.envelopes import price_message, read_prices
from tests.conftest import BONK, WIF, quote


def hear(book: LatestPrices, *quotes: Quote) -> dict[str, str]:
    """Let a batch come; return what of it is news."""
    news: dict[str, str] = {}
    for priced in read_prices(price_message(quotes)):
        news |= book.remember(priced)
    return news


async def test_read_returns_what_the_cache_has_and_the_book_had_not():
    book = LatestPrices()
    await put_prices([quote(BONK, "0.002"), quote(WIF, "0.5")])
    assert (await book.read([BONK, WIF, "unknown"])).keys() == {BONK, WIF}
    assert await book.read([BONK, WIF]) == {}


async def test_read_does_not_return_what_a_batch_brought_meanwhile():
    """Whoever gave the batch to the book has told the sockets of it: they would hear it twice."""
    book = LatestPrices()
    await put_prices([quote(BONK, "0.002")])
    await book.read([BONK])
    reading = asyncio.create_task(book.read([BONK]))
    await asyncio.sleep(0)  # it has asked, and its answer cannot be here yet
    hear(book, newest := quote(BONK, "0.003"))
    assert await reading == {}
    assert book.quote(BONK) == newest


async def test_read_of_an_older_quote_keeps_the_newer_one():
    book = LatestPrices()
    older, newer = quote(BONK, "0.002"), quote(BONK, "0.003")
    hear(book, newer)
    await put_prices([older])
    assert await book.read([BONK]) == {}
    assert book.quote(BONK) == newer


def test_batch_that_is_late_changes_only_what_is_older_still():
    book = LatestPrices()
    late, newer = quote(BONK, "0.002"), quote(BONK, "0.003")
    other = replace(quote(WIF, "0.5"), as_of=late.as_of)
    hear(book, newer)
    assert hear(book, late, other).keys() == {WIF}
    assert (book.quote(BONK), book.quote(WIF)) == (newer, other)


@pytest.mark.parametrize("price_usd", [None, "123456789.000000000000000001"])
def test_quote_comes_back_digit_for_digit(price_usd):
    book = LatestPrices()
    hear(book, given := quote(BONK, "0.000000000000000001", price_usd))
    assert book.quote(BONK) == given
    assert book.quote(WIF) is None


def test_price_of_sol_in_a_batch_prices_what_has_no_quote():
    book = LatestPrices()
    hear(book, quote(WRAPPED_SOL, "1", "150.5"))
    assert book.sol_usd == Decimal("150.5")
    hear(book, quote(WRAPPED_SOL, "1", None))
    assert book.sol_usd is None


async def test_read_keeps_the_price_of_sol_that_a_batch_brought_meanwhile():
    prices = LatestPrices()
    reading = asyncio.create_task(prices.read([BONK]))  # the cache has no price of SOL
    await asyncio.sleep(0)  # it has asked, and its answer cannot be here yet
    hear(prices, quote(WRAPPED_SOL, "1", "150"))
    await reading
    assert prices.sol_usd == Decimal(150)
