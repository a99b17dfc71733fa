from __future__ import annotations

from decimal import Decimal
from itertools import pairwise
from statistics import stdev

from positions.prices.quotes import WRAPPED_SOL, Token
from positions.prices.simulated import START_PRICES, SimulatedSource, market
from tests.conftest import BONK, JUP, WIF

MSOL = "mSoLzYCxHdYgdzU16g5QSh3i5K3z3KZK7ytfqcJm7So"
UNKNOWN = "BDW8YHasD3NSDjSHU9Xy6KXtshGayMGQfj5bJpLcpump"


async def walk(seed: int | None, *addresses: str, rounds: int) -> list[dict[str, Decimal]]:
    source = SimulatedSource(seed=seed)
    tokens = [Token(address) for address in addresses]
    fetched = [await source.fetch(tokens) for _ in range(rounds)]
    return [{address: quote.price for address, quote in prices.quotes.items()} for prices in fetched]


async def test_fetch_same_seed_gives_the_same_prices():
    assert await walk(7, BONK, UNKNOWN, rounds=50) == await walk(7, BONK, UNKNOWN, rounds=50)


async def test_fetch_another_seed_gives_others():
    assert await walk(7, BONK, rounds=50) != await walk(8, BONK, rounds=50)


async def test_fetch_without_seed_draws_one_and_prints_it():
    assert isinstance(SimulatedSource().seed, int)
    assert SimulatedSource().seed != SimulatedSource().seed


async def test_fetch_token_walks_alike_whatever_else_is_held():
    alone = await walk(7, BONK, rounds=50)
    together = await walk(7, WIF, BONK, JUP, rounds=50)
    assert alone == [{BONK: prices[BONK]} for prices in together]


async def test_fetch_first_round_gives_the_start_prices():
    [first] = await walk(7, *START_PRICES, rounds=1)
    assert first == START_PRICES


async def test_fetch_wrapped_sol_is_one_and_its_price_in_usd_walks():
    source = SimulatedSource(seed=7)
    rounds = [await source.fetch([Token(WRAPPED_SOL), Token(BONK)]) for _ in range(20)]
    assert {prices.quotes[WRAPPED_SOL].price for prices in rounds} == {Decimal(1)}
    assert len({prices.sol_usd for prices in rounds}) == 20
    for prices in rounds:
        assert prices.sol_usd is not None
        for quote in prices.quotes.values():
            assert quote.price_usd == quote.price * prices.sol_usd


async def test_fetch_prices_stay_positive_with_eight_significant_digits():
    for prices in await walk(7, *START_PRICES, UNKNOWN, rounds=2000):
        for price in prices.values():
            assert price > 0
            assert len(price.normalize().as_tuple().digits) <= 8


async def test_fetch_moves_as_much_as_a_market_does():
    """A meme coin is wild, staked SOL hardly moves, nothing runs away."""
    rounds = await walk(7, WIF, JUP, MSOL, rounds=4000)

    def spread(address: str) -> float:
        steps = [float(after[address] / before[address]) - 1 for before, after in pairwise(rounds)]
        return stdev(steps)

    assert spread(WIF) > spread(JUP) > 10 * spread(MSOL) > 0
    assert 0.5 < rounds[-1][WIF] / rounds[0][WIF] < 2


def test_market_of_an_unknown_token_comes_from_its_address():
    assert market(UNKNOWN) == market(UNKNOWN)
    assert market(UNKNOWN) != market(UNKNOWN.lower())
    starts = [market(f"{UNKNOWN}{number}").start for number in range(500)]
    assert min(starts) >= Decimal("1e-7")
    assert max(starts) <= Decimal("0.1")
    assert min(starts) < Decimal("1e-6")
    assert max(starts) > Decimal("0.01")


def test_source_says_that_it_is_simulated():
    assert (SimulatedSource.name, SimulatedSource.simulated) == ("simulated", True)
