"""Average-cost accounting: a position's cost, profit and value. Pure arithmetic, no Django.

The only implementation in Python, for the socket, the REST API and the admin. The browser's
`accounting.js` repeats `value`, and tests/accounting_vectors.json holds both to the same figures.

Prices and amounts have 18 decimals, sums of SOL 9 (a lamport), sums of USD and percentages 6. Results are rounded
half to even to these, once; what is multiplied on the way is exact.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from decimal import ROUND_HALF_EVEN, Context, Decimal, localcontext
from typing import Any

from positions.errors import InvalidAmount, NotEnoughTokens

AMOUNT = Decimal("1e-18")
SOL = Decimal("1e-9")
USD = Decimal("1e-6")
PERCENT = Decimal("1e-6")
ZERO = Decimal(0)

# Columns: 30 digits, 18 of them decimals, for prices and amounts; 20 digits, 9 decimals, for sums of SOL.
AMOUNT_LIMIT = Decimal("1e12")
SOL_LIMIT = Decimal("1e11")

# Enough digits for a product of two amounts, and for sums of these, to be exact.
_CONTEXT = Context(prec=80, rounding=ROUND_HALF_EVEN)


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


def buy(holding: Holding, *, tokens: Decimal, spent_sol: Decimal) -> Holding:
    """Return the holding after a purchase: opening, or averaging down (DCA).

    Raises InvalidAmount where an argument or the result does not fit its column.
    """
    check_amount(tokens, "tokens")
    check_sol(spent_sol, "spent_sol", positive=True)
    with localcontext(_CONTEXT):
        held = holding.remaining_amount + tokens
        bought = holding.purchase_amount + tokens
        invested = holding.total_invested_sol + spent_sol
        cost = ((holding.purchase_price * holding.remaining_amount + spent_sol) / held).quantize(AMOUNT)
    if bought >= AMOUNT_LIMIT:
        raise InvalidAmount(
            f"tokens: {digits(bought)} bought in all is more than a position can hold", field="tokens"
        )
    if invested >= SOL_LIMIT:
        raise InvalidAmount(
            f"spent_sol: {digits(invested)} SOL in all is more than a position can hold", field="spent_sol"
        )
    if cost >= AMOUNT_LIMIT:
        raise InvalidAmount(f"spent_sol: {digits(cost)} SOL for one token is too much", field="spent_sol")
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
    if abs(realized) >= SOL_LIMIT:
        raise InvalidAmount(
            f"proceeds_sol: {digits(realized)} SOL realised in all is more than a position can hold",
            field="proceeds_sol",
        )
    return replace(holding, remaining_amount=held, realized_profit_sol=realized)


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
            purchase_price_usd=None if sol_usd is None else (cost * sol_usd).quantize(AMOUNT),
        )


def proceeds(*, tokens: Decimal, price: Decimal) -> Decimal:
    """Return the SOL that a sale of `tokens` at `price` brings, to the lamport."""
    with localcontext(_CONTEXT):
        return (tokens * price).quantize(SOL)


def digits(number: Decimal) -> str:
    """Return the number in plain notation, without an exponent and without trailing zeros."""
    text = format(number, "f")
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text in {"-0", ""} else text


def check_amount(number: Decimal, name: str) -> None:
    """Raise InvalidAmount unless `number` is a positive amount or price that its column holds digit for digit."""
    _check(number, name, step=AMOUNT, limit=AMOUNT_LIMIT, positive=True)


def check_sol(number: Decimal, name: str, *, positive: bool) -> None:
    """Raise InvalidAmount unless `number` is a sum of SOL in whole lamports: more than 0, or 0 or more."""
    _check(number, name, step=SOL, limit=SOL_LIMIT, positive=positive)


def _check(number: Any, name: str, *, step: Decimal, limit: Decimal, positive: bool) -> None:
    problem = None
    if not isinstance(number, Decimal):
        problem = f"be a Decimal, not {type(number).__name__}"
    elif not number.is_finite():
        problem = "be a finite number"
    elif number >= limit:
        problem = f"be less than {digits(limit)}"
    elif positive and number <= 0:
        problem = "be more than 0"
    elif number < 0:
        problem = "be 0 or more"
    elif number != number.quantize(step, context=_CONTEXT):
        problem = f"have at most {-int(step.as_tuple().exponent)} decimals"
    if problem:
        raise InvalidAmount(f"{name} must {problem}", field=name)
