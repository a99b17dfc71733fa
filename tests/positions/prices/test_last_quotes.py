"""What is known of a token when the cache no longer has it."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from asgiref.sync import sync_to_async
from django.conf import LazySettings
from django.db import connection

from positions import valkey
from positions.models import LastQuote, Position
from positions.prices.cache import aget_prices, put_prices
from positions.prices.feed import PriceFeed
from positions.prices.keeper import KEPT_SECONDS, Keeper
from positions.prices.last_quotes import newest_prices, read_last_quotes, write_last_quotes
from positions.prices.quotes import WRAPPED_SOL, Market, Prices, Quote, SourceError
from tests.conftest import BONK, WIF
from tests.positions.prices.test_feed import ScriptedSource, Wire

pytestmark = pytest.mark.django_db(transaction=True)

NOW = datetime.now(UTC)
POOL = Market("thin", Decimal("50000.5"), Decimal("1e29"), Decimal("0.00002161"), NOW - timedelta(days=3))
TINY = Quote(BONK, Decimal("1e-29"), Decimal("1.5e-27"), NOW, POOL)
FAR = datetime(9999, 12, 31, tzinfo=UTC)
PLAIN = Quote(WIF, Decimal("0.5"), None, NOW)


@pytest.fixture(autouse=True)
def never_stale(settings: LazySettings) -> None:
    # NOW is when the tests were collected.
    settings.NEXGENT = {**settings.NEXGENT, "PRICE_STALE_SECONDS": 86_400.0}


async def stored(token: str = BONK) -> Quote | None:
    return (await sync_to_async(read_last_quotes)([token])).get(token)


def test_quotes_come_back_digit_for_digit_and_the_newest_counts():
    write_last_quotes([TINY, replace(PLAIN, price=Decimal(7))])
    write_last_quotes([PLAIN])
    assert read_last_quotes([BONK, WIF, "unknown"]) == {BONK: TINY, WIF: PLAIN}


async def test_quotes_come_back_digit_for_digit_from_the_cache():
    await put_prices([TINY, PLAIN])
    assert (await aget_prices([BONK, WIF])).quotes == {BONK: TINY, WIF: PLAIN}


async def test_entry_of_the_release_before_is_read_as_a_price_alone():
    entry = f'["0.5","75","{NOW.isoformat()}"]'
    await valkey.async_client().set("nexgent:price:" + BONK, entry)
    assert (await aget_prices([BONK])).quotes == {BONK: Quote(BONK, Decimal("0.5"), Decimal(75), NOW)}


async def test_price_that_the_cache_has_lost_is_that_of_the_database(settings):
    await put_prices([PLAIN])
    await sync_to_async(write_last_quotes)([TINY, replace(PLAIN, price=Decimal(7))])
    prices = await sync_to_async(newest_prices)([BONK, WIF, "unknown"])
    assert (prices.quotes, prices.errors) == ({BONK: TINY, WIF: PLAIN}, [])
    settings.NEXGENT = {**settings.NEXGENT, "REDIS_URL": "unix:///nowhere/valkey.sock"}
    valkey.client.cache_clear()
    try:
        prices = await sync_to_async(newest_prices)([BONK, WIF])
    finally:
        valkey.client.cache_clear()
    assert prices.quotes[WIF].price == 7
    assert prices.errors == ["The price cache cannot be reached."]


# The feed


class Scripted(ScriptedSource):
    """Reports markets and what is gone, too."""

    def __init__(self) -> None:
        super().__init__()
        self.prices = {BONK: Decimal("0.5"), WRAPPED_SOL: Decimal(1)}
        self.gone: list[str] = []

    async def fetch(self, tokens):
        return replace(await super().fetch(tokens), gone=self.gone)


@pytest.fixture
def source() -> Scripted:
    return Scripted()


@pytest.fixture
def make_feed(source, sleep):
    return lambda: PriceFeed(source, Wire().publish, 1.5, sleep=sleep)


async def test_feed_keeps_the_last_quotes_in_the_database(make_feed, source, position: Position):
    await make_feed().run(1)
    quote = await stored()
    assert quote is not None
    assert (quote.price, quote.price_usd, quote.status) == (Decimal("0.5"), Decimal(50), "live")


async def test_emptied_cache_and_a_source_that_is_down_at_the_start_leave_the_last_price(
    make_feed, source, position: Position
):
    await make_feed().run(1)
    valkey.client().flushdb()
    source.failure = SourceError("down")
    wire = Wire()
    result = await PriceFeed(source, wire.publish, 1.5).round()
    assert wire.batches == [{BONK: "0.5", WRAPPED_SOL: "1"}]
    assert (await aget_prices([BONK])).quotes[BONK].price == Decimal("0.5")
    assert (result.priced, result.statuses) == (0, {"live": 1})  # for as long as the answer counts
    status = await aget_prices([BONK])
    assert status.sol_usd == 100


async def test_token_whose_market_is_gone_keeps_its_price_over_a_restart(make_feed, source, position):
    await make_feed().run(1)
    del source.prices[BONK]
    source.gone = [BONK, WIF]
    first = await make_feed().round()
    assert first.statuses == {"gone": 1}
    quote = (await aget_prices([BONK])).quotes[BONK]
    assert (quote.status, quote.price) == ("gone", Decimal("0.5"))
    assert quote.priced_at < quote.as_of


async def test_status_of_held_tokens_is_none_without_any_price(make_feed, source, position):
    del source.prices[BONK]
    assert (await make_feed().round()).statuses == {"none": 1}


async def test_thin_price_is_not_the_first_of_the_day(make_feed, source, position):
    feed, fetch = make_feed(), source.fetch

    async def thinly(tokens):
        prices = await fetch(tokens)
        quotes = {token: replace(quote, market=Market("thin")) for token, quote in prices.quotes.items()}
        return Prices(quotes, prices.sol_usd)

    source.fetch = thinly
    await feed.round()
    openings = valkey.client().keys("nexgent:openings:*")
    source.fetch = fetch
    await feed.round()
    assert (openings, len(valkey.client().keys("nexgent:openings:*"))) == ([], 1)


async def test_database_that_does_not_take_them_is_an_error_of_the_next_round(make_feed, source, position):
    def rename(old: str, new: str) -> None:
        with connection.cursor() as cursor:
            cursor.execute(f"ALTER TABLE {old} RENAME TO {new}")

    table = LastQuote._meta.db_table
    feed = make_feed()
    await feed.round()  # reads them once
    await sync_to_async(rename)(table, "elsewhere")
    try:
        await feed.run(1)
        [error] = (await feed.round()).errors
    finally:
        await sync_to_async(rename)("elsewhere", table)
    assert error.startswith("The last prices cannot be stored in the database: ")
    await feed.run(1)
    assert (await feed.round()).errors == ()
    assert await stored() is not None


class Time:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


async def kept(keeper: Keeper, *quotes: Quote) -> Quote | None:
    """Offer these; return what the database has of the first afterwards."""
    keeper.offer({quote.token_address: quote for quote in quotes})
    await keeper.finish()
    return await stored(quotes[0].token_address)


async def test_keeper_writes_a_change_of_status_at_once_and_a_price_now_and_then():
    time = Time()
    keeper = Keeper(clock=time)
    newer = replace(PLAIN, price=Decimal("0.54"), as_of=NOW + timedelta(seconds=2))
    assert await kept(keeper, PLAIN) == PLAIN
    assert await kept(keeper, newer) == PLAIN
    gone = replace(newer, market=Market("gone"))
    assert await kept(keeper, gone) == gone
    newest = replace(gone, as_of=NOW + timedelta(seconds=40))  # one a minute ahead is none of this moment
    assert await kept(keeper, newest) == gone
    time.now += KEPT_SECONDS + 1
    assert await kept(keeper, newest) == newest


@pytest.mark.parametrize("price", ["0.45", "0.56"])
async def test_keeper_writes_a_price_that_has_moved_by_a_tenth_at_once(price):
    """A minute-old one would come back with an emptied cache, as if it had not fallen."""
    keeper = Keeper(clock=Time())
    await kept(keeper, PLAIN)
    moved = replace(PLAIN, price=Decimal(price), as_of=NOW + timedelta(seconds=2))
    assert await kept(keeper, moved) == moved


async def test_keeper_writes_one_at_a_time_and_waits_for_none():
    keeper = Keeper()
    keeper.offer({WIF: PLAIN})
    keeper.offer({BONK: TINY})  # while the first is being written: it is offered again in the next round
    await keeper.finish()
    assert (await stored(WIF), await stored(BONK)) == (PLAIN, None)
    await asyncio.sleep(0)
    assert await kept(keeper, TINY) == TINY


def test_quotes_of_the_future_and_of_no_number_are_not_used():
    """Rows of a dump, or of a machine whose clock was ahead."""
    write_last_quotes([replace(TINY, as_of=FAR, market=None), replace(PLAIN, as_of=NOW)])
    assert read_last_quotes([BONK, WIF]) == {WIF: PLAIN}
    with connection.cursor() as cursor:
        cursor.execute("UPDATE positions_lastquote SET price = 'NaN', as_of = %s", [NOW])
    assert read_last_quotes([BONK, WIF]) == {}
