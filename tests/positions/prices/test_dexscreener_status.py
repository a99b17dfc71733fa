"""How reliable a price is by DexScreener's answers: thin, gone, out of line, or not answered at all."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from positions.prices import dexscreener_surveys
from positions.prices.cache import aget_prices, put_prices
from positions.prices.dexscreener import DexScreenerSource
from positions.prices.feed import PriceFeed
from positions.prices.quotes import WRAPPED_SOL, Market, Prices, Quote, Token
from tests.conftest import BONK, WIF
from tests.positions.prices.price_api import USDC, Answer, PriceApi, Request, dexscreener, pair
from tests.positions.prices.test_dexscreener import mint
from tests.positions.prices.test_feed import Wire

DEEP = pair(BONK, "0.01", "1.2", liquidity_usd=50_000)


@pytest.fixture
async def source(api, sleep, settings) -> AsyncIterator[DexScreenerSource]:
    settings.NEXGENT = {**settings.NEXGENT, "JUPITER_API_KEY": ""}  # no other source to ask
    source = DexScreenerSource(sleep=sleep)
    yield source
    await source.aclose()


async def ask(source: DexScreenerSource, *tokens: str) -> Prices:
    return await source.fetch([Token(token) for token in tokens or [BONK]])


def is_survey(request: Request) -> bool:
    return "/token-pairs/" in request.path


async def statuses(source: DexScreenerSource, api: PriceApi, *prices: str) -> list[str]:
    found: list[str] = []
    for price in prices:
        api.respond = dexscreener(pair(BONK, price, str(Decimal(price) * 120), liquidity_usd=50_000))
        found.append((await ask(source)).quotes[BONK].status)
    return found


async def test_market_is_reported_with_liquidity_and_reserves(api, source):
    api.respond = dexscreener(DEEP)
    market = (await ask(source)).quotes[BONK].market
    assert market == Market("live", Decimal(50_000), Decimal(15_688_012), Decimal("2048.6806"))


async def test_pool_below_the_floor_is_thin(api, source):
    api.respond = dexscreener(pair(BONK, "0.01", "1.2", liquidity_usd=900))
    assert (await ask(source)).quotes[BONK].status == "thin"


async def test_token_that_both_requests_know_nothing_of_is_gone(api, source):
    api.respond = dexscreener(DEEP)
    assert (await ask(source)).gone == ()
    api.respond = dexscreener()
    first, second = await ask(source), await ask(source)
    assert (first.quotes, first.gone, second.gone) == ({}, (BONK,), (BONK,))
    assert sum(map(is_survey, api.requests)) == 1
    api.respond = dexscreener(DEEP)
    assert (await ask(source)).quotes[BONK].status == "live"


async def test_token_that_one_answer_leaves_out_is_not_gone(api, source):
    api.respond = dexscreener(DEEP)
    await ask(source)
    full, empty = dexscreener(DEEP), dexscreener()
    api.respond = lambda request: (full if is_survey(request) else empty)(request)
    prices = await ask(source)
    assert (prices.quotes[BONK].status, prices.gone) == ("live", ())
    api.respond = lambda request: Answer(status=404) if is_survey(request) else empty(request)
    await ask(source)
    assert (await ask(source)).gone == ()


async def test_answers_that_are_empty_throughout_call_nothing_gone(api, source):
    """Not even SOL has a market then: the API is in trouble, and the price becomes stale."""
    api.respond = dexscreener(DEEP)
    await ask(source)
    api.respond = lambda _: Answer([])
    prices = await ask(source)
    assert (prices.quotes, prices.gone) == ({}, ())


async def test_token_whose_request_fails_is_neither_priced_nor_gone(api, source):
    """Also one whose pools a survey found before: that answer is of another minute."""
    tokens = [mint(number) for number in range(40)]
    thin = [pair(token, "0.5", "60", liquidity_usd=10) for token in tokens]
    api.respond = dexscreener(*thin)
    assert (await ask(source, *tokens)).quotes.keys() == set(tokens)
    some = dexscreener(*thin)

    def respond(request: Request) -> Answer:
        fails = not is_survey(request) and len(request.addresses) < 30
        return Answer(status=404) if fails else some(request)

    api.respond = respond
    prices = await ask(source, *tokens)
    assert len(prices.quotes) == 29  # of the batch that has wrapped SOL, too
    assert (prices.gone, len(prices.errors)) == ((), 1)


async def test_price_of_a_pool_that_only_a_survey_found_is_as_old_as_that(api, sleep, settings, monkeypatch):
    """And the next round asks again, as far as the limit allows."""
    settings.NEXGENT = {**settings.NEXGENT, "JUPITER_API_KEY": ""}
    shallow = pair(BONK, "0.0101", "1.21", liquidity_usd=2000)
    some, all_ = dexscreener(shallow), dexscreener(shallow, DEEP)
    api.respond = lambda request: (all_ if is_survey(request) else some)(request)
    source = DexScreenerSource(per_minute=1000, sleep=sleep)
    monkeypatch.setattr(dexscreener_surveys, "SURVEY_SECONDS", -1.0)
    try:
        await ask(source)
        surveyed = (await ask(source)).quotes[BONK]
        monkeypatch.setattr(dexscreener_surveys, "SURVEY_SECONDS", 60.0)
        source._surveys._limit.pause(60)
        before = datetime.now(UTC)
        kept = (await ask(source)).quotes[BONK]
    finally:
        await source.aclose()
    assert (surveyed.price, kept.price) == (Decimal("0.01"), Decimal("0.01"))
    assert before - timedelta(seconds=60) < kept.as_of < before


async def test_jump_is_thin_until_it_has_stood_for_five_rounds(api, source):
    assert await statuses(source, api, "0.01", "0.1", "0.1", "0.1", "0.1", "0.1", "0.1") == [
        *["live", "thin", "thin", "thin", "thin"],
        *["live", "live"],
    ]


async def test_jump_that_comes_back_is_live_at_once(api, source):
    assert await statuses(source, api, "0.01", "0.001", "0.001", "0.001", "0.01") == [
        *["live", "thin", "thin", "thin"],
        "live",
    ]


async def test_jump_that_another_pool_shares_is_live(api, source):
    api.respond = dexscreener(DEEP, pair(WIF, "0.25", "30"))
    await ask(source)
    api.respond = dexscreener(
        pair(BONK, "0.001", "0.12", liquidity_usd=40_000),
        pair(BONK, "0.00101", "0.1212", liquidity_usd=9_000),
    )
    assert (await ask(source)).quotes[BONK].status == "live"


@pytest.mark.django_db(transaction=True)
@pytest.mark.both_databases
async def test_jump_is_doubted_by_a_feed_that_starts_during_it(api, source, position, settings):
    """The feed was killed: the next one goes on from the cache, or from the database."""
    await put_prices([Quote(BONK, Decimal("0.01"), Decimal("1.2"), datetime.now(UTC))])
    api.respond = dexscreener(pair(BONK, "0.1", "12", liquidity_usd=50_000))
    await PriceFeed(source, Wire().publish, 1.5).round()
    quote = (await aget_prices([BONK])).quotes[BONK]
    assert (quote.price, quote.status) == (Decimal("0.1"), "thin")


@pytest.mark.django_db(transaction=True)
@pytest.mark.both_databases
async def test_sol_in_usd_is_doubted_by_a_feed_that_starts_during_a_jump(api, source, position):
    await put_prices([Quote(WRAPPED_SOL, Decimal(1), Decimal(150), datetime.now(UTC))])
    api.respond = lambda _: Answer([pair(WRAPPED_SOL, "900", "900", liquidity_usd=1e7, quote=USDC)])
    await PriceFeed(source, Wire().publish, 1.5).round()
    assert (await aget_prices([WRAPPED_SOL])).quotes[WRAPPED_SOL].price_usd == 150
