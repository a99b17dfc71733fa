from __future__ import annotations

from io import StringIO

import pytest
from django.core.management import CommandError, call_command

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
