from __future__ import annotations

from datetime import UTC, datetime
from io import StringIO

import pytest
from asgiref.sync import sync_to_async
from django.core.management import CommandError, call_command

from positions.prices.asked import Asked, put_asked
from positions.prices.quotes import WRAPPED_SOL
from tests.conftest import BONK, WIF
from tests.positions.prices.price_api import Answer, dexscreener, jupiter, pair


def price(*arguments: str) -> str:
    out = StringIO()
    call_command("price", *arguments, stdout=out)
    return out.getvalue()


def test_price_shows_every_pool_and_why(api):
    curve = pair(BONK, "0.0000001773", "0.00001479")
    del curve["liquidity"]
    dust = pair(BONK, "0.019", "1.9", liquidity_usd=0.16)
    api.respond = dexscreener(curve, dust)
    shown = price(BONK)
    assert shown.startswith(f"{BONK}: 0.0000001773 SOL, live, 2 pools\n")
    lines = {line.split()[-1]: line for line in shown.splitlines()}
    assert "→" in lines["deepest"]
    assert "curve" in lines["deepest"]
    assert "below the floor" in lines["floor"]
    assert shown.endswith("1 SOL = 120.78 USD\n")


def test_price_of_a_pool_below_the_floor_says_so(api):
    api.respond = dexscreener(pair(BONK, "0.019", "1.9", liquidity_usd=0.16))
    assert f"{BONK}: 0.019 SOL, thin: below the floor, 1 pool" in price(BONK)


def test_price_of_another_source_is_what_it_answers(api):
    api.respond = jupiter({WRAPPED_SOL: "150", BONK: "3"})
    assert price(BONK, WIF, "--source", "jupiter") == f"{BONK}: 0.02 SOL, live\n{WIF}: no price\n"


@pytest.mark.parametrize(
    ("arguments", "answer", "sentence"),
    [
        (["BONK"], Answer([]), "'BONK' is not the address of a mint: 32 to 44 characters of base58."),
        ([BONK], Answer([]), "No price was found."),
        ([BONK], Answer(b"<html>"), "DexScreener answered with a web page, not with JSON."),
    ],
)
def test_price_that_cannot_be_shown_fails_with_a_sentence(api, arguments, answer, sentence):
    api.respond = lambda _: answer
    with pytest.raises(CommandError, match=f"^{sentence}$"):
        price(*arguments)


async def test_price_says_how_often_the_feed_asks_for_the_token(api):
    api.respond = dexscreener(pair(BONK, "0.5", "60"))
    await put_asked(
        Asked(until=datetime.now(UTC), seconds=15.0, asks={BONK: 10}, waits={WIF: 96.0}, owners={1: 10.0})
    )
    shown = await sync_to_async(price)(BONK, WIF)
    assert f"{BONK}: asked for every 1.5 s\n" in shown
    assert f"{WIF}: asked for every 96 s, since answers lack it\n" in shown
