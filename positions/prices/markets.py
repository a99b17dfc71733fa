"""Which market makes a token's price: the one where most can be traded. Pure: takes pools, asks nobody.

A pool is looked at from the token's side, whichever side of the pair that is, and pools are compared by their depth in
USD, whatever the other side is. A pool's figures count only as far as the other side supports them:

- Depth is at most twice what lies on the other side: a heap of the token itself at a made-up price is no depth.
- The other side counts when it is SOL or a known dollar coin. A pool against any other token decides only where no pool
  against those is above the floor, or where it agrees with the deepest of them: anyone can make a token, give it a
  price, and pair it.
- A launch curve names no liquidity: it is ranked by what it has traded lately, in USD a day.
- A pool below the floor decides only where there is nothing else, and its price is not to be relied on.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal, localcontext

from positions.books.quotes import WRAPPED_SOL
from positions.prices.quotes import usable

# Circle, Tether, PayPal.
DOLLARS = frozenset(
    {
        "EPjFWdd5AufqSSqeM2qN1xzybapC8G4wEGGkZwyTDt1v",
        "Es9vMFrzaCERmJfrF4H2FYD4KCoNkY11McCe8BenwNYB",
        "2b1kV6DkPAnxd5ixfnxCpjxmKwqjjaYmCZfHsFu24GXo",
    }
)
AGREEMENT = Decimal("1.5")
"""How far prices that agree may be apart, as a factor: of a pool against an unknown token and the deepest known one,
or of a pool and what the source makes of it in USD."""
BALANCED = Decimal("1.1")
"""By what factor a pool of a constant product may have fewer tokens than its price and SOL say: both are rounded."""
ZERO, ONE, TWO = Decimal(0), Decimal(1), Decimal(2)


@dataclass(frozen=True, slots=True)
class Pool:
    """One market, as its exchange reports it."""

    address: str
    exchange: str
    base: str
    quote: str
    price: Decimal
    """One base in quotes, positive."""
    base_usd: Decimal | None
    """One base in USD, as the source works it out; None where it does not."""
    liquidity_usd: Decimal | None
    """None for a launch curve, which reports none."""
    base_reserve: Decimal | None
    quote_reserve: Decimal | None
    traded_usd: Decimal
    """Its volume per day, extrapolated from recent trades."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A pool from one token's side."""

    pool: Pool
    other: str
    """The token on the other side."""
    price: Decimal
    """One token in SOL."""
    depth_usd: Decimal
    pool_tokens: Decimal | None
    pool_sol: Decimal | None
    """Its reserves: tokens, and the other side in SOL; None if they are not reported."""

    @property
    def reserves(self) -> tuple[Decimal | None, Decimal | None]:
        """What the exit value is worked out from: tokens and SOL.

        Concentrated liquidity may be hardly a token beside its SOL, which says nothing of the price. As many tokens
        count then as that price makes of the SOL: otherwise, one of them would bring nearly all of it.
        """
        if self.pool_tokens is None or self.pool_sol is None:
            return self.pool_tokens, self.pool_sol
        with localcontext(prec=50):
            least = self.pool_sol / self.price
            return (self.pool_tokens if self.pool_tokens * BALANCED >= least else least), self.pool_sol

    @property
    def is_known(self) -> bool:
        """Whether the other side is SOL or a dollar coin."""
        return self.other == WRAPPED_SOL or self.other in DOLLARS


@dataclass(frozen=True, slots=True)
class Choice:
    """The pool chosen among a token's pools, and why."""

    best: Candidate | None
    is_thin: bool
    """Whether the best pool is below the floor."""
    reasons: dict[str, str]
    """Why each pool was chosen or not, by its address, in a few words."""
    is_borne_out: bool = False
    """Whether another pool above the floor has about the same price."""


def sol_in_usd(pools: Iterable[Pool]) -> Decimal | None:
    """Return USD for one SOL: of the deepest pool of wrapped SOL and a dollar coin; None without one."""
    deepest, found = ZERO, None
    for pool in pools:
        if pool.base == WRAPPED_SOL and pool.quote in DOLLARS:
            usd, dollars = _near_or(pool.price, pool.base_usd), pool.quote_reserve
        elif pool.quote == WRAPPED_SOL and pool.base in DOLLARS:
            usd, dollars = _divide(_near_or(ONE, pool.base_usd), pool.price), pool.base_reserve
        else:
            continue
        depth = pool.liquidity_usd or ZERO
        if dollars is not None:
            depth = min(depth, TWO * dollars)  # a heap of SOL at a made-up price is no depth, either
        if usable(usd) is not None and (found is None or depth > deepest):
            deepest, found = depth, usable(usd)
    return found


def choose(token: str, pools: Iterable[Pool], *, sol_usd: Decimal | None, floor_usd: Decimal) -> Choice:
    """Return the market that makes the token's price, and why each of its pools does or does not."""
    reasons: dict[str, str] = {}
    candidates = []
    for pool in pools:
        candidate = _seen_from(token, pool, sol_usd)
        if candidate is None:
            reasons[pool.address] = "no price in SOL"
        else:
            candidates.append(candidate)
    candidates.sort(key=lambda each: (each.depth_usd, each.pool.traded_usd), reverse=True)
    good = [each for each in candidates if each.depth_usd >= floor_usd]
    deepest_known = next((each for each in good if each.is_known), None)
    best = None
    for candidate in good or candidates:
        if best is None and (candidate.is_known or _agrees(candidate, deepest_known)):
            best = candidate
            reasons[candidate.pool.address] = (
                "the deepest" if good else "below the floor, but there is no other"
            )
        elif best is None:
            reasons[candidate.pool.address] = "far from the deepest pool against SOL or dollars"
        else:
            reasons[candidate.pool.address] = "less deep"
    for candidate in candidates:
        reasons.setdefault(candidate.pool.address, "below the floor")
    is_borne_out = any(each is not best and each.is_known and _agrees(each, best) for each in good)
    return Choice(best, is_thin=not good, reasons=reasons, is_borne_out=is_borne_out)


def _seen_from(token: str, pool: Pool, sol_usd: Decimal | None) -> Candidate | None:
    """Return the pool from the token's side; None where that gives no price in SOL."""
    if token == pool.base:
        other, price, own_reserve, other_reserve = (
            pool.quote,
            pool.price,
            pool.base_reserve,
            pool.quote_reserve,
        )
    elif token == pool.quote:
        other, own_reserve, other_reserve = pool.base, pool.quote_reserve, pool.base_reserve
        price = _divide(ONE, pool.price)
    else:
        return None
    other_sol = _other_in_sol(pool, other, sol_usd)
    if other_sol is None:
        return None
    with localcontext(prec=50):
        in_sol = usable(price * other_sol)
        pool_sol = None if other_reserve is None else other_reserve * other_sol
        depth = pool.traded_usd if pool.liquidity_usd is None else pool.liquidity_usd
        if pool_sol is not None and sol_usd is not None and pool.liquidity_usd is not None:
            depth = min(depth, TWO * pool_sol * sol_usd)
    return None if in_sol is None else Candidate(pool, other, in_sol, depth, own_reserve, pool_sol)


def _other_in_sol(pool: Pool, other: str, sol_usd: Decimal | None) -> Decimal | None:
    """Return what one of the other side is worth in SOL, as this pool has it."""
    if other == WRAPPED_SOL:
        return ONE
    if sol_usd is None:
        return None
    if pool.base_usd is not None:
        # What the source says of the base, in USD, is worked out through the pool's own price.
        other_usd = pool.base_usd if other == pool.base else _divide(pool.base_usd, pool.price)
    elif other in DOLLARS:
        other_usd = ONE
    else:
        return None
    return _divide(other_usd, sol_usd)


def _agrees(candidate: Candidate, known: Candidate | None) -> bool:
    return known is None or _near(candidate.price, known.price)


def _near(one: Decimal, other: Decimal) -> bool:
    with localcontext(prec=50):
        return other / AGREEMENT <= one <= other * AGREEMENT


def _near_or(traded: Decimal, usd: Decimal | None) -> Decimal:
    """Return what the source says in USD, if the pool's own price, at a dollar for a coin, bears it out."""
    return usd if usd is not None and _near(usd, traded) else traded


def _divide(one: Decimal, by: Decimal) -> Decimal:
    with localcontext(prec=50):
        return one / by
