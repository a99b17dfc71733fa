from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from positions.prices import lookup
from positions.prices.cache import FeedStatus, aget_prices, put_prices
from positions.prices.lookup import fill_misses
from positions.prices.quotes import WRAPPED_SOL
from tests.conftest import BONK, JUP, WIF
from tests.live import PATIENCE_SECONDS
from tests.positions.prices.price_api import Answer, PriceApi, Request, dexscreener, jupiter, pair
from tests.positions.prices.test_dexscreener import mint


async def feed_runs(source: str) -> None:
    await put_prices(
        [],
        FeedStatus(source=source, simulated=False, updated_at=datetime.now(UTC), interval_seconds=1.5),
    )


def batches(api: PriceApi) -> list[Request]:
    """Return the requests for many tokens at once, those for all pools of one aside."""
    return [request for request in api.requests if request.path.startswith("/tokens/")]


@pytest.fixture
async def on_dexscreener(api, settings):
    settings.NEXGENT = {**settings.NEXGENT, "JUPITER_API_KEY": ""}
    await feed_runs("dexscreener")
    api.respond = dexscreener(pair(BONK, "0.5", "60"), pair(WIF, "0.25", "30"))


async def test_fill_misses_asks_the_feeds_source_and_fills_the_cache(api, on_dexscreener):
    found = await fill_misses([BONK])
    assert {address: quote.price for address, quote in found.items()} == {BONK: Decimal("0.5")}
    assert (await aget_prices([BONK])).quotes == found
    assert api.requests[0].addresses == [WRAPPED_SOL, BONK]


async def test_fill_misses_from_jupiter_when_the_feed_takes_it(api):
    await feed_runs("jupiter")
    api.respond = jupiter({WRAPPED_SOL: 150, BONK: 3})
    assert (await fill_misses([BONK]))[BONK].price == Decimal("0.02")


async def test_fill_misses_many_at_once_asks_each_token_once(api, on_dexscreener):
    answers = await asyncio.gather(
        *(fill_misses([BONK]) for _ in range(50)), *(fill_misses([WIF, BONK]) for _ in range(50))
    )
    assert [set(found) for found in answers] == [{BONK}] * 50 + [{WIF, BONK}] * 50
    assert [sorted(request.addresses) for request in api.requests] == [sorted([WRAPPED_SOL, BONK, WIF])]


async def test_fill_misses_during_a_question_joins_it(api, on_dexscreener):
    arrived, loop = asyncio.Event(), asyncio.get_running_loop()
    answer = api.respond

    def note(request):
        loop.call_soon_threadsafe(arrived.set)
        return answer(request)

    api.respond = note
    first = asyncio.create_task(fill_misses([BONK]))
    await asyncio.wait_for(arrived.wait(), PATIENCE_SECONDS)
    assert (await fill_misses([BONK, WIF])).keys() == {BONK, WIF}
    await first
    assert [set(request.addresses) - {WRAPPED_SOL} for request in api.requests] == [{BONK}, {WIF}]


async def test_fill_misses_cancelled_waiter_leaves_the_others_waiting(api, on_dexscreener):
    first = asyncio.create_task(fill_misses([BONK]))
    second = asyncio.create_task(fill_misses([BONK]))
    await asyncio.sleep(0)
    first.cancel()
    assert (await second).keys() == {BONK}
    with pytest.raises(asyncio.CancelledError):
        await first


async def test_fill_misses_unknown_token_is_not_asked_for_again_at_once(api, on_dexscreener, monkeypatch):
    monkeypatch.setattr(lookup, "NEGATIVE_SECONDS", 3600.0)
    assert await fill_misses([JUP]) == {}
    assert await fill_misses([JUP]) == {}
    assert len(batches(api)) == 1
    monkeypatch.setattr(lookup, "NEGATIVE_SECONDS", 0.0)
    assert await fill_misses([JUP, BONK]) != {}
    assert batches(api)[1].addresses == [WRAPPED_SOL, BONK]


async def test_fill_misses_unknown_token_is_asked_for_again_later(api, on_dexscreener, monkeypatch):
    monkeypatch.setattr(lookup, "NEGATIVE_SECONDS", 0.0)
    await fill_misses([JUP])
    await fill_misses([JUP])
    assert len(batches(api)) == 2


@pytest.mark.parametrize("source", ["simulated", "replay", "of-tomorrow"])
async def test_fill_misses_with_prices_of_the_feed_alone_finds_nothing(api, source):
    await feed_runs(source)
    assert await fill_misses([BONK]) == {}
    assert api.requests == []


async def test_fill_misses_without_a_feed_finds_nothing(api):
    assert await fill_misses([BONK]) == {}
    assert api.requests == []


async def test_fill_misses_of_nothing_asks_nothing(api, on_dexscreener):
    assert await fill_misses([]) == {}
    assert api.requests == []


async def test_fill_misses_source_in_trouble_is_logged_once_and_finds_nothing(
    api, on_dexscreener, monkeypatch, caplog
):
    monkeypatch.setattr(lookup, "NEGATIVE_SECONDS", 0.0)
    good, api.respond = api.respond, lambda _: Answer(b"<html>", status=404)
    assert await fill_misses([BONK]) == {}
    assert await fill_misses([BONK]) == {}
    api.respond = good
    assert (await fill_misses([BONK])).keys() == {BONK}
    assert [record.getMessage() for record in caplog.records if record.name == lookup.__name__] == [
        "prices that the cache misses cannot be looked up: DexScreener answered 404.",
        "prices of single tokens can be looked up again",
    ]


async def test_fill_misses_source_hanging_is_given_up(api, on_dexscreener, monkeypatch):
    monkeypatch.setattr(lookup, "DEADLINE_SECONDS", 0.1)
    api.respond = lambda _: Answer(hang=True)
    assert await fill_misses([BONK]) == {}


async def test_fill_misses_jupiter_without_key_finds_nothing(api, settings):
    await feed_runs("jupiter")
    settings.NEXGENT = settings.NEXGENT | {"JUPITER_API_KEY": ""}
    assert await fill_misses([BONK]) == {}
    assert api.requests == []


async def test_fill_misses_cache_away_finds_nothing(api, settings):
    settings.NEXGENT = {**settings.NEXGENT, "REDIS_URL": "unix:///nowhere/valkey.sock"}
    assert await fill_misses([BONK]) == {}


async def test_fill_misses_of_thousands_leaves_room_for_others(api, on_dexscreener):
    """Who asks for one token at the same moment gets its price, and so does who asks after that."""
    made_up = [mint(number) for number in range(3000)]
    flood = asyncio.create_task(fill_misses(made_up))
    await asyncio.sleep(0)
    assert (await fill_misses([BONK])).keys() == {BONK}
    again = asyncio.create_task(fill_misses(made_up))
    await asyncio.sleep(0)
    assert (await fill_misses([WIF])).keys() == {WIF}
    await asyncio.gather(flood, again)
