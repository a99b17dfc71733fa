"""Which pool makes the price: cases with one right answer, and recorded answers that are modified in every way."""

from __future__ import annotations

import copy
import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from positions.books.quotes import WRAPPED_SOL
from positions.prices.dexscreener_pairs import parsed
from positions.prices.markets import Choice, Pool, choose, sol_in_usd
from positions.prices.quotes import SourceError
from tests.conftest import BONK, JUP, WIF
from tests.positions.prices.price_api import SOL_PAIR, USDC, pair

SOL_USD, FLOOR = Decimal(150), Decimal(1000)


def pool(
    base: str = BONK,
    price: str = "0.01",
    *,
    quote: str = WRAPPED_SOL,
    base_usd: str | None = None,
    liquidity: str | None = "50000",
    reserves: tuple[str, str] | None = None,
    traded: str = "0",
    name: str = "",
) -> Pool:
    own, other = reserves or (None, None)
    return Pool(
        address=name or f"{base}{price}{quote}{liquidity}",
        exchange="raydium",
        base=base,
        quote=quote,
        price=Decimal(price),
        base_usd=None if base_usd is None else Decimal(base_usd),
        liquidity_usd=None if liquidity is None else Decimal(liquidity),
        base_reserve=None if own is None else Decimal(own),
        quote_reserve=None if other is None else Decimal(other),
        traded_usd=Decimal(traded),
    )


def chosen(*pools: Pool, token: str = BONK) -> Choice:
    return choose(token, pools, sol_usd=SOL_USD, floor_usd=FLOOR)


def price_of(*pools: Pool, token: str = BONK) -> Decimal | None:
    best = chosen(*pools, token=token).best
    return best.price if best else None


def test_deepest_pool_counts_whatever_it_is_quoted_in():
    assert price_of(pool(price="9.9", liquidity="4000"), pool(price="1.5", quote=USDC)) == Decimal("0.01")


def test_depth_is_no_more_than_twice_what_lies_on_the_other_side():
    """A heap of the token itself, at a price of its own, next to nearly no SOL."""
    heap = pool(price="5", liquidity="90000000", reserves=("1000000", "0.02"))
    assert price_of(heap, pool(price="0.01", liquidity="5000")) == Decimal("0.01")


def test_pool_against_an_unknown_token_does_not_overrule_one_against_sol():
    bait = pool(price="1", quote=JUP, base_usd="3000", liquidity="900000000")
    assert price_of(bait, pool(price="0.01", liquidity="5000")) == Decimal("0.01")


def test_pool_against_an_unknown_token_counts_where_there_is_no_other_or_it_agrees():
    bait = pool(price="1", quote=JUP, base_usd="3", liquidity="20000")
    assert price_of(bait) == Decimal("0.02")
    assert price_of(bait, pool(price="0.018", liquidity="5000")) == Decimal("0.02")


def test_pool_below_the_floor_counts_only_where_there_is_no_other():
    thin = pool(price="7", liquidity="999.99")
    assert price_of(thin) == 7
    assert chosen(thin).is_thin
    good = pool(price="0.01", liquidity="1000")
    assert price_of(thin, good) == Decimal("0.01")
    assert not chosen(thin, good).is_thin
    assert chosen(thin, good).reasons[thin.address] == "below the floor"


def test_launch_curve_is_ranked_by_what_it_trades():
    curve = pool(price="0.0000001773", liquidity=None, traded="38315")
    assert price_of(pool(price="0.019", liquidity="0.16"), curve) == Decimal("0.0000001773")
    assert price_of(pool(price="0.019", liquidity="60000"), curve) == Decimal("0.019")


def test_token_may_be_on_either_side():
    assert price_of(pool(WRAPPED_SOL, "50", quote=BONK)) == Decimal("0.02")
    assert price_of(pool(USDC, "2", quote=BONK, base_usd="0.99")) == Decimal("0.0033")


def test_token_without_a_pool_has_no_price():
    assert chosen() == Choice(None, is_thin=True, reasons={})
    assert price_of(pool(WIF)) is None


def test_sol_in_usd_is_that_of_the_deepest_dollar_pool_alone():
    bait = pool(WRAPPED_SOL, "50", quote=JUP, base_usd="9000", liquidity="900000000")
    thin = pool(WRAPPED_SOL, "140", quote=USDC, liquidity="900")
    deep = pool(USDC, "0.008", base_usd="1", quote=WRAPPED_SOL, liquidity="30000000")
    assert sol_in_usd([bait]) is None
    assert sol_in_usd([bait, thin]) == 140
    assert sol_in_usd([bait, thin, deep]) == 125


@pytest.mark.parametrize(
    "bait",
    [
        pool(WRAPPED_SOL, "99999999", quote=USDC, liquidity="99999999", reserves=("1", "0.01")),
        pool(USDC, "0.00000001", quote=WRAPPED_SOL, liquidity="900000000", reserves=("10", "9000000")),
    ],
)
def test_sol_in_usd_is_not_that_of_a_pool_with_hardly_a_dollar_in_it(bait):
    """SOL at a price of its own next to no dollars: its liquidity is what that price makes of it."""
    good = pool(WRAPPED_SOL, "150", quote=USDC, liquidity="30000", reserves=("100", "15000"))
    assert sol_in_usd([bait, good]) == 150


@pytest.mark.parametrize("usd", ["15000", "0.02"])
def test_sol_in_usd_is_what_its_pool_trades_at_where_the_source_names_another_price(usd):
    assert sol_in_usd([pool(WRAPPED_SOL, "150", quote=USDC, base_usd=usd)]) == 150
    assert sol_in_usd([pool(USDC, "0.008", quote=WRAPPED_SOL, base_usd=usd)]) == 125


@pytest.mark.parametrize(
    ("reserves", "right"),
    [
        (("15900", "166"), ("15900", "166")),  # a constant product, to within a few trades
        (("1", "333"), ("33300", "333")),  # concentrated: nearly all SOL
        (("0", "333"), ("33300", "333")),
        (("38326", "0.00002"), ("38326", "0.00002")),  # drained
    ],
)
def test_exit_is_never_worked_out_from_fewer_tokens_than_the_price_says(reserves, right):
    best = chosen(pool(liquidity="50000", reserves=reserves)).best
    assert best is not None
    assert best.reserves == tuple(map(Decimal, right))


GOOD = pair(BONK, "0.0001309", "0.01581", liquidity_usd=883589.79)
JUNK = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=20),
    st.just({}),
    st.just([]),
    st.decimals().map(str),
)


def bend(entry: dict[str, Any], path: list[str], value: Any) -> dict[str, Any]:
    """Return the entry with another value at the path."""
    bent = copy.deepcopy(entry)
    inner: Any = bent
    for name in path[:-1]:
        inner = inner[name]
    inner[path[-1]] = value
    return bent


PATHS = [
    ["baseToken"], ["baseToken", "address"], ["quoteToken"], ["quoteToken", "address"], ["priceNative"], ["priceUsd"],
    ["liquidity"], ["liquidity", "usd"], ["liquidity", "base"], ["liquidity", "quote"], ["volume"], ["volume", "h24"],
    ["txns"], ["pairAddress"], ["dexId"],
]  # fmt: skip


@settings(deadline=None)
@given(
    bends=st.lists(st.tuples(st.sampled_from(PATHS), JUNK), min_size=1, max_size=8),
    price=st.decimals(min_value="1e-25", max_value="1e25", allow_nan=False).map(str),
)
def test_modified_answer_never_crashes_and_a_pool_below_the_floor_never_beats_a_good_one(bends, price):
    entries = [SOL_PAIR, GOOD, pair(BONK, price, price, liquidity_usd=0.5)]
    entries += [bend(pair(BONK, price, price, liquidity_usd=999), path, value) for path, value in bends]
    # As it comes over the wire: numbers that are none are kept as texts.
    answer = json.loads(
        json.dumps(entries, default=str), parse_float=Decimal, parse_int=Decimal, parse_constant=str
    )
    try:
        pools = parsed(answer)
    except SourceError:
        raise AssertionError("two of the entries are sound") from None
    choice = choose(BONK, pools, sol_usd=sol_in_usd(pools), floor_usd=FLOOR)
    assert choice.best is not None
    assert not choice.is_thin
    assert choice.best.depth_usd >= FLOOR
