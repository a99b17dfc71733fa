"""Writes to many positions at once, for which Django sends no signals: each changed row becomes an event."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from decimal import Decimal
from typing import Any, Self, TypeVar
from uuid import UUID, uuid4

from django.db import connections, transaction
from django.db.models import QuerySet
from django.utils import timezone

from positions.errors import UnseenWrite
from positions.models import recording
from positions.models.fields import extreme
from positions.models.guard import unguarded
from positions.models.primary import PrimaryQuerySet, Row

Key = TypeVar("Key")

# Below SQLite's 999 variables for one statement, with room for the queryset's own.
ROWS_PER_STATEMENT = 500


class PositionQuerySet(PrimaryQuerySet[Row]):
    """Rows of Position, or of a subclass of it. `update`, `bulk_create` and `bulk_update` (which calls `update`) record
    their events in the same transaction; `delete` does so through the delete signals. Each costs 4 statements more,
    and 2 for every 500 rows.
    """

    def open(self) -> Self:
        return self.filter(status="open")

    def update(self, **kwargs: Any) -> int:
        if self.query.is_sliced:
            return super().update(**kwargs)  # raises Django's own error
        if any(getattr(self.model._meta.get_field(name), "primary_key", False) for name in kwargs):
            raise UnseenWrite("the id of a position is never changed: clients know it by that")
        if "updated_at" not in kwargs:
            kwargs["updated_at"] = timezone.now()
        chosen, rows = self._to_write()
        using = rows.db
        with transaction.atomic(using=using, savepoint=False):
            agents = set(chosen.order_by().values_list("agent_id", flat=True).distinct())
            agents |= _agents_named(kwargs)
            locked = recording.lock_agents(agents, using=using)
            matched = chosen.filter(agent_id__in=locked).order_by().values_list("id", flat=True)
            changed = 0
            for chunk in chunks(dict.fromkeys(matched)):  # a join may give a row more than once
                before = recording.states(rows, chunk)
                # By key, and by the queryset's own conditions, which the values may refer to (annotations).
                with unguarded():
                    changed += super(PositionQuerySet, chosen.filter(id__in=chunk)).update(**kwargs)
                recording.record_changes(rows, before, chunk)
            self._result_cache = None
            return changed

    update.alters_data = True  # type: ignore[attr-defined]

    def follow_market(self, extremes: Mapping[UUID, tuple[str, Decimal, Decimal]]) -> int:
        """Widen `peak_price` and `lowest_price` of open positions; return how many were written.

        `extremes`: by position, its token and that token's highest and lowest price. One that has migrated to another
        token meanwhile is left out.

        The one write without an event, and it leaves `updated_at` alone: the market moved, not the position. Clients
        have received the price itself, and compute both from it (`positions.books.snapshots.live`). Nothing else may
        be written this way.

        It takes no agent's lock, and waits for no other writer's: a position that is locked is left out. So it cannot
        be part of a deadlock, and cannot narrow what another transaction widens. One statement.
        """
        _, positions = self._to_write()
        connection = connections[positions.db]
        table = connection.ops.quote_name(positions.model._meta.db_table)
        if connection.vendor == "sqlite":
            # No other writer is in the middle of anything: SQLite has one at a time.
            values = _widened("sqlite", table, "%(peak)s", "%(lowest)s")
            where = "id = %(id)s AND token_address = %(token)s AND status = 'open'"
            key: Any
            price: Any
            key, price = (self.model._meta.get_field(name) for name in ("id", "peak_price"))
            rows = [
                {
                    "id": key.get_db_prep_value(position_id, connection),
                    "token": token,
                    "peak": price.get_db_prep_save(peak, connection),
                    "lowest": price.get_db_prep_save(lowest, connection),
                }
                for position_id, (token, peak, lowest) in extremes.items()
            ]
            sql = f"UPDATE {table} SET {values} WHERE {where}"  # noqa: S608
            with transaction.atomic(using=self.db), connection.cursor() as cursor:
                cursor.executemany(sql, rows)
                return int(cursor.rowcount)
        keys = list(extremes)
        columns = [list(column) for column in zip(*extremes.values(), strict=True)]
        sql = f"""
            WITH free AS MATERIALIZED (
                SELECT id FROM {table} WHERE id = ANY(%s) AND status = 'open'
                ORDER BY id FOR NO KEY UPDATE SKIP LOCKED
            )
            UPDATE {table} SET {_widened("postgresql", table, "market.peak", "market.lowest")}
            FROM free JOIN unnest(%s::uuid[], %s::text[], %s::numeric[], %s::numeric[])
                AS market (id, token_address, peak, lowest) USING (id)
            WHERE {table}.id = free.id AND {table}.token_address = market.token_address
        """  # noqa: S608
        with connection.cursor() as cursor:
            cursor.execute(sql, [keys, keys, *columns])
            return int(cursor.rowcount)

    follow_market.alters_data = True  # type: ignore[attr-defined]

    def delete(self) -> tuple[int, dict[str, int]]:
        if self.query.is_sliced:
            return super().delete()  # raises Django's own error
        chosen, rows = self._to_write()
        with transaction.atomic(using=rows.db, savepoint=False):
            # The signals would lock the agents one by one, in the order of the rows: two deletions could deadlock.
            recording.lock_agents(set(chosen.order_by().values_list("agent_id", flat=True)), using=rows.db)
            return super().delete()

    delete.alters_data = True  # type: ignore[attr-defined]
    delete.queryset_only = True  # type: ignore[attr-defined]

    def bulk_create(
        self,
        objs: Iterable[Row],
        batch_size: int | None = None,
        ignore_conflicts: bool = False,
        update_conflicts: bool = False,
        update_fields: Collection[str] | None = None,
        unique_fields: Collection[str] | None = None,
    ) -> list[Row]:
        positions: list[Any] = list(objs)
        for position in positions:
            if position.id is None:  # a copy: Django would give it a key below, unknown here
                position.id = uuid4()
        _, rows = self._to_write()
        using = rows.db
        with transaction.atomic(using=using, savepoint=False):
            keys = list(dict.fromkeys(position.id for position in positions))
            agents: set[UUID] = {position.agent_id for position in positions}
            if update_conflicts:
                for chunk in chunks(keys):
                    agents.update(state.agent_id for state in recording.states(rows, chunk).values())
            recording.lock_agents(agents, using=using)
            before = {}
            for chunk in chunks(keys):
                before.update(recording.states(rows, chunk))
            with unguarded():
                created = super().bulk_create(
                    positions, batch_size, ignore_conflicts, update_conflicts, update_fields, unique_fields
                )
            if ignore_conflicts:
                keys = [key for key in keys if key not in before]  # the others were left as they are
            for chunk in chunks(keys):
                recording.record_changes(rows, before, chunk)
            return created

    def _to_write(self) -> tuple[Self, QuerySet[Any]]:
        """Return this queryset without a lock of its own, and all positions: both in the database to write.

        Read before they are written, positions would be a replica's; locked, they would be so before their agents.
        """
        chosen = self.all()
        chosen._for_write = self._for_write = True
        _unlock(chosen)
        # Of a subclass's manager nothing is known. This is Position's, which owns the table.
        position_model = self.model._meta.get_field("agent").model
        return chosen, position_model._base_manager.using(chosen.db)

    def _fetch_all(self) -> None:
        if self._result_cache is None and self.query.select_for_update:
            self._lock_agents_first()
        super()._fetch_all()

    def iterator(self, chunk_size: int | None = None) -> Iterator[Row]:
        if self.query.select_for_update:
            self._lock_agents_first()
        return super().iterator(chunk_size)

    def _lock_agents_first(self) -> None:
        """Keep to the order of locks that every writer shares. Otherwise `select_for_update().get()`, then `save()`
        would lock the position before the agent, and a service the agent before the position: a deadlock."""
        if self.query.select_for_update_nowait or self.query.select_for_update_skip_locked:
            return  # it does not wait, so it cannot deadlock
        unlocked = self.all()
        _unlock(unlocked)
        recording.lock_agents(set(unlocked.values_list("agent_id", flat=True)), using=self.db)


def _unlock(rows: QuerySet[Any]) -> None:
    rows.query.select_for_update = False
    rows.query.select_for_update_of = ()


def chunks(keys: Iterable[Key]) -> Iterator[list[Key]]:
    """Split `keys` into lists that one statement can hold."""
    keys = list(keys)
    for start in range(0, len(keys), ROWS_PER_STATEMENT):
        yield keys[start : start + ROWS_PER_STATEMENT]


def _widened(vendor: str, table: str, peak: str, lowest: str) -> str:
    """Return the assignments of `follow_market`."""
    higher = extreme(vendor, f"{table}.peak_price", peak, highest=True)
    lower = extreme(vendor, f"{table}.lowest_price", lowest, highest=False)
    return f"peak_price = {higher}, lowest_price = {lower}"


def _agents_named(values: dict[str, Any]) -> set[UUID]:
    """Return the agents that an update hands positions to."""
    agent = values.get("agent_id", values.get("agent"))
    try:
        return {UUID(str(getattr(agent, "pk", agent)))}
    except ValueError:  # none named, or an expression, known only to the database
        return set()
