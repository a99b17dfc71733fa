"""Trades of positions that were written before there were any, worked out from what is left of them: their events.

What figures and events alone do not show (a correction by hand, events that were pruned) becomes a balance. So the fold
of the result is always the row, to the last digit.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal, localcontext
from typing import Any, NamedTuple

from positions.books import accounting
from positions.books.accounting import SOL, Holding
from positions.books.snapshots import holding
from positions.books.trades import Books, Side, cost_of, fold
from positions.errors import PositionsError

OLD_PRICE = Decimal("1e-18")
"""The precision of stored prices before they had 30 decimals."""
TICK = timedelta(microseconds=1)


class State(NamedTuple):
    """A position at one moment: after an event, or now."""

    holding: Holding
    dca_count: int
    bought: Sequence[str]
    """Transaction ids of purchases."""
    sold: Sequence[str]
    moment: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Reconstructed:
    """A trade; the fields of a row of Trade."""

    side: Side
    tokens: Decimal
    sol: Decimal
    executed_at: datetime
    transaction_id: str | None = None
    figures: Mapping[str, Any] | None = None
    sol_usd: None = None


def state_of(snapshot: Mapping[str, Any], moment: datetime) -> State:
    """Return what an event's snapshot says."""
    opening = snapshot["purchase_transaction_id"]
    return State(
        holding(snapshot),
        snapshot["dca_count"],
        [*([opening] if opening else []), *map(str, snapshot["dca_transaction_ids"])],
        [*map(str, snapshot["take_profit_transaction_ids"])],
        moment,
    )


def reconstruct(created_at: datetime, states: Iterable[State]) -> list[Reconstructed]:
    """Return trades that lead from one state to the next; the last state is what the row has now.

    `created_at`: when the position was opened, which may be earlier than its first event.
    """
    with localcontext(prec=100):  # as exact as the columns
        return _reconstructed(created_at, states)


def _reconstructed(created_at: datetime, states: Iterable[State]) -> list[Reconstructed]:
    was, trades = State(Holding(), 0, (), (), created_at), list[Reconstructed]()
    for state in states:
        if state.holding != was.holding:
            moment = created_at if not trades else max(state.moment, trades[-1].executed_at + TICK)
            trades += _explained(was, state, moment) or [_balance(state, moment)]
        was = state
    if not _leads_to(was, trades):
        # Also where a release rounded otherwise: prices had 18 decimals once.
        moment = max(was.moment, trades[-1].executed_at + TICK) if trades else created_at
        trades.append(_balance(was, moment))
    return trades


def _leads_to(state: State, trades: list[Reconstructed]) -> bool:
    try:
        books = fold(trades)
    except PositionsError:
        return False
    return bool(trades) and (books.holding, books.dca_count) == (state.holding, state.dca_count)


def _explained(was: State, state: State, moment: datetime) -> list[Reconstructed] | None:
    """Return a purchase, a sale, or one after the other, that lead from one state to the other; None where none do."""
    before, after, trades = was.holding, state.holding, list[Reconstructed]()
    try:
        if after.purchase_amount > before.purchase_amount:
            tokens = after.purchase_amount - before.purchase_amount
            spent_sol = after.total_invested_sol - before.total_invested_sol
            bought = accounting.buy(before, tokens=tokens, spent_sol=spent_sol)
            if bought.purchase_price.quantize(OLD_PRICE) != after.purchase_price.quantize(OLD_PRICE):
                return None
            before = bought._replace(purchase_price=after.purchase_price)
            trades.append(_trade(Side.PURCHASE, tokens, spent_sol, moment, state.bought, was.bought))
            moment = max(state.moment, moment + TICK)
        tokens = before.remaining_amount - after.remaining_amount
        if tokens > 0:
            proceeds = _proceeds(before, after, tokens)
            before = accounting.sell(before, tokens=tokens, proceeds_sol=proceeds)
            trades.append(_trade(Side.SALE, tokens, proceeds, moment, state.sold, was.sold))
    except PositionsError:
        return None
    return trades if before == after else None


def _proceeds(before: Holding, after: Holding, tokens: Decimal) -> Decimal:
    """Return what the sale brought. What was realised is rounded to lamports: the first guess may be one off."""
    gained = after.realized_profit_sol - before.realized_profit_sol
    likely = (gained + before.purchase_price * tokens).quantize(SOL)
    for sol in (likely, likely - SOL, likely + SOL):
        if sol >= 0 and accounting.sell(before, tokens=tokens, proceeds_sol=sol) == after:
            return sol
    return likely


def _trade(
    side: Side, tokens: Decimal, sol: Decimal, moment: datetime, ids: Sequence[str], known: Sequence[str]
) -> Reconstructed:
    new = [each for each in ids if each not in known]
    return Reconstructed(
        side=side,
        tokens=tokens,
        sol=sol,
        executed_at=moment,
        transaction_id=new[0] if len(new) == 1 else None,
    )


def _balance(state: State, moment: datetime) -> Reconstructed:
    held = state.holding
    return Reconstructed(
        side=Side.BALANCE,
        tokens=held.remaining_amount,
        sol=cost_of(held, held.remaining_amount),
        executed_at=moment,
        figures=Books(held, dca_count=state.dca_count).figures,
    )
