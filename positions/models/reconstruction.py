"""Adds the trades of positions that have none, many positions at once. For the migration, and for `check_books`.

The model classes are passed: a migration has those of its own moment.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from typing import Any
from uuid import UUID

from django.db import connections, transaction
from django.db.models import Model, QuerySet

from positions.books.accounting import Holding
from positions.books.reconstruction import Reconstructed, State, reconstruct, state_of
from positions.books.snapshots import upgraded
from positions.books.trades import fold

ROWS = 500
NEW = ("last_trade_at", "books_digest", "cost_usd", "realized_profit_usd")


def keys_of(rows: QuerySet[Any], *, batch: int = ROWS) -> Iterator[list[UUID]]:
    """Yield the keys of these rows in their order, `batch` at a time: one query each, none open in between."""
    found = list(rows.order_by("pk").values_list("pk", flat=True)[:batch])
    while found:
        yield found
        found = list(rows.filter(pk__gt=found[-1]).order_by("pk").values_list("pk", flat=True)[:batch])


def add_missing_trades(
    position_model: type[Model],
    event_model: type[Model],
    trade_model: type[Model],
    keys: Collection[UUID],
    *,
    using: str,
) -> int:
    """Add trades to those of these positions that have none; return how many positions got some.

    One transaction, with their agents locked: no server, of whichever release, writes in between. Figures stay as they
    are, and there is no event: no client sees a difference. About fifteen statements for 500 positions.
    """
    positions: QuerySet[Any] = QuerySet(position_model, using=using)
    events: QuerySet[Any] = QuerySet(event_model, using=using)
    trades: QuerySet[Any] = QuerySet(trade_model, using=using)
    agents: QuerySet[Any] = QuerySet(position_model._meta.get_field("agent").related_model, using=using)
    with transaction.atomic(using=using):
        owners = set(positions.filter(pk__in=keys).values_list("agent_id", flat=True))
        list(agents.select_for_update().filter(pk__in=owners).order_by("pk").values_list("pk"))
        known = set(trades.filter(position_id__in=keys).values_list("position_id", flat=True))
        rows = {row.pk: row for row in positions.filter(pk__in=set(keys) - known)}
        states: dict[UUID, list[State]] = {key: [] for key in rows}
        kept = events.filter(position_id__in=rows, position__isnull=False).order_by("created_at", "seq")
        for event in kept.values_list("position_id", "position", "created_at"):
            states[event[0]].append(state_of(upgraded(event[1]), event[2]))
        found = {key: reconstruct(row.created_at, [*states[key], _now(row)]) for key, row in rows.items()}
        taken = _taken(trades, rows.values(), found)
        added = []
        for key, row in rows.items():
            added += [_row(trade_model, row, trade, taken) for trade in found[key]]
            books = fold(found[key])
            row.last_trade_at, row.books_digest = found[key][-1].executed_at, books.digest
            row.cost_usd, row.realized_profit_usd = books.cost_usd, books.realized_profit_usd
        trades.bulk_create(added, batch_size=ROWS)
        _store(position_model, rows.values(), using)
    return len(rows)


def _store(position_model: type[Model], rows: Iterable[Any], using: str) -> None:
    """Write the columns that `NEW` names. (`bulk_update` took half of the migration's time, 2026-11-26.)"""
    connection = connections[using]
    fields: list[Any] = [position_model._meta.get_field(name) for name in (*NEW, "id")]
    values = [
        [field.get_db_prep_save(getattr(row, field.name), connection) for field in fields] for row in rows
    ]
    table = connection.ops.quote_name(position_model._meta.db_table)
    columns = ", ".join(f"{name} = %s" for name in NEW)
    with connection.cursor() as cursor:
        cursor.executemany(f"UPDATE {table} SET {columns} WHERE id = %s", values)  # noqa: S608


def _now(row: Any) -> State:
    opening = [row.purchase_transaction_id] if row.purchase_transaction_id else []
    moments = (row.closed_at, row.last_dca_time, row.last_take_profit_time, row.created_at)
    return State(
        _holding(row),
        row.dca_count,
        [*opening, *map(str, row.dca_transaction_ids)],
        [*map(str, row.take_profit_transaction_ids)],
        max(filter(None, moments)),
    )


def _holding(row: Any) -> Holding:
    return Holding.of(row)


def _taken(
    trades: QuerySet[Any], rows: Collection[Any], found: dict[UUID, list[Reconstructed]]
) -> set[tuple[str, str]]:
    """Return which of these transaction ids their wallets have booked already."""
    ids = [trade.transaction_id for each in found.values() for trade in each if trade.transaction_id]
    known = trades.filter(wallet_id__in={row.wallet_id for row in rows})
    taken: set[tuple[str, str]] = set()
    for start in range(0, len(ids), ROWS // 2):  # SQLite takes 999 variables in a statement
        some = known.filter(transaction_id__in=ids[start : start + ROWS // 2])
        taken.update(some.values_list("wallet_id", "transaction_id"))
    return taken


def _row(trade_model: type[Model], row: Any, trade: Reconstructed, taken: set[tuple[str, str]]) -> Any:
    key = (row.wallet_id, trade.transaction_id or "")
    is_free = trade.transaction_id is not None and key not in taken
    if is_free:
        taken.add(
            key
        )  # a release before did not look: a swap's signature, or a repeat, may stand there twice
    return trade_model(
        wallet_id=row.wallet_id,
        position_id=row.pk,
        side=trade.side.value,
        tokens=trade.tokens,
        sol=trade.sol,
        transaction_id=trade.transaction_id if is_free else None,
        figures=trade.figures,
        executed_at=trade.executed_at,
        reconstructed=True,
    )
