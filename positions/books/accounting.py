"""Average-cost accounting: a position's cost, profit and value. Pure arithmetic, no Django.

The only implementation in Python, for the socket, the REST API and the admin. The browser's
`accounting.js` repeats `value`, and tests/accounting_vectors.json holds both to the same figures.

Results are rounded half to even to the steps of `amounts`, once; what is multiplied on the way is exact.
"""

from __future__ import annotations

from decimal import Decimal, localcontext
from operator import attrgetter
from typing import NamedTuple

from positions.books.amounts import (
    AMOUNT,
    AMOUNT_LIMIT,
    EXACT,
    MOST_DECIMALS,
    PERCENT,
    PRICE,
    PRICE_LIMIT,
    SOL,
    SOL_LIMIT,
    TOKEN_DECIMALS,
    USD,
    ZERO,
    check_amount,
    check_sol,
    check_total,
    is_dust,
    price_of,
    sol_of,
    tokens_of,
    tokens_to_sell,
    unit,
)  # fmt: skip
from positions.books.numbers import digits
from positions.books.quotes import PriceStatus
from positions.errors import NotEnoughTokens

# What users of this module need of `amounts` is part of it.
__all__ = [
    "AMOUNT_LIMIT", "MOST_DECIMALS", "PERCENT", "PRICE", "PRICE_LIMIT", "SOL", "SOL_LIMIT", "TOKEN_DECIMALS", "USD",
    "ZERO", "Holding", "Valuation", "buy", "digits", "exchange", "exit_value", "is_dust", "price_of", "price_paid",
    "proceeds", "profit_usd_at_cost", "sell", "sol_of", "tokens_of", "tokens_to_sell", "unit", "value",
]  # fmt: skip


class Holding(NamedTuple):
    """One position's cost side: tokens and their price in SOL, sums in SOL."""

    purchase_price: Decimal = ZERO
    """Average cost of a token held, in SOL."""
    purchase_amount: Decimal = ZERO
    """Tokens ever bought."""
    remaining_amount: Decimal = ZERO
    """Tokens held now."""
    total_invested_sol: Decimal = ZERO
    realized_profit_sol: Decimal = ZERO

    @classmethod
    def of(cls, row: object) -> Holding:
        """Return that of anything with these attributes."""
        return cls(*_FIGURES(row))


_FIGURES = attrgetter(*Holding._fields)


class Valuation(NamedTuple):
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
    with localcontext(EXACT):
        held = holding.remaining_amount + tokens
        bought = holding.purchase_amount + tokens
        invested = holding.total_invested_sol + spent_sol
        cost = ((holding.purchase_price * holding.remaining_amount + spent_sol) / held).quantize(PRICE)
    check_total(bought, "tokens", "bought in all", AMOUNT_LIMIT)
    check_total(invested, "spent_sol", "SOL in all", SOL_LIMIT)
    check_total(cost, "spent_sol", "SOL for one token", PRICE_LIMIT)
    return holding._replace(
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
    with localcontext(EXACT):
        gained = proceeds_sol - holding.purchase_price * tokens
        realized = (holding.realized_profit_sol + gained).quantize(SOL)
        held = holding.remaining_amount - tokens
    check_total(realized, "proceeds_sol", "SOL realised in all", SOL_LIMIT)
    return holding._replace(remaining_amount=held, realized_profit_sol=realized)


def exchange(holding: Holding, *, tokens: Decimal) -> Holding:
    """Return the holding after all of its tokens became `tokens` of another mint, at the same cost in all.

    Raises InvalidAmount, or NotEnoughTokens where nothing is held.
    """
    check_amount(tokens, "tokens")
    held = holding.remaining_amount
    if not held:
        raise NotEnoughTokens("tokens: nothing is held that could be exchanged", field="tokens")
    with localcontext(EXACT):
        bought = (holding.purchase_amount * tokens / held).quantize(AMOUNT)
        cost = holding.purchase_price * held / tokens
    check_total(bought, "tokens", "bought in all", AMOUNT_LIMIT)
    check_total(cost, "tokens", "SOL for one token", PRICE_LIMIT)
    return holding._replace(
        purchase_price=cost.quantize(PRICE, context=EXACT),
        purchase_amount=bought,
        remaining_amount=tokens,
    )


def value(holding: Holding, *, price: Decimal, sol_usd: Decimal | None) -> Valuation:
    """Return what the holding is worth at `price` (SOL for one token) and at `sol_usd` (USD for one SOL)."""
    cost, _, held, invested, realized = holding
    with localcontext(EXACT):
        worth, gain = price * held, price - cost
        profit = realized + gain * held
        return Valuation(  # by position: by name takes twice as long
            worth.quantize(SOL),
            None if sol_usd is None else (worth * sol_usd).quantize(USD),
            profit.quantize(SOL),
            None if sol_usd is None else (profit * sol_usd).quantize(USD),
            (profit / invested * 100 if invested else ZERO).quantize(PERCENT),
            (gain / cost * 100 if cost else ZERO).quantize(PERCENT),
            None if sol_usd is None else (cost * sol_usd).quantize(PRICE),
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
    with localcontext(EXACT):
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
    with localcontext(EXACT):
        worth = price * remaining_amount * (sol_usd or ZERO)
        return (worth - cost_usd + realized_profit_usd).quantize(USD)


def proceeds(*, tokens: Decimal, price: Decimal) -> Decimal:
    """Return the SOL that a sale of `tokens` at `price` brings, to the lamport."""
    with localcontext(EXACT):
        return (tokens * price).quantize(SOL)


def price_paid(*, tokens: Decimal, sol: Decimal) -> Decimal | None:
    """Return what a trade of `tokens` for `sol` says of the price of one; None where that is nothing, or no price."""
    with localcontext(EXACT):
        price = (sol / tokens).quantize(PRICE) if tokens and sol < PRICE_LIMIT * tokens else ZERO
    return price if price > 0 else None
