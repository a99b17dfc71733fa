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
from tests.positions.prices.price_api import SOL_PAIR, USDC, Answer, dexscreener, pair

HTERM = "BDW8YHasD3NSDjSHU9Xy6KXtshGayMGQfj5bJpLcpump"


def mint(number: int) -> str:
    """Return an address that looks like a mint."""
    return sha256(str(number).encode()).hexdigest()[:40].replace("0", "z")


@pytest.fixture
def fetch(api, sleep):
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


async def test_fetch_several_pairs_takes_the_most_liquid_one_in_sol(api, fetch):
    api.respond = dexscreener(
        pair(BONK, "0.0000002", "9", liquidity_usd=None),
        pair(BONK, "0.0000003", "9", liquidity_usd=500.5),
        pair(BONK, "0.0000001", "9", liquidity_usd="77"),
        pair(BONK, "0.00002", "0.00002", quote=USDC, liquidity_usd=10**9),
    )
    assert (await fetch(BONK)).quotes[BONK].price == Decimal("0.0000003")


async def test_fetch_pair_without_liquidity_counts_as_zero(api, fetch):
    without = pair(BONK, "0.5", "1")
    del without["liquidity"]
    api.respond = dexscreener(without, pair(BONK, "0.25", "1", liquidity_usd=1))
    assert (await fetch(BONK)).quotes[BONK].price == Decimal("0.25")
    api.respond = dexscreener(without)
    assert (await fetch(BONK)).quotes[BONK].price == Decimal("0.5")


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


async def test_fetch_without_sols_own_pair_takes_sol_in_usd_from_the_most_liquid_pair(api, fetch):
    api.respond = lambda _: Answer([pair(BONK, "0.5", "50", liquidity_usd=1), pair(WIF, "0.25", "30")])
    prices = await fetch(BONK, WIF)
    assert prices.sol_usd == 120
    assert {address: quote.price_usd for address, quote in prices.quotes.items()} == {BONK: 60, WIF: 30}


async def test_fetch_token_as_the_quote_of_a_pair_is_no_price(api, fetch):
    api.respond = lambda _: Answer([SOL_PAIR, pair(JUP, "7", "1", quote=BONK)])
    assert BONK not in (await fetch(BONK)).quotes


async def test_fetch_address_in_another_case_misses(api, fetch):
    api.respond = lambda _: Answer([SOL_PAIR, pair(BONK.lower(), "1", "1")])
    assert (await fetch(BONK)).quotes == {}
    assert BONK in api.requests[0].addresses


@pytest.mark.parametrize(
    "bad", ["NaN", "-1", "0", "1e-30", "1e12", "Infinity", "1e999999999", "", "x", None, {}, [1]]
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
