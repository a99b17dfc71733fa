"""Simulated prices: a seeded random walk for demos and tests, marked with `simulated`.

Prices are a mean-reverting walk of the logarithm, so that they neither reach zero nor run away when a demo is
left on for weeks. Quiet markets pause for rounds at a time; now and then one jumps.
"""

from __future__ import annotations

import hashlib
import math
import random
import secrets
from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Context, Decimal

from positions.prices.quotes import WRAPPED_SOL, Prices, Token, quotes_in_sol

STEP_SECONDS = 1.5
"""The assumed length of a round, independent of the interval: the same seed gives the same rounds."""
REVERSION_SECONDS = 86_400.0
"""How long a walk remembers where it was: after this, a distance from the start has shrunk to 37 %."""
JUMP_PROBABILITY = 0.004
JUMP_SIZE = 8.0
"""A jump is a step this many times the usual size."""
SIGNIFICANT = Context(prec=8)


@dataclass(frozen=True, slots=True)
class Market:
    """Where a walk starts and how it moves."""

    start: Decimal
    """In SOL."""
    volatility: float
    """Standard deviation of a day's logarithmic return: 0.05 is about 5 % a day."""
    activity: float
    """Probability that a trade moves the price within one round."""


# Real mints, at prices of about the right size; memes are wild, blue chips calm, staked SOL hardly moves.
MARKETS = {
    "DezXAZ8z7PnrnRJjz3wXBoRgixCa6xjnB7YaB1pPB263": Market(Decimal("0.00000013412"), 0.09, 0.95),  # BONK
    "EKpQGSJtjMFqKZ9KQanSqYXRcF8fBopzLHYxdM65zcjm": Market(Decimal("0.0041273"), 0.10, 0.9),  # WIF
    "JUPyiwrYJFskUPiHa7hkeR8VUtAeFoSYbKedZNsDvCN": Market(Decimal("0.0028416"), 0.055, 0.9),  # JUP
    "HZ1JovNiVvGrGNiiYvEozEVgZ58xaU3RKwX8eACQBCt3": Market(Decimal("0.00089235"), 0.06, 0.7),  # PYTH
    "jtojtomepa8beP8AuQc6eXt5FriJwfFMwQx2v2f9mCL": Market(Decimal("0.010764"), 0.055, 0.7),  # JTO
    "4k3Dyjzvzp8eMZWUXbBCjEvwSkkk59S5iCNLY3QrkX6R": Market(Decimal("0.016835"), 0.06, 0.85),  # RAY
    "orcaEKTdK7LKz57vaAYr9QeNsVEPfiu6QeMU1kektZE": Market(Decimal("0.011942"), 0.055, 0.5),  # ORCA
    "7GCihgDB8fe6KNjn2MYtkzZcRjQy3t9GHdC8uHYmW2hr": Market(Decimal("0.0016518"), 0.13, 0.7),  # POPCAT
    "MEW1gQWJ3nEXg2qgERiKu7FAFj79PHvQVREQUzScPP5": Market(Decimal("0.000015227"), 0.12, 0.7),  # MEW
    "85VBFQZC9TZkfaptBWjvUw7YbZjy52A6mjtPGjstQAmQ": Market(Decimal("0.00046109"), 0.065, 0.6),  # W
    "rndrizKT3MK1iimdxRdWabcF7Zg7AR5T4nud4EkHBof": Market(Decimal("0.020316"), 0.05, 0.6),  # RENDER
    "2zMMhcVQEXDtdE6vsFS7S7D5oUodfJHE8vd1gnBouauv": Market(Decimal("0.00017388"), 0.11, 0.85),  # PENGU
    "mSoLzYCxHdYgdzU16g5QSh3i5K3z3KZK7ytfqcJm7So": Market(Decimal("1.3086"), 0.001, 0.5),  # mSOL
    "6p6xgHyF7AeE6TZkSmFsko444wqoP15icUSqi2jfGiPN": Market(Decimal("0.051274"), 0.08, 0.95),  # TRUMP
}
START_PRICES: dict[str, Decimal] = {address: market.start for address, market in MARKETS.items()} | {
    WRAPPED_SOL: Decimal(1)
}
"""In SOL, by mint: the start of the walk of each token in the demo."""
SOL_USD = "SOL/USD"
SOL_IN_USD = Market(Decimal("187.42"), 0.04, 1.0)


class SimulatedSource:
    """A random walk for every token that is asked for, the same for the same seed and the same rounds.

    A walk depends on the seed and the token alone, and starts when the token is first asked for: which other
    tokens are held changes nothing.
    """

    name = "simulated"
    simulated = True

    def __init__(self, *, seed: int | None = None) -> None:
        self.seed = secrets.randbelow(2**32) if seed is None else seed
        self._walks: dict[str, _Walk] = {}

    async def fetch(self, tokens: Collection[Token]) -> Prices:
        """Move every walk by one step. Never fails."""
        sol_usd = self._next(SOL_USD)
        prices = {address: self._next(address) for address in {token.address for token in tokens}}
        return Prices(quotes_in_sol(prices, sol_usd=sol_usd, as_of=datetime.now(UTC)), sol_usd=sol_usd)

    async def aclose(self) -> None:
        """Nothing is open."""

    def _next(self, name: str) -> Decimal:
        walk = self._walks.get(name)
        if walk is None:
            walk = self._walks[name] = _Walk(market(name), random.Random(f"{self.seed} {name}"))  # noqa: S311
        else:
            walk.step()
        return walk.price


class _Walk:
    """An Ornstein-Uhlenbeck walk of the logarithm of one price, with pauses and jumps."""

    def __init__(self, market: Market, rng: random.Random) -> None:
        self._market = market
        self._rng = rng
        self._start = float(market.start)
        self._distance = 0.0  # the logarithm of price / start
        self.price = self._price()
        # Fewer moves are larger ones: a quiet market is as volatile over a day as its figure says.
        self._scale = market.volatility * math.sqrt(STEP_SECONDS / 86_400.0 / market.activity)
        self._keep = math.exp(-STEP_SECONDS / REVERSION_SECONDS)

    def step(self) -> None:
        if self._rng.random() >= self._market.activity:
            return
        size = JUMP_SIZE if self._rng.random() < JUMP_PROBABILITY else 1.0
        self._distance = self._distance * self._keep + self._rng.gauss(0.0, self._scale * size)
        self.price = self._price()

    def _price(self) -> Decimal:
        return SIGNIFICANT.create_decimal_from_float(self._start * math.exp(self._distance))


def market(name: str) -> Market:
    """Return how a token, or SOL in USD, is simulated; one that is in no table gets figures drawn from its address.

    The start price is log-uniform between a ten-millionth and a tenth of a SOL, as tokens at large are.
    """
    known = SOL_IN_USD if name == SOL_USD else MARKETS.get(name)
    if known is not None:
        return known
    digest = hashlib.sha256(name.encode()).digest()
    price, volatility, activity = (int.from_bytes(digest[at : at + 8]) / 2**64 for at in (0, 8, 16))
    start = SIGNIFICANT.create_decimal_from_float(10.0 ** (-7.0 + 6.0 * price))
    return Market(start, 0.05 * 6.0**volatility, 0.3 + 0.6 * activity)
