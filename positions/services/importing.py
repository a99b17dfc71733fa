"""Trades of the past, booked many at once: those of one wallet and token, merged with those already booked.

All trades of the token in the wallet are put in the order of their execution. When nothing is held any more, a
position ends, and the next purchase opens another, unless an existing position continues (`import_parts`). So a new
trade joins the position that held the token then, or opens one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from django.utils import timezone

from positions.books import accounting
from positions.books.trades import Side
from positions.models import Position, Trade, Wallet
from positions.prices.mint_decimals import decimals_of
from positions.services import booking
from positions.services.import_parts import Part, Unfit, split
from positions.services.import_rows import AT_COST, Row, digest_of

ROWS_PER_STATEMENT = 500
CLOSE_REASON = "import"


class Problem(NamedTuple):
    line: int
    message: str


@dataclass(slots=True)
class Imported:
    """The outcome."""

    booked: int = 0
    known: int = 0
    """Booked already."""
    positions: int = 0
    """Made or changed."""
    problems: list[Problem] = field(default_factory=list)


def import_trades(wallet: Wallet, token_address: str, rows: Sequence[Row]) -> Imported:
    """Book those of these rows that are not booked yet. Where there is a problem, none of them.

    In a transaction that has locked the wallet's agent. A statement for 500 trades, and some for each position.
    """
    result = Imported()
    positions = list(Position.objects.filter(wallet=wallet, token_address=token_address))
    trades = list(Trade.objects.filter(position__in=positions).order_by("executed_at", "recorded_at"))
    new = _not_booked(wallet, positions, trades, rows, result)
    if not new or result.problems:
        return result
    for position in positions:
        # What other code has written beside the trades is kept, as a balance.
        if (balance := booking.mend(position)) is not None:
            position.save()
            trades.append(balance)
    moment = max([timezone.now(), *(trade.recorded_at for trade in trades)])
    lines: dict[UUID, Row] = {}
    for row in new:
        moment += booking.TICK
        trade = _trade(wallet, row, moment)
        lines[trade.pk] = row
        trades.append(trade)
    trades.sort(key=lambda each: (each.executed_at, each.recorded_at))
    try:
        parts = [part for part in split(trades, lines.keys(), decimals_of(token_address)) if part.new]
        for part in parts:
            _check_end(part, positions)
    except Unfit as error:
        line = lines[error.trade.pk].line if error.trade.pk in lines else new[0].line
        result.problems.append(Problem(line, error.message))
        return result
    by_key = {position.pk: position for position in positions}
    opened = []
    for part in parts:
        if part.positions:
            (position,) = (by_key[key] for key in part.positions)
            _take(position, part, part.new)
            position.save()
        else:
            first, *others = part.new
            position = _opened(wallet, first, lines[first.pk])
            _take(position, part, others)
            opened.append(position)
        for trade in part.new:
            trade.position = position
    Position.objects.bulk_create(opened, ROWS_PER_STATEMENT)
    Trade.objects.bulk_create([trade for part in parts for trade in part.new], ROWS_PER_STATEMENT)
    result.booked, result.positions = len(new), len(parts)
    return result


def _not_booked(
    wallet: Wallet,
    positions: Iterable[Position],
    trades: Iterable[Trade],
    rows: Sequence[Row],
    result: Imported,
) -> list[Row]:
    """Return the rows that are not booked yet, by transaction id or else by content.

    Two equal rows without an id are two trades: as many of them are known as are booked.
    """
    stated = {identity for position in positions for identity in position.transaction_ids}
    by_id: dict[str | None, Trade] = {}
    given = [row.transaction_id for row in rows if row.transaction_id is not None]
    for start in range(0, len(given), ROWS_PER_STATEMENT):
        some = given[start : start + ROWS_PER_STATEMENT]
        found = Trade.objects.filter(wallet=wallet, transaction_id__in=some).select_related("position")
        by_id |= {trade.transaction_id: trade for trade in found}
    by_content = Counter(
        trade.content or digest_of(trade) for trade in trades if trade.transaction_id is None
    )
    new = []
    for row in rows:
        if row.transaction_id is None:
            content = digest_of(row)
            is_known = by_content[content] > 0
            by_content[content] -= is_known
        elif (trade := by_id.get(row.transaction_id)) is not None:
            is_known = True
            if (difference := _difference(row, trade)) is not None:
                result.problems.append(
                    Problem(
                        row.line,
                        f"transaction_id: this wallet has booked it already, with another {difference}",
                    )
                )
        else:
            is_known = row.transaction_id in stated  # by a release that had no trades
        if is_known:
            result.known += 1
        else:
            new.append(row)
    return new


def _difference(row: Row, trade: Trade) -> str | None:
    if row.token_address != trade.position.token_address:
        return "token_address"
    if row.side != trade.side:
        return "side"
    if not accounting.is_dust(abs(row.tokens - trade.tokens)):
        return "amount of tokens"
    if row.side not in AT_COST and row.sol != trade.sol:
        return "sum of SOL"
    if row.executed_at != trade.executed_at:
        return f"executed_at, {trade.executed_at.isoformat()}"
    return None


def _trade(wallet: Wallet, row: Row, recorded_at: datetime) -> Trade:
    return Trade(
        wallet=wallet,
        side=row.side,
        tokens=row.tokens,
        sol=row.sol,
        fee_sol=row.fee_sol,
        sol_usd=row.sol_usd,
        transaction_id=row.transaction_id,
        # What has a transaction id is compared by its figures, over REST as well.
        content=None if row.transaction_id else digest_of(row),
        executed_at=row.executed_at,
        recorded_at=recorded_at,
    )


def _check_end(part: Part, positions: Iterable[Position]) -> None:
    """Raise Unfit where the part leaves tokens that its position, or another open one, cannot hold."""
    if not part.books.holding.remaining_amount:
        return
    for position in positions:
        if position.pk in part.positions and position.status == Position.Status.CLOSED:
            raise Unfit(
                part.new[-1],
                f"executed_at: tokens would be left in a position that was closed at {position.closed_at}; their sale"
                " is missing",
            )
        if position.pk not in part.positions and position.status == Position.Status.OPEN:
            raise Unfit(part.new[-1], "executed_at: another position in this token is open")


def _opened(wallet: Wallet, first: Trade, row: Row) -> Position:
    return Position(
        agent_id=wallet.agent_id,
        wallet=wallet,
        token_address=row.token_address,
        token_symbol=row.token_symbol,
        purchase_transaction_id=first.transaction_id,
        created_at=first.executed_at,
    )


def _take(position: Position, part: Part, others: Iterable[Trade]) -> None:
    """Set the part's figures in the position. `others`: its new trades, except one that opens it."""
    for trade in part.new:
        if trade.side == Side.MIGRATION:  # prices before it are of another token
            position.peak_price = position.lowest_price = None
        booking.widen_extremes(position, trade)
    for trade in others:
        is_last = trade is part.trades[-1] and not part.books.holding.remaining_amount
        _note(position, trade, is_last=is_last)
    position.books = part.books
    position.last_trade_at = part.trades[-1].executed_at
    position.created_at = min(position.created_at, part.trades[0].executed_at)
    if position.status == Position.Status.OPEN:
        booking.close_if_empty(position, CLOSE_REASON)


def _note(position: Position, trade: Trade, *, is_last: bool) -> None:
    """Note in the position what does not follow from its figures. A sale of all that is left is no take-profit."""
    if trade.side == Side.PURCHASE:
        booking.note_purchase(position, trade)
    elif trade.side == Side.SALE:
        if not is_last:
            booking.note_take_profit(position, trade)
        booking.note_sale(position, trade.transaction_id)
