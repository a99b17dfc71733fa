from __future__ import annotations

from contextlib import aclosing
from decimal import Decimal

import pytest

from positions.prices.jupiter import JupiterSource
from positions.prices.quotes import WRAPPED_SOL, Market, Prices, SourceError, Token
from tests.conftest import BONK, WIF
from tests.positions.prices.price_api import Answer, jupiter
from tests.positions.prices.test_dexscreener import mint


@pytest.fixture
def fetch(api, sleep):
    async def ask(*addresses: str) -> Prices:
        async with aclosing(JupiterSource(sleep=sleep)) as source:
            return await source.fetch([Token(address) for address in addresses])

    return ask


async def test_fetch_divides_by_the_price_of_sol_in_the_same_answer(api, fetch):
    api.respond = jupiter({WRAPPED_SOL: 147.48, BONK: 0.00001843500})
    prices = await fetch(BONK)
    assert prices.quotes[BONK].price == Decimal("0.000000125")
    assert prices.quotes[BONK].price_usd == Decimal("0.000018435")
    assert prices.sol_usd == Decimal("147.48")
    [request] = api.requests
    assert request.path == f"/price/v3?ids={WRAPPED_SOL},{BONK}"
    assert request.headers["x-api-key"] == "a-secret-key"


async def test_fetch_wrapped_sol_costs_one_sol(api, fetch):
    api.respond = jupiter({WRAPPED_SOL: 147.48})
    quotes = (await fetch(WRAPPED_SOL)).quotes
    assert {address: (quote.price, quote.price_usd) for address, quote in quotes.items()} == {
        WRAPPED_SOL: (1, Decimal("147.48"))
    }
    assert api.requests[0].addresses == [WRAPPED_SOL]


async def test_fetch_51_tokens_asks_twice_with_wrapped_sol_in_each(api, fetch):
    addresses = [mint(number) for number in range(51)]
    api.respond = jupiter({WRAPPED_SOL: 150} | dict.fromkeys(addresses, 3))
    prices = await fetch(*addresses)
    assert {quote.price for quote in prices.quotes.values()} == {Decimal("0.02")}
    assert prices.quotes.keys() == set(addresses)
    assert sorted(len(request.addresses) for request in api.requests) == [3, 50]
    assert all(WRAPPED_SOL in request.addresses for request in api.requests)


async def test_fetch_batches_with_two_prices_of_sol_agree_on_one(api, fetch):
    """Prices in SOL are each batch's own; prices in USD come from one price of SOL."""
    addresses = sorted(mint(number) for number in range(60))
    api.respond = lambda request: jupiter(
        {WRAPPED_SOL: 150 if addresses[0] in request.addresses else 160} | dict.fromkeys(addresses, 4800)
    )(request)
    prices = await fetch(*addresses)
    assert {quote.price for quote in prices.quotes.values()} == {32, 30}
    assert {quote.sol_usd for quote in prices.quotes.values()} == {prices.sol_usd}


@pytest.mark.parametrize("reported", [5, 0, 18, None, "5", True, -1, 19, 5.5, []])
async def test_fetch_reports_decimals_that_an_amount_can_have(api, fetch, reported):
    api.respond = lambda _: Answer(
        {WRAPPED_SOL: {"usdPrice": 150, "decimals": 9}, BONK: {"usdPrice": 3, "decimals": reported}}
    )
    prices = await fetch(BONK)
    assert prices.decimals == ({BONK: reported} if reported in (5, 0, 18) else {})
    assert prices.quotes.keys() == {BONK}


async def test_fetch_failing_batch_spoils_no_other(api, fetch):
    addresses = sorted(mint(number) for number in range(60))
    good = jupiter({WRAPPED_SOL: 150} | dict.fromkeys(addresses, 3))
    api.respond = lambda request: good(request) if addresses[0] in request.addresses else Answer(status=400)
    prices = await fetch(*addresses)
    assert prices.quotes.keys() == set(addresses[:49])
    assert prices.errors == ["1 of 2 batches failed: Jupiter answered 400."]


@pytest.mark.parametrize("bad", [float("nan"), -1, 0, 1e300, float("inf"), None, "x", [], {}])
async def test_fetch_price_that_is_none_is_missing_and_the_others_are_not(api, fetch, bad):
    api.respond = jupiter({WRAPPED_SOL: 150, BONK: bad, WIF: "0.3"})
    assert (await fetch(BONK, WIF)).quotes.keys() == {WIF}


@pytest.mark.parametrize("entry", [None, 5, "1", [], {}, {"price": 1}])
async def test_fetch_entry_of_another_shape_is_missing(api, fetch, entry):
    api.respond = lambda _: Answer({WRAPPED_SOL: {"usdPrice": 150}, BONK: entry, WIF: {"usdPrice": 3}})
    assert (await fetch(BONK, WIF)).quotes.keys() == {WIF}


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        (Answer([]), "Jupiter's answer is not the documented object of tokens."),
        (
            Answer({BONK: {"usdPrice": 1}}),
            "Jupiter gave no price of wrapped SOL, without which none can be given in SOL.",
        ),
        (Answer({"error": "x"}, status=401), "Jupiter answered 401: the API key was rejected."),
        (Answer(b"<html>", status=403), "Jupiter answered 403: access was denied."),
    ],
)
async def test_fetch_refusal_fails_with_a_sentence(api, fetch, answer, sentence):
    api.respond = lambda _: answer
    with pytest.raises(SourceError) as caught:
        await fetch(BONK)
    assert str(caught.value) == sentence


def test_source_without_api_key_is_refused_naming_the_variable(settings):
    settings.NEXGENT = settings.NEXGENT | {"JUPITER_API_KEY": ""}
    with pytest.raises(
        SourceError,
        match=r"^Jupiter needs an API key, free at portal\.jup\.ag: set NEXGENT_JUPITER_API_KEY\.$",
    ):
        JupiterSource()


def test_source_with_api_key_that_no_header_can_hold_is_refused(settings):
    settings.NEXGENT = settings.NEXGENT | {"JUPITER_API_KEY": "ключ"}
    with pytest.raises(
        SourceError,
        match=r"^NEXGENT_JUPITER_API_KEY has a character that is not allowed in an HTTP header\.$",
    ):
        JupiterSource()


@pytest.mark.parametrize(
    ("liquidity", "market"),
    [
        (883_589.79, Market("live", Decimal("883589.79"))),
        (12.5, Market("thin", Decimal("12.5"))),
        (None, None),
        ("NaN", None),
        (-1, None),
        ([], None),
    ],
)
async def test_fetch_token_with_little_liquidity_is_thin(api, fetch, liquidity, market):
    api.respond = lambda _: Answer(
        {WRAPPED_SOL: {"usdPrice": 150, "liquidity": 6e8}, BONK: {"usdPrice": 3, "liquidity": liquidity}}
    )
    quotes = (await fetch(BONK)).quotes
    assert (quotes[BONK].price, quotes[BONK].market) == (Decimal("0.02"), market)
