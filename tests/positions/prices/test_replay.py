from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from positions.prices.quotes import WRAPPED_SOL, Prices, SourceError, Token
from positions.prices.replay import ReplaySource
from tests.conftest import BONK, JUP, WIF

# Real closes of five minutes, priced in BTC.
CANDLES = """time,token,price
2018-01-10T04:55:00Z,ADA,0.0000529
2018-01-10T04:55:00Z,ETH,0.0994766
2018-01-10T05:00:00Z,ADA,0.0000527
2018-01-10T05:00:00Z,ETH,0.09969
2018-01-10T05:05:00Z,ADA,0.00005306
2018-01-10T05:05:00Z,ETH,0.0994
"""
ADA, ETH = Token(BONK, "ADA"), Token(WIF, "ETH")


@pytest.fixture
def source(tmp_path):
    def make(text: str | bytes, **options: Any) -> ReplaySource:
        path = tmp_path / "prices.csv"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return ReplaySource(path, **options)

    return make


def found(prices: Prices) -> dict[str, str]:
    return {address: str(quote.price.normalize()) for address, quote in prices.quotes.items()}


async def test_fetch_symbol_gives_each_step_in_turn(source):
    replay = source(CANDLES)
    rounds = [found(await replay.fetch([ADA, ETH])) for _ in range(3)]
    assert rounds == [
        {BONK: "0.0000529", WIF: "0.0994766"},
        {BONK: "0.0000527", WIF: "0.09969"},
        {BONK: "0.00005306", WIF: "0.0994"},
    ]


async def test_fetch_symbol_serves_every_token_held_under_it(source):
    assert found(await source(CANDLES).fetch([ADA, Token(JUP, "ADA")])) == {
        BONK: "0.0000529",
        JUP: "0.0000529",
    }


async def test_fetch_symbol_in_another_case_is_missing(source):
    prices = await source(CANDLES).fetch([Token(BONK, "ada"), ETH])
    assert prices.quotes.keys() == {WIF}


async def test_fetch_address_comes_before_symbol(source):
    replay = source(f"time,token,price\n2018-01-10T04:55:00Z,ADA,1\n2018-01-10T04:55:00Z,{BONK},2\n")
    assert found(await replay.fetch([ADA])) == {BONK: "2"}


async def test_fetch_address_in_another_case_is_missing(source):
    replay = source(f"time,token,price\n2018-01-10T04:55:00Z,{BONK.lower()},2\n")
    assert (await replay.fetch([Token(BONK, "BONK")])).quotes == {}


async def test_fetch_without_price_usd_leaves_usd_unknown(source):
    prices = await source(CANDLES).fetch([ADA, Token(WRAPPED_SOL, "SOL")])
    assert prices.sol_usd is None
    assert {quote.price_usd for quote in prices.quotes.values()} == {None}


async def test_fetch_price_usd_is_the_columns_value(source):
    replay = source(
        "time,token,price,price_usd\n"
        "2018-01-10T04:55:00Z,ADA,0.5,70\n"
        "2018-01-10T04:55:00Z,ETH,2,\n"
        "2018-01-10T04:55:00Z,SOL,1,150\n"
    )
    prices = await replay.fetch([ADA, ETH, Token(WRAPPED_SOL, "SOL")])
    assert prices.sol_usd == 150
    assert {address: quote.price_usd for address, quote in prices.quotes.items()} == {
        BONK: 70,
        WIF: 300,
        WRAPPED_SOL: 150,
    }


async def test_fetch_without_a_row_of_sol_takes_sol_in_usd_from_the_first_row_with_both(source):
    replay = source("time,token,price,price_usd\n2018-01-10T04:55:00Z,ADA,0.5,70\n")
    prices = await replay.fetch([ADA, Token(WRAPPED_SOL, "SOL")])
    assert prices.sol_usd == 140
    assert (prices.quotes[WRAPPED_SOL].price, prices.quotes[WRAPPED_SOL].price_usd) == (1, 140)


async def test_fetch_speed_plays_several_steps_a_round(source):
    lines = [f"2018-01-10T04:{minute:02}:00Z,ADA,{minute + 1}" for minute in range(8)]
    replay = source("time,token,price\n" + "\n".join(lines), speed=3)
    assert [found(await replay.fetch([ADA]))[BONK] for _ in range(4)] == ["1", "4", "7", "8"]


async def test_fetch_token_without_a_row_in_a_step_keeps_its_last_price(source):
    replay = source(CANDLES + "2018-01-10T05:10:00Z,ADA,0.5\n", speed=3)
    await replay.fetch([ADA])
    assert found(await replay.fetch([ADA, ETH])) == {BONK: "0.5", WIF: "0.0994"}


async def test_fetch_after_the_end_keeps_prices_and_says_so_once(source):
    replay = source(CANDLES)
    for _ in range(3):
        assert (await replay.fetch([ADA])).notes == []
    rounds = [await replay.fetch([ADA]) for _ in range(2)]
    assert [prices.notes for prices in rounds] == [
        ["prices.csv has ended at 2018-01-10T05:05:00Z: prices stay as they are."],
        [],
    ]
    assert [found(prices) for prices in rounds] == [{BONK: "0.00005306"}] * 2


async def test_fetch_loop_begins_again(source):
    replay = source(CANDLES, loop=True)
    rounds = [await replay.fetch([ADA]) for _ in range(4)]
    assert found(rounds[3]) == found(rounds[0]) == {BONK: "0.0000529"}
    assert rounds[3].notes == []


async def test_fetch_as_of_is_the_time_of_the_round(source):
    before = datetime.now(UTC)
    quote = (await source(CANDLES).fetch([ADA])).quotes[BONK]
    assert before <= quote.as_of <= datetime.now(UTC)


async def test_fetch_nothing_of_the_file_held_says_so(source):
    prices = await source(CANDLES).fetch([Token(BONK, "BONK"), Token(WRAPPED_SOL, "SOL")])
    assert prices.errors == ["prices.csv has no price of any token held (BONK); it has ADA, ETH."]


async def test_fetch_nothing_held_is_no_error(source):
    assert (await source(CANDLES).fetch([Token(WRAPPED_SOL, "SOL")])).errors == []


async def test_file_columns_in_another_order_and_more_of_them_are_read(source):
    replay = source("\ufeffprice,volume, token,time\r\n\r\n0.25,9,ADA,2018-01-10T06:55:00+02:00\r\n")
    assert found(await replay.fetch([ADA])) == {BONK: "0.25"}


async def test_file_out_of_order_is_played_in_order(source):
    lines = CANDLES.splitlines()
    replay = source("\n".join([lines[0], *reversed(lines[1:])]))
    assert found(await replay.fetch([ADA])) == {BONK: "0.0000529"}


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (b"", ": it contains no prices."),
        (b"time,token,price\n", ": it contains no prices."),
        (
            b"time,symbol,close\n",
            ", line 1: the first line must name the columns time,token,price[,price_usd]; token and price missing.",
        ),
        (
            b"time,token,price\nlately,ADA,1\n",
            ", line 2: time must look like 2018-01-10T04:55:00Z; it is 'lately'.",
        ),
        (b"time,token,price\n\n2018-01-10T04:55:00Z,,1\n", ", line 3: token is empty."),
        (
            b"time,token,price\n2018-01-10T04:55:00Z,ADA,1\n2018-01-10T04:55:00Z,ETH,1e12\n",
            ", line 3: price must be a number from 0 to below 10^12; it is '1e12'.",
        ),
        (
            b"time,token,price\n2018-01-10T04:55:00Z,ADA,nan\n",
            ", line 2: price must be a number from 0 to below 10^12; it is 'nan'.",
        ),
        (
            b"time,token,price\n2018-01-10T04:55:00Z,ADA,-1\n",
            ", line 2: price must be a number from 0 to below 10^12; it is '-1'.",
        ),
        (
            b"time,token,price,price_usd\n2018-01-10T04:55:00Z,ADA,1,1e12\n",
            ", line 2: price_usd must be a number from 0 to below 10^12; it is '1e12'.",
        ),
        (b"time,token,price\n2018-01-10T04:55:00Z,ADA\n", ", line 2: 2 values in 3 columns."),
        (
            b"time,token,price\n2018-01-10T04:55:00Z,ADA,1\n2018-01-10T04:55:00Z,ADA,2\n",
            ", line 3: ADA has a second price at 2018-01-10T04:55:00Z.",
        ),
        (b"time,token,price\n2018-01-10T04:55:00Z,\xc4DA,1\n", ", line 2: not UTF-8 text."),
        (b'time,token,price\n"2018-01-10T04:55:00Z,ADA,1\n', ", line 2: not CSV: unexpected end of data."),
    ],
)
def test_file_with_a_mistake_is_refused_naming_the_line(source, tmp_path, text, sentence):
    with pytest.raises(SourceError) as caught:
        source(text)
    assert str(caught.value) == f"{tmp_path / 'prices.csv'}{sentence}"


def test_file_missing_is_refused_naming_it(tmp_path: Path):
    with pytest.raises(SourceError) as caught:
        ReplaySource(tmp_path / "none.csv")
    assert str(caught.value) == f"{tmp_path / 'none.csv'}: No such file or directory."


def test_file_that_is_a_folder_is_refused(tmp_path: Path):
    with pytest.raises(SourceError) as caught:
        ReplaySource(tmp_path)
    assert str(caught.value) == f"{tmp_path}: Is a directory."


async def test_price_keeps_its_digits(source):
    replay = source("time,token,price\n2018-01-10T04:55:00Z,ADA,0.000000000000000001\n")
    assert (await replay.fetch([ADA])).quotes[BONK].price == Decimal("1e-18")


async def test_price_may_be_smaller_than_any_amount_and_in_the_end_nothing(source):
    replay = source(
        "time,token,price\n"
        "2018-01-10T04:55:00Z,SOL,1\n"
        "2018-01-10T04:55:00Z,ADA,0.00000000000000000000123456789012345\n"
        "2018-01-10T05:00:00Z,ADA,0\n"
    )
    assert (await replay.fetch([ADA])).quotes[BONK].price == Decimal("1.23456789e-21")
    worthless = (await replay.fetch([ADA])).quotes[BONK]
    assert (worthless.price, worthless.sol_usd, worthless.status) == (0, None, "live")
