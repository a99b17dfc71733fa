"""Amounts of tokens, prices and sums of SOL: their precision and limits, and how clients' input is rounded. Pure.

Prices have 30 decimals, amounts 18, sums of SOL 9 (a lamport), sums of USD and percentages 6. With 30 decimals, the
cost of a token times the largest amount of it is right to the lamport: 1 SOL for 8.123e13 tokens is 1.23e-14 SOL each.

What clients send is noisy (0.1 + 0.2 as doubles): `sol_of`, `tokens_of`, `tokens_to_sell` and `price_of` make it what a
wallet can have moved. What is booked is exact: `check_amount` and `check_sol` refuse what does not fit its column.
"""

from __future__ import annotations

import math
from decimal import ROUND_HALF_EVEN, Context, Decimal, localcontext
from typing import Any

from positions.books.numbers import digits, shown
from positions.errors import InvalidAmount

AMOUNT = Decimal("1e-18")
PRICE = Decimal("1e-30")
SOL = Decimal("1e-9")
USD = Decimal("1e-6")
PERCENT = Decimal("1e-6")
ZERO = Decimal(0)

# Columns: 39 digits, 18 of them decimals, for amounts; 42, 30 decimals, for prices; 20, 9 decimals, for sums of SOL.
AMOUNT_LIMIT = Decimal("1e21")
PRICE_LIMIT = Decimal("1e12")
SOL_LIMIT = Decimal("1e11")

TOKEN_DECIMALS = 9
"""Of a mint whose own decimals are not known: hardly any has more. (A mint's supply is a 64-bit number of its smallest
unit, so that more would leave less than 1.8e10 tokens.)"""

DOUBLES_NOISE = 8
"""How many units in the last place of what was bought some sales in a row may be off, counted with doubles."""
MOST_DECIMALS = 18
"""Of a mint whose amounts a column can hold."""

# Enough digits for a price times an amount, and for sums of these, to be exact.
EXACT = Context(prec=100, rounding=ROUND_HALF_EVEN)


def sol_of(number: Decimal, name: str, *, positive: bool) -> Decimal:
    """Return a sum of SOL as a client gave it in whole lamports. Raises InvalidAmount.

    What rounds to 0 is refused where it must be more (`positive`).
    """
    _check_range(number, name, limit=SOL_LIMIT, positive=positive)
    return _rounded(number, name, step=SOL, positive=positive)


def tokens_of(number: Decimal, name: str, *, decimals: int = TOKEN_DECIMALS) -> Decimal:
    """Return an amount as a client gave it in whole units of its mint; none rounds to 0. Raises InvalidAmount."""
    _check_range(number, name, limit=AMOUNT_LIMIT, positive=True)
    return _rounded(number, name, step=unit(decimals), positive=True)


def tokens_to_sell(
    number: Decimal,
    name: str,
    *,
    held: Decimal,
    bought: Decimal,
    trades: int,
    decimals: int = TOKEN_DECIMALS,
) -> Decimal:
    """Return how many of the tokens held a client's `number` sells: all of them, where no more would be left than dust.

    A client that keeps count itself may be further off. Its doubles are exact but for a few of the last bits of the
    most that it has counted, `bought`. And each of the `trades` until now was rounded, by up to half a unit; that
    counts only if its number is finer than a unit, which shows that it was calculated. A number that is as near as
    that to all is taken for all.

    Raises InvalidAmount.
    """
    _check_range(number, name, limit=AMOUNT_LIMIT, positive=True)
    with localcontext(EXACT):
        step, nearness = unit(decimals), ZERO
        noise = DOUBLES_NOISE * Decimal(math.ulp(float(bought)))
        if number != number.quantize(step):
            nearness = step * (trades + 1) / 2 + noise
        elif number == Decimal(repr(float(number))):
            nearness = noise
        if abs(held - number) < max(step, nearness):
            return held
    return _rounded(number, name, step=step, positive=True)


def is_dust(number: Decimal, decimals: int = TOKEN_DECIMALS) -> bool:
    """Whether the amount is less than one unit of its mint's smallest denomination: nothing that could be moved."""
    return number < unit(decimals)


def unit(decimals: int) -> Decimal:
    """Return the smallest amount of a token whose mint has this many decimals."""
    return Decimal(1).scaleb(-decimals)


def check_amount(number: Decimal, name: str) -> None:
    """Raise InvalidAmount unless `number` is a positive amount that its column holds digit for digit."""
    _check(number, name, step=AMOUNT, limit=AMOUNT_LIMIT, positive=True)


def price_of(number: Decimal, name: str) -> Decimal:
    """Return a price as a client gave it, with as many decimals as its column. Raises InvalidAmount."""
    _check_range(number, name, limit=PRICE_LIMIT, positive=True)
    return _rounded(number, name, step=PRICE, positive=True)


def check_sol(number: Decimal, name: str, *, positive: bool) -> None:
    """Raise InvalidAmount unless `number` is a sum of SOL in whole lamports: more than 0, or 0 or more."""
    _check(number, name, step=SOL, limit=SOL_LIMIT, positive=positive)


def _check(number: Any, name: str, *, step: Decimal, limit: Decimal, positive: bool) -> None:
    _check_range(number, name, limit=limit, positive=positive)
    if number != number.quantize(step, context=EXACT):
        decimals = -int(step.as_tuple().exponent)
        raise InvalidAmount(f"{name} must have at most {decimals} decimals, not {shown(number)}", field=name)


def _check_range(number: Any, name: str, *, limit: Decimal, positive: bool) -> None:
    problem = None
    if not isinstance(number, Decimal):
        raise InvalidAmount(f"{name} must be a Decimal, not {type(number).__name__}", field=name)
    if not number.is_finite():
        problem = "be a finite number"
    elif number >= limit:
        problem = f"be less than {digits(limit)}"
    elif positive and number <= 0:
        problem = "be more than 0"
    elif number < 0:
        problem = "be 0 or more"
    if problem:
        raise InvalidAmount(f"{name} must {problem}, not {shown(number)}", field=name)


def _rounded(number: Decimal, name: str, *, step: Decimal, positive: bool) -> Decimal:
    rounded = number.quantize(step, context=EXACT) or ZERO  # not -0
    if positive and not rounded:
        raise InvalidAmount(
            f"{name} must be at least {digits(step)}, not {shown(number)}, which rounds to 0", field=name
        )
    return rounded


def check_total(number: Decimal, name: str, what: str, limit: Decimal) -> None:
    if number.copy_abs() >= limit:  # abs() keeps 28 digits
        raise InvalidAmount(
            f"{name}: {digits(number)} {what} is too much: it must be less than {digits(limit)}", field=name
        )
