"""Trades of the past, booked many at once: merged with those that are booked already, token by token.

All trades of a token in a wallet are put in the order of their execution. When nothing is held any more, a position
ends, and the next purchase opens another, unless an existing position continues (`import_parts`). So a new trade joins
the position that held the token then, or opens one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.utils import timezone

from positions.books.trades import Side
from positions.models import Position, Trade, Wallet
from positions.services import booking
from positions.services.import_known import Group, Known, Problem
from positions.services.import_parts import Part, Unfit, split
from positions.services.trade_lines import Row, digest_of

ROWS_PER_STATEMENT = 500
CLOSE_REASON = "import"


@dataclass(slots=True)
class Imported:
    """The outcome."""

    booked: int = 0
    known: int = 0
    """Booked already."""
    positions: int = 0
    """Made or changed."""
    problems: list[Problem] = field(default_factory=list)

    def add(self, other: Imported) -> None:
        self.booked += other.booked
        self.known += other.known
        self.positions += other.positions
        self.problems += other.problems


@dataclass(frozen=True, slots=True, kw_only=True)
class Detail:
    """What is known of a position besides its trades, for one that an import opens or adds to."""

    id: UUID
    """Its key, where it is opened."""
    created_at: datetime | None = None
    """Where that is before its first trade."""
    close_reason: str = ""
    peak_price: Decimal | None = None
    lowest_price: Decimal | None = None
    fields: Mapping[str, Any] = field(default_factory=dict)
    """Others, set where it is still open."""

    def describe(self, position: Position) -> None:
        position.created_at = min(position.created_at, self.created_at or position.created_at)
        peaks = [price for price in (position.peak_price, self.peak_price) if price is not None]
        lows = [price for price in (position.lowest_price, self.lowest_price) if price is not None]
        position.peak_price, position.lowest_price = max(peaks, default=None), min(lows, default=None)
        if position.status == Position.Status.CLOSED:
            position.close_reason = self.close_reason or position.close_reason
        else:
            for name, value in self.fields.items():
                setattr(position, name, value)


@dataclass(slots=True)
class _Writes:
    """What a batch writes."""

    changed: list[Position] = field(default_factory=list)
    """That were open."""
    changed_closed: list[Position] = field(default_factory=list)
    opened: list[Position] = field(default_factory=list)
    trades: list[Trade] = field(default_factory=list)

    def save(self) -> None:
        # The market moves these two of open positions meanwhile, under no lock: they are widened, not written.
        wider = {
            position.pk: (position.token_address, position.peak_price, position.lowest_price)
            for position in self.changed
            if position.peak_price is not None and position.lowest_price is not None
        }
        if wider:
            Position.objects.follow_market(wider)
        # First what may close: a wallet has one open position in a token.
        _overwrite(self.changed, [name for name in COLUMNS if name not in ("peak_price", "lowest_price")])
        _overwrite(self.changed_closed, COLUMNS)
        Position.objects.bulk_create(self.opened, ROWS_PER_STATEMENT)
        Trade.objects.bulk_create(self.trades, ROWS_PER_STATEMENT)


COLUMNS = [field.name for field in Position._meta.concrete_fields if not field.primary_key]


def _overwrite(positions: Sequence[Position], columns: Sequence[str]) -> None:
    Position.objects.bulk_create(
        positions, ROWS_PER_STATEMENT, update_conflicts=True, unique_fields=["id"], update_fields=columns
    )


def import_trades(groups: Sequence[Group], details: Mapping[str, Detail] | None = None) -> Imported:
    """Book those of these rows that are not booked yet. Where a group has a problem, none of the batch.

    `details`: of positions, by the name that their rows have. Their ids are not taken yet.
    In a transaction that has locked the wallets' agents. A few statements for each wallet and for 500 trades, 500
    positions or 500 tokens.
    """
    known, result, writes = Known.of(groups), Imported(), _Writes()
    for group in groups:
        rows, problems = known.new_rows(group)
        result.known += len(group.rows) - len(rows)
        if rows and not problems:
            try:
                result.positions += _merge(group, rows, known, writes, details or {})
                result.booked += len(rows)
            except Unfit as error:
                problems.append(Problem(error.line, error.message))
        result.problems += problems
    if not result.problems:
        writes.save()
    return result


def _merge(
    group: Group, rows: Sequence[Row], known: Known, writes: _Writes, details: Mapping[str, Detail]
) -> int:
    """Add to `writes` what booking these rows changes; return how many positions. Raises Unfit."""
    positions = known.positions.get((group.wallet.pk, group.token_address), [])
    trades = [trade for position in positions for trade in known.trades.get(position.pk, [])]
    for position in positions:
        # What other code has written beside the trades is kept, as a balance.
        if (balance := booking.mend(position)) is not None:
            position.save()
            trades.append(balance)
    moment = max([timezone.now(), *(trade.recorded_at for trade in trades)])
    lines: dict[UUID, Row] = {}
    for row in rows:
        moment += booking.TICK
        trade = _trade(group.wallet, row, moment)
        lines[trade.pk] = row
        trades.append(trade)
    trades.sort(key=lambda each: (each.executed_at, each.recorded_at))
    stays_with = {key: row.position for key, row in lines.items()}
    try:
        parts = [part for part in split(trades, stays_with, known.decimals[group.token_address]) if part.new]
        for part in parts:
            _check_end(part, positions)
    except Unfit as error:
        error.line = lines[error.trade.pk].line if error.trade.pk in lines else rows[0].line
        raise
    by_key = {position.pk: position for position in positions}
    for part in parts:
        names = dict.fromkeys(lines[trade.pk].position for trade in part.new)
        known_details = [details[name] for name in names if name in details]
        if part.positions:
            (position,) = (by_key[key] for key in part.positions)
            was_open = position.status == Position.Status.OPEN
            _take(position, part, part.new)
            (writes.changed if was_open else writes.changed_closed).append(position)
        else:
            first, *others = part.new
            position = _opened(group.wallet, first, lines[first.pk])
            if known_details:
                position.pk = known_details[0].id
            _take(position, part, others)
            writes.opened.append(position)
        for detail in known_details:
            detail.describe(position)
        for trade in part.new:
            trade.position = position
        writes.trades += part.new
    return len(parts)


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
        figures=row.figures,
        note=row.note,
        executed_at=row.executed_at,
        recorded_at=recorded_at,
        reconstructed=row.side == Side.BALANCE,
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
    others = list(others)
    sales = [trade for trade in others if trade.side == Side.SALE]
    booking.note_purchases(position, [trade for trade in others if trade.side == Side.PURCHASE])
    # A sale of all that is left is no take-profit.
    emptied = part.trades[-1] if not part.books.holding.remaining_amount else None
    booking.note_take_profits(position, [trade for trade in sales if trade is not emptied])
    booking.note_sales(position, [trade.transaction_id for trade in sales])
    position.books = part.books
    position.last_trade_at = part.trades[-1].executed_at
    position.created_at = min(position.created_at, part.trades[0].executed_at)
    if position.status == Position.Status.OPEN:
        booking.close_if_empty(position, CLOSE_REASON)
