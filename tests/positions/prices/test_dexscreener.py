from __future__ import annotations

import asyncio
from contextlib import aclosing
from decimal import Decimal
from hashlib import sha256
from itertools import chain

import pytest

from positions.prices.dexscreener import DexScreenerSource
from positions.prices.quotes import WRAPPED_SOL, Prices, SourceError, Token
from tests.conftest import BONK, JUP, WIF
from tests.live import PATIENCE_SECONDS
from tests.positions.prices.price_api import SOL_PAIR, USDC, Answer, dexscreener, jupiter, pair

HTERM = "BDW8YHasD3NSDjSHU9Xy6KXtshGayMGQfj5bJpLcpump"


def mint(number: int) -> str:
    """Return an address that looks like a mint."""
    return sha256(str(number).encode()).hexdigest()[:40].replace("0", "z")


@pytest.fixture
def fetch(api, sleep, settings):
    settings.NEXGENT = {**settings.NEXGENT, "JUPITER_API_KEY": ""}  # no other source to ask

    async def ask(*addresses: str) -> Prices:
        async with aclosing(DexScreenerSource(sleep=sleep)) as source:
            return await source.fetch([Token(address) for address in addresses])

    return ask


async def test_fetch_recorded_pair_gives_price_in_sol_and_usd(api, fetch):
    api.respond = dexscreener(pair(HTERM, "0.0001309", "0.02819", liquidity_usd=883589.79))
    prices = await fetch(HTERM)
    assert prices.quotes[HTERM].price == Decimal("0.0001309")
    assert prices.quotes[HTERM].price_usd == Decimal("0.0001309") * Decimal("120.78")
    assert prices.sol_usd == Decimal("120.78")
    assert prices.errors == []
    assert [request.path for request in api.requests] == [f"/tokens/v1/solana/{WRAPPED_SOL},{HTERM}"]


async def test_fetch_wrapped_sol_costs_one_sol(api, fetch):
    api.respond = dexscreener()
    quote = (await fetch(WRAPPED_SOL)).quotes[WRAPPED_SOL]
    assert (quote.price, quote.price_usd) == (1, Decimal("120.78"))


async def test_fetch_several_pools_takes_the_deepest_whatever_it_is_quoted_in(api, fetch):
    in_sol = pair(BONK, "0.0000003", "0.00003623", liquidity_usd=500.5)
    api.respond = dexscreener(
        pair(BONK, "0.0000002", "0.0000241", liquidity_usd=0),
        in_sol,
        pair(BONK, "0.00002", "0.00002", quote=USDC, liquidity_usd=2000),
    )
    assert (await fetch(BONK)).quotes[BONK].price == round(Decimal("0.00002") / Decimal("120.78"), 30)
    in_sol["liquidity"]["usd"] = 2001
    assert (await fetch(BONK)).quotes[BONK].price == Decimal("0.0000003")


async def test_fetch_launch_curve_that_names_no_liquidity_is_ranked_by_what_it_trades(api, fetch):
    curve = pair(BONK, "0.0000001773", "0.00001479")
    del curve["liquidity"]
    curve["volume"] = {"h24": 38315.56, "h6": 38315.56, "h1": 22906.36}
    dust = pair(BONK, "0.01900", "1.9", liquidity_usd=0.16)
    api.respond = dexscreener(dust, curve)
    assert (await fetch(BONK)).quotes[BONK].price == Decimal("0.0000001773")
    api.respond = dexscreener(pair(BONK, "0.00000018", "0.0000217", liquidity_usd=12_000), curve)
    curve["volume"] = {"h24": 380_315.56, "h6": 38315.56, "h1": 0}  # its tokens have moved to a pool
    assert (await fetch(BONK)).quotes[BONK].price == Decimal("0.00000018")


async def test_fetch_pair_in_another_token_is_priced_through_usd(api, fetch):
    api.respond = dexscreener(pair(JUP, "0.6039", "0.6039", quote=USDC))
    quote = (await fetch(JUP)).quotes[JUP]
    assert quote.price == Decimal("0.005")
    assert quote.price_usd == Decimal("0.6039")


async def test_fetch_pair_in_another_token_without_sol_in_usd_is_missing(api, fetch):
    api.respond = lambda _: Answer([pair(JUP, "0.6039", "0.6039", quote=USDC), pair(BONK, "0.5")])
    prices = await fetch(JUP, BONK)
    assert {address: quote.price_usd for address, quote in prices.quotes.items()} == {BONK: None}
    assert prices.sol_usd is None


async def test_fetch_sol_in_usd_is_never_that_of_an_unknown_token_s_pair(api, fetch):
    bait = pair(WRAPPED_SOL, "50", "1500", quote=BONK, liquidity_usd=10**9)
    api.respond = lambda _: Answer([bait, pair(WIF, "0.25", "300", liquidity_usd=10**9)])
    prices = await fetch(WIF)
    assert prices.sol_usd is None
    assert {address: quote.price_usd for address, quote in prices.quotes.items()} == {WIF: None}
    api.respond = dexscreener(bait, pair(WIF, "0.25", "30"))
    assert (await fetch(WIF)).sol_usd == Decimal("120.78")


async def test_fetch_sol_in_usd_that_another_source_contradicts_is_that_source_s(api, sleep):
    dex, jup = dexscreener(pair(WIF, "0.25", "30")), jupiter({WRAPPED_SOL: 150})
    api.respond = lambda request: (jup if request.path.startswith("/price/v3") else dex)(request)
    async with aclosing(DexScreenerSource(sleep=sleep)) as source:
        prices = await source.fetch([Token(WIF)])
    assert prices.sol_usd == 150
    assert prices.quotes[WIF].price_usd == Decimal("37.5")


async def test_fetch_sol_may_be_the_quote_of_its_dollar_pool(api, fetch):
    api.respond = lambda _: Answer([pair(USDC, "0.008", "1", quote=WRAPPED_SOL, liquidity_usd=10**6)])
    assert (await fetch(WRAPPED_SOL)).sol_usd == 125


async def test_fetch_token_as_the_quote_of_a_pair_is_priced_by_the_inverse(api, fetch):
    api.respond = dexscreener(pair(WRAPPED_SOL, "50", "120.78", quote=BONK))
    assert (await fetch(BONK)).quotes[BONK].price == Decimal("0.02")


async def test_fetch_asks_for_all_pools_of_a_token_whose_market_is_in_doubt(api, fetch):
    thin, deep = pair(BONK, "9.9", "1195", liquidity_usd=40), pair(BONK, "0.5", "60", liquidity_usd=50_000)
    some, all_ = dexscreener(thin, pair(WIF, "0.25", "30")), dexscreener(thin, deep)
    api.respond = lambda request: (all_ if "/token-pairs/" in request.path else some)(request)
    prices = await fetch(BONK, WIF)
    assert (prices.quotes[BONK].price, prices.quotes[WIF].price) == (Decimal("0.5"), Decimal("0.25"))
    assert [request.path for request in api.requests[1:]] == [f"/token-pairs/v1/solana/{BONK}"]


async def test_fetch_keeps_a_pool_that_only_a_survey_found_and_its_limit(api, sleep):
    thin, deep = pair(BONK, "9.9", "1195", liquidity_usd=40), pair(BONK, "0.5", "60", liquidity_usd=50_000)
    some, all_ = dexscreener(thin), dexscreener(thin, deep)
    api.respond = lambda request: (all_ if "/token-pairs/" in request.path else some)(request)
    async with aclosing(DexScreenerSource(per_minute=25, sleep=sleep)) as source:
        for _ in range(3):
            assert (await source.fetch([Token(BONK)])).quotes[BONK].price == Decimal("0.5")
    assert sum("/token-pairs/" in request.path for request in api.requests) == 1


async def test_fetch_address_in_another_case_misses(api, fetch):
    api.respond = lambda _: Answer([SOL_PAIR, pair(BONK.lower(), "1", "1")])
    assert (await fetch(BONK)).quotes == {}
    assert BONK in api.requests[0].addresses


@pytest.mark.parametrize(
    "bad", ["NaN", "-1", "0", "1e-31", "1e12", "Infinity", "1e999999999", "", "x", None, {}, [1]]
)
async def test_fetch_price_that_is_none_is_missing_and_the_others_are_not(api, fetch, bad):
    api.respond = dexscreener(pair(BONK, bad, "1"), pair(WIF, "0.5", "1"))
    assert (await fetch(BONK, WIF)).quotes.keys() == {WIF}


async def test_fetch_bare_nan_is_missing_and_the_others_are_not(api, fetch):
    api.respond = dexscreener(pair(BONK, float("nan"), float("nan")), pair(WIF, 0.1, 1))
    quotes = (await fetch(BONK, WIF)).quotes
    assert quotes.keys() == {WIF}
    assert quotes[WIF].price == Decimal("0.1")


@pytest.mark.parametrize(
    "entry", [None, 1, "pair", [], {}, {"baseToken": None}, {"baseToken": {"address": 5}}]
)
async def test_fetch_entry_of_another_shape_is_skipped(api, fetch, entry):
    api.respond = lambda _: Answer([entry, SOL_PAIR, pair(BONK, "0.5", "1")])
    assert (await fetch(BONK)).quotes[BONK].price == Decimal("0.5")


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        (b"<!DOCTYPE html><html>", "DexScreener answered with a web page, not with JSON."),
        (
            b'[{"chainId": "sol',
            "DexScreener's answer is not JSON: Unterminated string starting at: line 1 column 14",
        ),
        (b"", "DexScreener's answer is not JSON: Expecting value: line 1 column 1 (char 0)."),
        (b"\xff\xfe\x00", "DexScreener's answer is not JSON: UnicodeDecodeError."),
        (b"[" * 200_000, "DexScreener's answer is not JSON: RecursionError."),
        ({"pairs": []}, "DexScreener's answer is not the documented list of pairs."),
        (None, "DexScreener's answer is not the documented list of pairs."),
        ([None, {"a": 1}], "DexScreener's answer is a list, but not one entry is a pair with a price."),
    ],
)
async def test_fetch_answer_of_another_shape_fails_with_a_sentence(api, fetch, body, sentence):
    api.respond = lambda _: Answer(body)
    with pytest.raises(SourceError) as caught:
        await fetch(BONK)
    assert str(caught.value).startswith(sentence)


async def test_fetch_unknown_tokens_only_gives_no_prices_and_no_error(api, fetch):
    api.respond = lambda _: Answer([])
    assert await fetch(BONK) == Prices({}, None, [])


async def test_fetch_31_tokens_asks_twice_and_wrapped_sol_once(api, fetch):
    addresses = [mint(number) for number in range(31)]
    api.respond = dexscreener(*(pair(address, "0.5", "1") for address in addresses))
    prices = await fetch(*addresses)
    assert prices.quotes.keys() == set(addresses)
    asked = [request.addresses for request in api.requests]
    assert sorted(map(len, asked)) == [2, 30]
    assert sorted(chain(*asked)) == sorted([WRAPPED_SOL, *addresses])


async def test_fetch_failing_batch_spoils_no_other(api, fetch):
    addresses = sorted(mint(number) for number in range(59))
    good = dexscreener(*(pair(address, "0.5", "1") for address in addresses))
    api.respond = lambda request: good(request) if WRAPPED_SOL in request.addresses else Answer(b"<html>")
    prices = await fetch(*addresses)
    assert prices.quotes.keys() == set(addresses[:29])
    assert prices.errors == ["1 of 2 batches failed: DexScreener answered with a web page, not with JSON."]


async def test_fetch_every_batch_failing_raises_with_each_sentence_once(api, fetch):
    api.respond = lambda _: Answer(b"<html>")
    with pytest.raises(SourceError, match=r"^DexScreener answered with a web page, not with JSON\.$"):
        await fetch(*(mint(number) for number in range(40)))


async def test_fetch_address_that_is_no_mint_is_not_asked_for(api, fetch):
    api.respond = dexscreener(pair(BONK, "0.5", "1"))
    prices = await fetch(BONK, "short", "0OIl" * 10, "a/../b,c?d" * 4)
    assert prices.quotes.keys() == {BONK}
    assert api.requests[0].addresses == [WRAPPED_SOL, BONK]


async def test_fetch_cancelled_leaves_nothing_open(api, fetch):
    arrived = asyncio.Event()
    loop = asyncio.get_running_loop()

    def hang(_):
        loop.call_soon_threadsafe(arrived.set)
        return Answer(hang=True)

    api.respond = hang
    asking = asyncio.create_task(fetch(BONK))
    await asyncio.wait_for(arrived.wait(), PATIENCE_SECONDS)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
