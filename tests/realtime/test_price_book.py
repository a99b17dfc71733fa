"""What a server process knows of prices, whichever way each came."""

from __future__ import annotations

import asyncio

from positions.prices.cache import put_prices
from realtime.price_book import PriceBook
from tests.conftest import BONK, WIF, quote


async def test_read_returns_what_the_cache_has_and_the_book_had_not():
    book = PriceBook()
    await put_prices([quote(BONK, "0.002"), quote(WIF, "0.5")])
    assert {news.token_address for news in await book.read([BONK, WIF, "unknown"])} == {BONK, WIF}
    assert await book.read([BONK, WIF]) == []


async def test_read_does_not_return_what_a_batch_brought_meanwhile():
    """Whoever gave the batch to the book has told the sockets of it: they would hear it twice."""
    book = PriceBook()
    await put_prices([quote(BONK, "0.002")])
    await book.read([BONK])
    reading = asyncio.create_task(book.read([BONK]))
    await asyncio.sleep(0)  # it has asked, and its answer cannot be here yet
    book.remember([newest := quote(BONK, "0.003")])
    assert await reading == []
    assert book.quotes[BONK] == newest


async def test_read_of_an_older_quote_keeps_the_newer_one():
    book = PriceBook()
    older, newer = quote(BONK, "0.002"), quote(BONK, "0.003")
    book.remember([newer])
    await put_prices([older])
    assert await book.read([BONK]) == []
    assert book.quotes[BONK] == newer
