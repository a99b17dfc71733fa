"""Writes to many positions at once, for which Django sends no signals: each changed row becomes an event."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from typing import Any, Self, TypeVar
from uuid import UUID

from django.db import models, transaction
from django.utils import timezone

from positions.models import recording

Row = TypeVar("Row", bound=models.Model)
"""Position, which knows this class; not the other way round."""

# Below SQLite's 999 variables for one statement, with room for the queryset's own.
ROWS_PER_STATEMENT = 500


class PositionQuerySet(models.QuerySet[Row]):
    """Positions. `update`, `bulk_create` and `bulk_update` (which calls `update`) record their events in the same
    transaction; `delete` does so through the delete signals. Each costs 4 statements more, and 2 for every 500 rows.
    """

    def open(self) -> Self:
        return self.filter(status="open")

    def update(self, **kwargs: Any) -> int:
        if self.query.is_sliced:
            return super().update(**kwargs)  # raises Django's own error
        if "updated_at" not in kwargs:
            kwargs["updated_at"] = timezone.now()
        rows = self.model._base_manager.using(self.db)
        with transaction.atomic(using=self.db, savepoint=False):
            agents = set(self.order_by().values_list("agent_id", flat=True).distinct())
            agents |= _agents_named(kwargs)
            locked = recording.lock_agents(agents, using=self.db)
            matched = self.filter(agent_id__in=locked).order_by().values_list("pk", flat=True)
            changed = 0
            for chunk in chunks(dict.fromkeys(matched)):  # a join may give a row more than once
                before = recording.states(rows, chunk)
                # By key, and by the queryset's own conditions, which the values may refer to (annotations).
                changed += super(PositionQuerySet, self.filter(pk__in=chunk)).update(**kwargs)
                recording.record_changes(rows, before, chunk)
            return changed

    update.alters_data = True  # type: ignore[attr-defined]

    def delete(self) -> tuple[int, dict[str, int]]:
        if self.query.is_sliced:
            return super().delete()  # raises Django's own error
        with transaction.atomic(using=self.db, savepoint=False):
            # The signals would lock the agents one by one, in the order of the rows: two deletions could deadlock.
            recording.lock_agents(set(self.order_by().values_list("agent_id", flat=True)), using=self.db)
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
        objs = list(objs)
        rows = self.model._base_manager.using(self.db)
        with transaction.atomic(using=self.db, savepoint=False):
            keys = list(dict.fromkeys(position.pk for position in objs))
            agents: set[UUID] = {position.agent_id for position in objs}  # type: ignore[attr-defined]
            if update_conflicts:
                for chunk in chunks(keys):
                    agents.update(state.agent_id for state in recording.states(rows, chunk).values())
            recording.lock_agents(agents, using=self.db)
            before = {}
            for chunk in chunks(keys):
                before.update(recording.states(rows, chunk))
            created = super().bulk_create(
                objs, batch_size, ignore_conflicts, update_conflicts, update_fields, unique_fields
            )
            if ignore_conflicts:
                keys = [key for key in keys if key not in before]  # the others were left as they are
            for chunk in chunks(keys):
                recording.record_changes(rows, before, chunk)
            return created

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
        unlocked.query.select_for_update = False
        recording.lock_agents(set(unlocked.values_list("agent_id", flat=True)), using=self.db)


def chunks(keys: Iterable[UUID]) -> Iterator[list[UUID]]:
    """Split `keys` into lists that one statement can hold."""
    keys = list(keys)
    for start in range(0, len(keys), ROWS_PER_STATEMENT):
        yield keys[start : start + ROWS_PER_STATEMENT]


def _agents_named(values: dict[str, Any]) -> set[UUID]:
    """Return the agents that an update hands positions to."""
    agent = values.get("agent_id", values.get("agent"))
    try:
        return {UUID(str(getattr(agent, "pk", agent)))}
    except ValueError:  # none named, or an expression, known only to the database
        return set()
