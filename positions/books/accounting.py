"""Average-cost accounting: a position's cost, profit and value. Pure arithmetic, no Django.

The only implementation in Python, for the socket, the REST API and the admin. The browser's
`accounting.js` repeats `value`, and tests/accounting_vectors.json holds both to the same figures.

Prices have 30 decimals, amounts 18, sums of SOL 9 (a lamport), sums of USD and percentages 6. Results are rounded half
to even to these, once; what is multiplied on the way is exact. With 30 decimals, the cost of a token times the largest
amount of it is right to the lamport: 1 SOL for 8.123e13 tokens is 1.23e-14 SOL for each.

What clients send is noisy (0.1 + 0.2 as doubles): `sol_of`, `tokens_of` and `tokens_to_sell` make it what a wallet
can have moved. What is booked is exact: `buy` and `sell` refuse what does not fit its column.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from decimal import ROUND_HALF_EVEN, Context, Decimal, localcontext
from typing import Any

from positions.books.numbers import digits as digits
from positions.books.numbers import shown
from positions.books.quotes import PriceStatus
from positions.errors import InvalidAmount, NotEnoughTokens

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
_CONTEXT = Context(prec=100, rounding=ROUND_HALF_EVEN)


@dataclass(frozen=True, slots=True)
class Holding:
    """One position's cost side: tokens and their price in SOL, sums in SOL."""

    purchase_price: Decimal = ZERO
    """Average cost of a token held, in SOL."""
    purchase_amount: Decimal = ZERO
    """Tokens ever bought."""
    remaining_amount: Decimal = ZERO
    """Tokens held now."""
    total_invested_sol: Decimal = ZERO
    realized_profit_sol: Decimal = ZERO


@dataclass(frozen=True, slots=True)
class Valuation:
    """One position at one price. USD figures are None where the price of SOL in USD is not known."""

    position_value_sol: Decimal
    position_value_usd: Decimal | None
    profit_loss_sol: Decimal
    """Realised and unrealised together."""
    profit_loss_usd: Decimal | None
    profit_loss_percent: Decimal
    """Of all that was ever invested in the position."""
    price_change_percent: Decimal
    """Of the price against the average cost."""
    purchase_price_usd: Decimal | None
    """The average cost at today's price of SOL."""


def buy(holding: Holding, *, tokens: Decimal, spent_sol: Decimal, may_be_free: bool = False) -> Holding:
    """Return the holding after a purchase: opening, or averaging down (DCA). An airdrop `may_be_free`.

    Raises InvalidAmount where an argument or the result does not fit its column.
    """
    check_amount(tokens, "tokens")
    check_sol(spent_sol, "spent_sol", positive=not may_be_free)
    with localcontext(_CONTEXT):
        held = holding.remaining_amount + tokens
        bought = holding.purchase_amount + tokens
        invested = holding.total_invested_sol + spent_sol
        cost = ((holding.purchase_price * holding.remaining_amount + spent_sol) / held).quantize(PRICE)
    _check_total(bought, "tokens", "bought in all", AMOUNT_LIMIT)
    _check_total(invested, "spent_sol", "SOL in all", SOL_LIMIT)
    _check_total(cost, "spent_sol", "SOL for one token", PRICE_LIMIT)
    return replace(
        holding,
        purchase_price=cost,
        purchase_amount=bought,
        remaining_amount=held,
        total_invested_sol=invested,
    )


def sell(holding: Holding, *, tokens: Decimal, proceeds_sol: Decimal) -> Holding:
    """Return the holding after a sale. The average cost stays; proceeds above it are realised profit.

    Raises InvalidAmount, or NotEnoughTokens where more is sold than held.
    """
    check_amount(tokens, "tokens")
    check_sol(proceeds_sol, "proceeds_sol", positive=False)
    if tokens > holding.remaining_amount:
        raise NotEnoughTokens(
            f"tokens: {digits(tokens)} to sell, {digits(holding.remaining_amount)} held", field="tokens"
        )
    with localcontext(_CONTEXT):
        gained = proceeds_sol - holding.purchase_price * tokens
        realized = (holding.realized_profit_sol + gained).quantize(SOL)
        held = holding.remaining_amount - tokens
    _check_total(realized, "proceeds_sol", "SOL realised in all", SOL_LIMIT)
    return replace(holding, remaining_amount=held, realized_profit_sol=realized)


def exchange(holding: Holding, *, tokens: Decimal) -> Holding:
    """Return the holding after all of its tokens became `tokens` of another mint, at the same cost in all.

    Raises InvalidAmount, or NotEnoughTokens where nothing is held.
    """
    check_amount(tokens, "tokens")
    held = holding.remaining_amount
    if not held:
        raise NotEnoughTokens("tokens: nothing is held that could be exchanged", field="tokens")
    with localcontext(_CONTEXT):
        bought = (holding.purchase_amount * tokens / held).quantize(AMOUNT)
        cost = holding.purchase_price * held / tokens
    _check_total(bought, "tokens", "bought in all", AMOUNT_LIMIT)
    _check_total(cost, "tokens", "SOL for one token", PRICE_LIMIT)
    return replace(
        holding,
        purchase_price=cost.quantize(PRICE, context=_CONTEXT),
        purchase_amount=bought,
        remaining_amount=tokens,
    )


def value(holding: Holding, *, price: Decimal, sol_usd: Decimal | None) -> Valuation:
    """Return what the holding is worth at `price` (SOL for one token) and at `sol_usd` (USD for one SOL)."""
    with localcontext(_CONTEXT):
        worth = price * holding.remaining_amount
        unrealized = (price - holding.purchase_price) * holding.remaining_amount
        profit = holding.realized_profit_sol + unrealized
        invested, cost = holding.total_invested_sol, holding.purchase_price
        return Valuation(
            position_value_sol=worth.quantize(SOL),
            position_value_usd=None if sol_usd is None else (worth * sol_usd).quantize(USD),
            profit_loss_sol=profit.quantize(SOL),
            profit_loss_usd=None if sol_usd is None else (profit * sol_usd).quantize(USD),
            profit_loss_percent=(profit / invested * 100 if invested else ZERO).quantize(PERCENT),
            price_change_percent=((price - cost) / cost * 100 if cost else ZERO).quantize(PERCENT),
            purchase_price_usd=None if sol_usd is None else (cost * sol_usd).quantize(PRICE),
        )


def exit_value(
    tokens: Decimal, *, status: PriceStatus, pool_tokens: Decimal | None, pool_sol: Decimal | None
) -> Decimal | None:
    """Return the SOL that selling the tokens into the pool brings now: constant product, before fees.

    None where the reserves are unknown, 0 where the market is gone.
    """
    if status == "gone":
        return ZERO
    if pool_tokens is None or pool_sol is None:
        return None
    with localcontext(_CONTEXT):
        whole = pool_tokens + tokens
        return (pool_sol * tokens / whole if whole else ZERO).quantize(SOL)


def profit_usd_at_cost(
    *,
    remaining_amount: Decimal,
    price: Decimal,
    sol_usd: Decimal | None,
    cost_usd: Decimal | None,
    realized_profit_usd: Decimal | None,
) -> Decimal | None:
    """Return the profit in USD with each trade at the SOL/USD of its time, and what is held at today's.

    That is the value and the proceeds less what was paid; once all is sold, it no longer changes. None where a rate is
    not known: of a trade, or of today while something is held.
    """
    if cost_usd is None or realized_profit_usd is None or (sol_usd is None and remaining_amount):
        return None
    with localcontext(_CONTEXT):
        worth = price * remaining_amount * (sol_usd or ZERO)
        return (worth - cost_usd + realized_profit_usd).quantize(USD)


def proceeds(*, tokens: Decimal, price: Decimal) -> Decimal:
    """Return the SOL that a sale of `tokens` at `price` brings, to the lamport."""
    with localcontext(_CONTEXT):
        return (tokens * price).quantize(SOL)


def price_paid(*, tokens: Decimal, sol: Decimal) -> Decimal | None:
    """Return what a trade of `tokens` for `sol` says of the price of one; None where that is nothing, or no price."""
    with localcontext(_CONTEXT):
        price = (sol / tokens).quantize(PRICE) if tokens and sol < PRICE_LIMIT * tokens else ZERO
    return price if price > 0 else None


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
    with localcontext(_CONTEXT):
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
    if number != number.quantize(step, context=_CONTEXT):
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
    rounded = number.quantize(step, context=_CONTEXT) or ZERO  # not -0
    if positive and not rounded:
        raise InvalidAmount(
            f"{name} must be at least {digits(step)}, not {shown(number)}, which rounds to 0", field=name
        )
    return rounded


def _check_total(number: Decimal, name: str, what: str, limit: Decimal) -> None:
    if abs(number) >= limit:
        raise InvalidAmount(
            f"{name}: {digits(number)} {what} is too much: it must be less than {digits(limit)}", field=name
        )
