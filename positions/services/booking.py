"""Booking trades: what an entry makes of its position.

A trade that comes last in time is applied to the stored figures. One that is booked late (`executed_at` before
another's) has all of the position's trades folded again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from functools import wraps
from typing import ParamSpec, TypeVar
from uuid import UUID

from django.db import router, transaction
from django.utils import timezone

from positions.books import accounting
from positions.books.numbers import shown
from positions.books.trades import Books, Side, apply, cost_of, fold
from positions.errors import HoldingChanged, PositionClosed, PositionsError
from positions.models import Agent, Position, Trade
from positions.models.compiled import Compiled
from positions.models.recording import State, save_locked, say_why
from positions.prices.mint_decimals import decimals_of
from positions.services.entries import Entry

P = ParamSpec("P")
R = TypeVar("R")

TICK = timedelta(microseconds=1)
STATES_WHAT_IS_HELD = {Side.BALANCE, Side.MIGRATION}

_OWNERS = Compiled(
    lambda: Agent.objects.select_for_update(of=("self",), no_key=True).only("pk").order_by(), "positions__pk"
)
_POSITIONS = Compiled(lambda: Position.objects.order_by(), "pk")


def write(function: Callable[P, R]) -> Callable[P, R]:
    """Run a service in one transaction."""

    @wraps(function)
    def in_transaction(*args: P.args, **kwargs: P.kwargs) -> R:
        with transaction.atomic():
            return function(*args, **kwargs)

    return in_transaction


def lock(position_id: UUID) -> Position:
    """Return the position, its agent locked until the transaction ends: no other writer then changes it (see
    positions.models.recording). Two statements.
    """
    primary = router.db_for_write(Position)
    while True:
        owner = _OWNERS.find(position_id, using=primary)
        found = _POSITIONS.find(position_id, using=primary)
        if not found:
            raise Position.DoesNotExist(f"position {position_id} does not exist")
        if owner and owner[0].pk == found[0].agent_id:  # not handed over while we waited
            return found[0]


def check_open(position: Position) -> None:
    if position.status != Position.Status.OPEN:
        raise PositionClosed(f"position {position.pk} is closed")


def check_held(position: Position, held: Decimal | None) -> None:
    """Raise HoldingChanged unless the position holds exactly what its seller has seen; None: whatever it holds."""
    if held is not None and held != position.remaining_amount:
        now = accounting.digits(position.remaining_amount)
        raise HoldingChanged(
            f"held_amount: {now} are held now, not {shown(held)}: nothing is sold", field="held_amount"
        )


def tokens_to_sell(position: Position, tokens: Decimal) -> Decimal:
    """Return how many of the tokens held `tokens` are, in units of their mint: all of them, to within dust."""
    decimals = decimals_of(position.token_address)
    return accounting.tokens_to_sell(
        tokens,
        "tokens",
        held=position.remaining_amount,
        bought=position.purchase_amount,
        trades=1
        + position.dca_count
        + max(position.take_profit_levels_hit, len(position.take_profit_transaction_ids)),
        decimals=decimals,
    )


def book(position: Position, entry: Entry) -> Trade:
    """Apply the trade to the position's figures; `save` then writes both. The position is locked, or new.

    Raises InvalidAmount, NotEnoughTokens, or ImpossibleTrade where a late one makes a later one impossible.
    """
    if not position._state.adding:
        mend(position)
    last, now = position.last_trade_at, timezone.now()
    executed_at = entry.given_executed_at
    if executed_at is None:
        # The newest, also where the clock of the server that booked the one before was ahead.
        executed_at = now if last is None else max(now, last + TICK)
    trade = Trade(
        wallet_id=position.wallet_id,
        position=position,
        side=entry.side,
        tokens=entry.tokens,
        sol=entry.sol,
        fee_sol=entry.fee_sol,
        sol_usd=entry.sol_usd,
        transaction_id=entry.transaction_id,
        content=entry.content,
        executed_at=executed_at,
        recorded_at=now,
    )
    if last is None or executed_at > last:
        position.books = apply(Books() if last is None else position.books, trade)
        position.last_trade_at = executed_at
    else:
        position.books = _refold(position, trade)
        position.created_at = min(position.created_at, executed_at)
    widen_extremes(position, trade)
    return trade


def widen_extremes(position: Position, trade: Trade) -> None:
    """Let the price of a purchase or a sale, without its fee, count among the highest and lowest."""
    if trade.side not in (Side.PURCHASE, Side.SALE):
        return
    price = accounting.price_paid(
        tokens=trade.tokens,
        sol=trade.sol - trade.fee_sol if trade.side == Side.PURCHASE else trade.sol + trade.fee_sol,
    )
    if price:
        peak, lowest = position.peak_price, position.lowest_price
        position.peak_price = price if peak is None else max(peak, price)
        position.lowest_price = price if lowest is None else min(lowest, price)  # which may be 0


def note_purchases(position: Position, trades: Sequence[Trade]) -> None:
    """Note in the position what does not follow from its figures: the time and the ids of further purchases."""
    position.last_dca_time = _latest(position.last_dca_time, trades)
    position.dca_transaction_ids = [
        *position.dca_transaction_ids,
        *filter(None, (trade.transaction_id for trade in trades)),
    ]


def note_take_profits(position: Position, trades: Sequence[Trade], levels: int | None = None) -> None:
    """Note the levels and the time of sales that are take-profits; their ids: `note_sales`.

    `levels`: of all of them together; by default each hits one, as long as the plan, if there is one, has any left.
    """
    if levels is None:
        levels, total = len(trades), position.total_take_profit_levels
        if total is not None:
            levels = min(levels, max(0, total - position.take_profit_levels_hit))
    position.take_profit_levels_hit += levels
    if levels:
        position.last_take_profit_time = _latest(position.last_take_profit_time, trades)


def note_sales(position: Position, transaction_ids: Iterable[str | None]) -> None:
    """Note the ids of sales, of those that have one."""
    position.take_profit_transaction_ids = [
        *position.take_profit_transaction_ids,
        *filter(None, transaction_ids),
    ]


def close_if_empty(position: Position, reason: str) -> None:
    if not position.remaining_amount:
        mark_closed(position, reason)


def mark_closed(position: Position, reason: str) -> None:
    """Close the position when its newest trade was executed."""
    position.status = Position.Status.CLOSED
    position.closed_at = position.last_trade_at or timezone.now()
    position.close_reason = reason


def save(position: Position, trade: Trade | None, *, new: bool = False, note: str | None = None) -> None:
    """Write the position, which was open, with its event, and the trade. Under the agent's lock. `note`: why."""
    say_why(position, note)
    save_locked(position, None if new else State(position.agent_id, is_open=True), new=new)
    if trade:
        trade.note = note
        trade.save(force_insert=True)
        position.booked_trade_id = trade.pk


def mend(position: Position) -> Trade | None:
    """Book a balance where the row's figures are not those that its trades led to; return it. Under the agent's lock.

    A server of the previous release wrote such figures during an update, or code that bypasses the services. They are
    kept; what they cost in USD is no longer known.
    """
    if position.last_trade_at is not None and position.books_digest == position.books.digest:
        return None
    trade = balance_of(position)
    trade.save(force_insert=True)
    return trade


def balance_of(position: Position, *, reconstructed: bool = True) -> Trade:
    """Return a balance that states the position's figures, and give its row what follows from it. Saves neither."""
    moments = [position.created_at, position.last_dca_time, position.last_take_profit_time]
    if position.last_trade_at is not None:
        moments.append(position.last_trade_at + TICK)
    moment = max(filter(None, moments))
    books = replace(position.books, cost_usd=None, realized_profit_usd=None)
    position.books, position.last_trade_at = books, moment
    return Trade(
        wallet_id=position.wallet_id,
        position=position,
        side=Side.BALANCE,
        tokens=position.remaining_amount,
        sol=cost_of(books.holding, position.remaining_amount),
        figures=books.figures,
        executed_at=moment,
        reconstructed=reconstructed,
    )


def _latest(known: datetime | None, trades: Iterable[Trade]) -> datetime | None:
    moments = [trade.executed_at for trade in trades]
    return max(moments if known is None else [known, *moments], default=None)


def _refold(position: Position, trade: Trade) -> Books:
    """Return what the position's trades lead to with this one among them."""
    trades = list(Trade.objects.filter(position=position).order_by("executed_at", "recorded_at"))
    for later in trades:
        if later.side in STATES_WHAT_IS_HELD and later.executed_at >= trade.executed_at:
            raise PositionsError(
                f"executed_at: a {later.side} of {later.executed_at.isoformat()} states what was held then:"
                " nothing can be booked before it",
                field="executed_at",
            )
    # Among equal times in the order of their booking, whatever the clocks of two servers say.
    newest = max((each.recorded_at for each in trades), default=trade.recorded_at)
    trade.recorded_at = max(trade.recorded_at, newest + TICK)
    trades.append(trade)
    trades.sort(key=lambda each: (each.executed_at, each.recorded_at))
    return fold(trades)
