"""The newest price of every token, in Redis or Valkey, for all processes: written by the feed, read by all others.

A price is kept until a newer one replaces it, with the time it was fetched: a stale price with its age is worth more
than none. It expires a day after it was written; `last_quotes` has it after that, too.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Collection, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import cast

import msgspec

from positions.books.quotes import MarketStatus
from positions.prices.quotes import (
    Market,
    Prices,
    Quote,
    is_credible,
    is_figure,
    is_of_now,
    is_stale,
    judged,
)
from positions.valkey import KEY_PREFIX, async_client, client

logger = logging.getLogger(__name__)

KEPT_FOR = timedelta(days=1)
FEED_KEY = f"{KEY_PREFIX}feed"
# MSET that expires. A command for each of 20,000 tokens would take the feed 0.43 s of CPU, where this takes 0.05.
# Valkey runs it within a millisecond: nobody else waits for long.
SET_ALL = """
for i, key in ipairs(KEYS) do
    redis.call('SET', key, ARGV[i + 1], 'EX', ARGV[1])
end
"""
ENTRIES_PER_COMMAND = 500


class FeedStatus(msgspec.Struct, kw_only=True, rename="camel"):
    """The price feed's status after its last round."""

    source: str
    simulated: bool
    sol_usd: Decimal | None = None
    """USD for one SOL; None where unknown."""
    updated_at: datetime
    """When the last round ended, successful or not."""
    interval_seconds: float
    tokens: int = 0
    """How many tokens are held."""
    asked: int | None = None
    """How many of them were asked for. None: all."""
    priced: int = 0
    """How many of them have a price from that round."""
    errors: list[str] = []
    answered_at: datetime | None = None
    """When the source last answered at all; None where the feed of an older release does not say."""

    shards: int | msgspec.UnsetType = msgspec.UNSET
    """In how many groups it sends prices (realtime/protocol/shards.py). Unset: in one."""

    def is_stale(self, now: datetime) -> bool:
        """Whether the source has not answered for too long, for instance because no feed is running."""
        return is_stale(self.answered_at or self.updated_at, now)


class _Entry(msgspec.Struct, array_like=True):
    """Read by processes of the release before and after, too: what is added has a default, and stands at the end."""

    price: Decimal
    price_usd: Decimal | None
    as_of: datetime
    status: MarketStatus | None = None
    """None where nothing of the market is known."""
    liquidity_usd: Decimal | None = None
    pool_tokens: Decimal | None = None
    pool_sol: Decimal | None = None
    priced_at: datetime | None = None


_encode = msgspec.json.Encoder().encode
_decode_entry = msgspec.json.Decoder(_Entry).decode
_decode_status = msgspec.json.Decoder(FeedStatus).decode


def get_prices(token_addresses: Collection[str]) -> Prices:
    """Return the cached quotes of these tokens, and SOL in USD: one MGET. Raises valkey.Unavailable."""
    keys = _keys(token_addresses)
    return _prices(*_read(token_addresses, cast("list[bytes | None]", client().mget(keys))))


async def aget_prices(token_addresses: Collection[str]) -> Prices:
    """Like get_prices, for asynchronous code. Safe to cancel."""
    return _prices(*await aget_quotes_and_feed(token_addresses))


async def aget_quotes_and_feed(
    token_addresses: Collection[str],
) -> tuple[dict[str, Quote], FeedStatus | None]:
    """Return the cached quotes of these tokens, and the feed's status, as `get_feed_status` does: one MGET.

    Raises valkey.Unavailable. Safe to cancel.
    """
    values = cast("list[bytes | None]", await async_client().mget(_keys(token_addresses)))
    return _read(token_addresses, values)


def get_feed_status() -> FeedStatus | None:
    """Return the feed's status; None where no feed has run for a day. Raises valkey.Unavailable."""
    return _status(cast("bytes | None", client().get(FEED_KEY)))


async def aget_feed_status() -> FeedStatus | None:
    """Like get_feed_status, for asynchronous code."""
    return _status(cast("bytes | None", await async_client().get(FEED_KEY)))


async def put_prices(quotes: Iterable[Quote], status: FeedStatus | None = None) -> None:
    """Write quotes, and the feed's status where it comes with them, in one pipeline. Raises valkey.Unavailable."""
    entries = [(_key(quote.token_address), _encode(_entry(quote))) for quote in quotes]
    seconds = int(KEPT_FOR.total_seconds())
    async with async_client().pipeline(transaction=False) as pipeline:
        for begin in range(0, len(entries), ENTRIES_PER_COMMAND):
            keys, values = zip(*entries[begin : begin + ENTRIES_PER_COMMAND], strict=True)
            pipeline.eval(SET_ALL, len(keys), *keys, seconds, *values)
        if status is not None:
            pipeline.set(FEED_KEY, _encode(status), ex=seconds)
        await pipeline.execute()


def forget_prices(token_addresses: Iterable[str]) -> None:
    """Remove what is cached of these tokens, and the feed's status: one DEL. Raises valkey.Unavailable."""
    client().delete(*_keys(list(token_addresses)))


def encode_price(quote: Quote) -> bytes:
    """Return the quote's entry without its market."""
    return _encode(_Entry(quote.price, quote.price_usd, quote.as_of))


def read_quotes(token_addresses: Collection[str], values: Sequence[bytes | None]) -> dict[str, Quote]:
    """Return the quotes in the entries of these tokens, judged as of now; of None there is none."""
    now, quotes = datetime.now(UTC), {}
    for address, value in zip(token_addresses, values, strict=True):
        if value is None:
            continue
        try:
            quote = _quote(address, _decode_entry(value))
        except (msgspec.MsgspecError, OverflowError):  # or a time that UTC has not
            quote = None
        if quote is None or not is_credible(quote, now):
            _skip("prices")
        else:
            quotes[address] = judged(quote, now)
    return quotes


def _key(token_address: str) -> str:
    return f"{KEY_PREFIX}price:{token_address}"


def _keys(token_addresses: Collection[str]) -> list[str]:
    return [FEED_KEY, *map(_key, token_addresses)]


def _read(
    token_addresses: Collection[str], values: Sequence[bytes | None]
) -> tuple[dict[str, Quote], FeedStatus | None]:
    status, *entries = values
    return read_quotes(token_addresses, entries), _status(status)


def _prices(quotes: dict[str, Quote], feed: FeedStatus | None) -> Prices:
    return Prices(quotes, sol_usd=feed.sol_usd if feed else None)


def _status(value: bytes | None) -> FeedStatus | None:
    if not value:
        return None
    try:
        status = _decode_status(value)
    except msgspec.MsgspecError:
        status = None
    if status is None or not is_of_now(status.updated_at, datetime.now(UTC)) or not is_figure(status.sol_usd):
        _skip("a feed's status")
        return None
    return status


@functools.cache
def _skip(what: str) -> None:
    """Log that there is something in the cache that no feed writes: once, not whenever it is read."""
    logger.warning(
        "the price cache has %s that are not valid: unreadable, of the future, or no number; skipped", what
    )


def _entry(quote: Quote) -> _Entry:
    market = quote.market
    if market is None:
        return _Entry(quote.price, quote.price_usd, quote.as_of)
    return _Entry(
        quote.price,
        quote.price_usd,
        quote.as_of,
        market.status,
        market.liquidity_usd,
        market.pool_tokens,
        market.pool_sol,
        market.priced_at,
    )


def _quote(address: str, entry: _Entry) -> Quote:
    market = None
    if entry.status is not None:
        priced_at = entry.priced_at.astimezone(UTC) if entry.priced_at else None
        market = Market(entry.status, entry.liquidity_usd, entry.pool_tokens, entry.pool_sol, priced_at)
    return Quote(address, entry.price, entry.price_usd, entry.as_of.astimezone(UTC), market)
