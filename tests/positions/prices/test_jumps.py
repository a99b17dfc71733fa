"""Prices that jump, and what confirms them."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

from positions.books.quotes import MarketStatus
from positions.prices.jumps import Jumps
from positions.prices.markets import Choice, Pool, choose
from positions.prices.quotes import WRAPPED_SOL, Market, Quote
from tests.conftest import BONK

FLOOR = Decimal(1000)


def pool(price: str, *, address: str = "pool", tokens: str | None = None, sol: str | None = None) -> Pool:
    return Pool(
        address=address,
        exchange="raydium",
        base=BONK,
        quote=WRAPPED_SOL,
        price=Decimal(price),
        base_usd=None,
        liquidity_usd=Decimal(50_000),
        base_reserve=None if tokens is None else Decimal(tokens),
        quote_reserve=None if sol is None else Decimal(sol),
        traded_usd=Decimal(0),
    )


def at(*pools: Pool) -> Choice:
    return choose(BONK, pools, sol_usd=Decimal(150), floor_usd=FLOOR)


def doubts(jumps: Jumps, *prices: str) -> list[bool]:
    return [jumps.doubts(BONK, at(pool(price))) for price in prices]


def test_jump_is_doubted_until_it_has_stood_for_the_rounds():
    jumps = Jumps(5)
    assert doubts(jumps, "0.01", "0.1", "0.1", "0.11", "0.1", "0.1", "0.1") == [
        *[False, True, True, True, True],
        *[False, False],
    ]


def test_jump_that_is_back_in_three_rounds_is_never_accepted():
    assert doubts(Jumps(5), "0.01", "0.001", "0.001", "0.001", "0.01", "0.011") == [
        *[False, True, True, True],
        *[False, False],
    ]


def test_jump_that_goes_on_jumping_begins_to_count_again():
    assert doubts(Jumps(3), "0.01", "0.1", "1", "10", "10", "10") == [False, True, True, True, True, False]


def test_change_by_half_is_no_jump_and_rounds_of_0_doubt_nothing():
    assert doubts(Jumps(5), "0.01", "0.005", "0.0025") == [False, False, False]
    assert doubts(Jumps(0), "0.01", "1") == [False, False]


def test_crash_that_moved_what_lies_in_the_pool_is_accepted_at_once():
    jumps = Jumps(5)
    assert not jumps.doubts(BONK, at(pool("0.01", tokens="16666", sol="166.66")))
    assert not jumps.doubts(BONK, at(pool("0.0001", tokens="166660", sol="16.666")))


def test_jump_of_a_pool_whose_reserves_stand_still_is_doubted():
    jumps = Jumps(5)
    jumps.doubts(BONK, at(pool("0.01", tokens="16666", sol="166.66")))
    assert jumps.doubts(BONK, at(pool("0.0001", tokens="16666", sol="166.66")))


def test_jump_that_another_pool_shares_is_accepted_at_once():
    jumps = Jumps(5)
    jumps.doubts(BONK, at(pool("0.01"), pool("0.0101", address="other")))
    assert not jumps.doubts(BONK, at(pool("0.1"), pool("0.102", address="other")))
    assert jumps.doubts(BONK, at(pool("0.9"), pool("0.102", address="other")))


def before(price: str, status: MarketStatus) -> Quote:
    return Quote(BONK, Decimal(price), None, datetime.now(UTC), Market(status))


def test_restart_confirms_no_jump():
    jumps = Jumps(3)
    jumps.resume([before("0.01", "live")])
    assert doubts(jumps, "0.1", "0.1", "0.1") == [True, True, False]


def test_restart_during_a_jump_begins_to_count_again():
    jumps = Jumps(3)
    jumps.resume([before("0.1", "thin")])
    assert doubts(jumps, "0.1", "0.1", "0.1") == [True, True, False]


def test_restart_without_a_jump_doubts_nothing_and_what_is_known_already_counts():
    jumps = Jumps(3)
    jumps.resume([before("0.01", "live")])
    assert doubts(jumps, "0.012") == [False]
    jumps.resume([before("0.1", "thin")])
    assert doubts(jumps, "0.011") == [False]
