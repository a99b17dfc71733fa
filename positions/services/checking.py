"""Whether the books add up: each position against the fold of its trades. `manage.py check_books` prints it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime
from decimal import Decimal
from itertools import groupby
from typing import NamedTuple
from uuid import UUID

from django.db import router, transaction
from django.db.models import QuerySet

from positions.books.accounting import digits
from positions.books.trades import FIGURES, Books, fold
from positions.errors import ImpossibleTrade, PositionsError
from positions.models import Position, PositionEvent, Trade
from positions.models.guard import unguarded
from positions.models.reconstruction import NEW, add_missing_trades, keys_of
from positions.models.recording import State, save_locked
from positions.services import booking


class Difference(NamedTuple):
    position: Position
    field: str
    stored: str
    recomputed: str


def check_books(*, mend: bool = False) -> Iterator[Difference]:
    """Yield how each position differs from its trades; with `mend`, book what is missing. Memory for 500 positions.

    Two queries for 500 positions; their trades are read one by one. Nothing is locked but the agent of a position that
    differs, to check it a second time: it may have been written between the two queries.
    """
    for keys in keys_of(Position.objects.all()):
        rows = {row.pk: row for row in Position.objects.filter(pk__in=keys)}
        trades = Trade.objects.filter(position_id__in=keys).order_by(
            "position_id", "executed_at", "recorded_at"
        )
        for key, own in groupby(trades.iterator(), lambda trade: trade.position_id):
            if key in rows and next(_differences(rows.pop(key), own), None):
                yield from _look_again(key, mend=mend)
        for key in rows:
            yield from _look_again(key, mend=mend)


def _look_again(key: UUID, *, mend: bool) -> list[Difference]:
    with transaction.atomic():
        try:
            position = booking.lock(key)
        except Position.DoesNotExist:
            return []
        found = list(_differences(position, position.trades.order_by("executed_at", "recorded_at")))
        if found and mend:
            _mend(position)
        return found


def _differences(position: Position, trades: Iterable[Trade]) -> Iterator[Difference]:
    newest: datetime | None = None

    def noting_the_newest() -> Iterator[Trade]:
        nonlocal newest
        for trade in trades:
            newest = trade.executed_at
            yield trade

    try:
        recomputed = fold(noting_the_newest())
    except PositionsError as error:
        impossible = isinstance(error, ImpossibleTrade)
        what = "an impossible sequence" if impossible else "one that cannot be"
        yield Difference(position, "trades", what, error.message)
        return
    except ValueError as error:  # a side that there is not
        yield Difference(position, "trades", "one that cannot be", str(error))
        return
    if position.last_trade_at is None and recomputed == Books():
        yield Difference(position, "trades", "none", "at least one")
        return
    if position.last_trade_at != newest:  # by which a write tells whether a trade is late
        yield Difference(position, "last_trade_at", str(position.last_trade_at), str(newest))
    stored = position.books
    for name in FIGURES:
        was, now = getattr(stored.holding, name), getattr(recomputed.holding, name)
        if was != now:
            yield Difference(position, name, digits(was), digits(now))
    for name in ("cost_usd", "realized_profit_usd", "dca_count"):
        was, now = getattr(stored, name), getattr(recomputed, name)
        if was != now:
            yield Difference(position, name, *map(_shown, (was, now)))


def _shown(figure: Decimal | int | None) -> str:
    return "unknown" if figure is None else digits(Decimal(figure))


def _mend(position: Position) -> None:
    """Book what leads to the position's figures as they are. Under the agent's lock."""
    if not position.trades.exists():
        add_missing_trades(Position, PositionEvent, Trade, [position.pk], using=router.db_for_write(Position))
        position.refresh_from_db()
    in_order = position.trades.order_by("executed_at", "recorded_at")
    if not list(_differences(position, in_order)):
        return
    last = in_order.last()
    if last:
        position.last_trade_at = last.executed_at
    if not list(_differences(position, in_order)):  # nothing but the time was wrong: no figure to state
        _write_unseen(position, "last_trade_at")
        return
    trade = booking.balance_of(position)
    trade.save(force_insert=True)
    if position.status == Position.Status.OPEN:
        save_locked(position, State(position.agent_id, is_open=True))
    else:
        # Without an event: clients have already seen it close.
        _write_unseen(position, *NEW)


def _write_unseen(position: Position, *names: str) -> None:
    """Write these fields, of which clients see nothing, without an event."""
    with unguarded():
        row: QuerySet[Position] = QuerySet(Position, using=position._state.db).filter(pk=position.pk)
        row.update(**{name: getattr(position, name) for name in names})
