"""Take-profits: sales of a part, and the plan whose levels they hit. Like `positions.services.positions`.

A plan of so many levels begins with the next sale (`begin_plan`): `tp_batch_start_level` is how many levels were hit
until then, `total_take_profit_levels` these and the plan's. So a position that buys more may begin another plan, and
its levels go on counting: this is how the original engine does it.
"""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any, Unpack
from uuid import UUID

from positions.books import accounting
from positions.books.accounting import ZERO
from positions.books.numbers import shown
from positions.books.trades import Side
from positions.errors import InvalidAmount
from positions.models import Position
from positions.services import booking
from positions.services.booking import write
from positions.services.entries import Terms, check_note, make_entry, repeated
from positions.services.market import market_price, proceeds

MOST_LEVELS = 100
"""Of one plan, and of one sale."""


@write
def take_profit(
    *,
    position_id: UUID,
    tokens: Decimal,
    proceeds_sol: Decimal | None = None,
    moon_bag: bool = False,
    levels: int | None = None,
    held_amount: Decimal | None = None,
    note: str | None = None,
    **terms: Unpack[Terms],
) -> Position:
    """Sell `tokens` for `proceeds_sol` SOL; without it, at the market price, as `close_position` does.

    With `moon_bag`, the rest is marked as kept for the long run. `held_amount`: see close_position. `note`: why.
    `levels`: how many take-profit levels this sale hits, by default one as long as the plan, if there is one, has any
    left; 0 for a sale that is none. Raises InvalidAmount where that is more than the plan has left.
    Selling all that is left closes the position: all but dust, or dust more than all, is all.
    """
    if proceeds_sol is not None:
        proceeds_sol = accounting.sol_of(proceeds_sol, "proceeds_sol", positive=False)
    if levels is not None:
        check_levels(levels, "levels", lowest=0)
    check_note(note)
    request = {
        "verb": "take profit",
        "position_id": position_id,
        "moon_bag": moon_bag,
        "levels": levels,
        "note": note,
    }
    if proceeds_sol is None:
        request["at"] = "market"  # whatever that will be: the same request again is this one
    entry = make_entry(Side.SALE, request, tokens=tokens, sol=proceeds_sol or ZERO, **terms)
    market = market_price(position_id, entry) if proceeds_sol is None else None
    position = booking.lock(position_id)
    if booked := repeated(entry, position.wallet_id, position):
        return booked
    booking.check_open(position)
    booking.check_held(position, held_amount)
    _check_left(position, levels)
    tokens = booking.tokens_to_sell(position, tokens)
    proceeds_sol = proceeds(proceeds_sol, market, tokens)
    trade = booking.book(position, replace(entry, tokens=tokens, sol=proceeds_sol))
    booking.note_take_profits(position, [trade], levels)
    booking.note_sales(position, [entry.transaction_id])
    if moon_bag and position.remaining_amount:
        position.moon_bag_activated = True
        position.moon_bag_amount = position.remaining_amount
    booking.close_if_empty(position, "take profit")
    booking.save(position, trade, note=note)
    return position


@write
def plan_take_profits(*, position_id: UUID, levels: int | None) -> Position:
    """Let a plan of this many levels begin with the position's next take-profit; None removes the plan.

    No event where nothing changes.
    """
    if levels is not None:
        check_levels(levels, "levels", lowest=1)
    position = booking.lock(position_id)
    booking.check_open(position)
    before = (position.total_take_profit_levels, position.tp_batch_start_level)
    begin_plan(position, levels)
    if before != (position.total_take_profit_levels, position.tp_batch_start_level):
        position.save()
    return position


def begin_plan(position: Position, levels: int | None) -> None:
    """Set the plan, which begins after the levels that are hit already; saves nothing."""
    hit = position.take_profit_levels_hit
    position.tp_batch_start_level = None if levels is None else hit
    position.total_take_profit_levels = None if levels is None else hit + levels


def check_levels(levels: Any, name: str, *, lowest: int) -> None:
    """Raise InvalidAmount unless this is a possible number of levels."""
    if not isinstance(levels, int) or isinstance(levels, bool):
        raise InvalidAmount(f"{name} must be an int, not {type(levels).__name__}", field=name)
    if not lowest <= levels <= MOST_LEVELS:
        raise InvalidAmount(f"{name} must be from {lowest} to {MOST_LEVELS}, not {shown(levels)}", field=name)


def _check_left(position: Position, levels: int | None) -> None:
    total, hit = position.total_take_profit_levels, position.take_profit_levels_hit
    if levels and total is not None and hit + levels > total:
        left = max(0, total - hit)
        raise InvalidAmount(
            f"levels must be at most {left}, which the plan of {total} has left, not {levels}", field="levels"
        )
