"""Writes to many positions at once, which Django sends no signal for: each row still becomes an event."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from typing import TYPE_CHECKING, Any
from uuid import UUID

from django.db import models, transaction
from django.utils import timezone

if TYPE_CHECKING:
    from positions.models import Position

# Below SQLite's 999 variables for one statement, with room for the queryset's own.
ROWS_PER_STATEMENT = 500


class PositionQuerySet(models.QuerySet["Position"]):
    """Positions. `update`, `bulk_create` and `bulk_update` (which calls `update`) record their events in the same
    transaction; `delete` does so through the delete signals. Each costs 4 statements more, and 2 for every 500 rows.
    """

    def open(self) -> PositionQuerySet:
        return self.filter(status="open")

    def update(self, **kwargs: Any) -> int:
        from positions import events

        if self.query.is_sliced:
            return super().update(**kwargs)  # raises Django's own error
        if "updated_at" not in kwargs:
            kwargs["updated_at"] = timezone.now()
        with transaction.atomic(using=self.db, savepoint=False):
            agents = set(self.order_by().values_list("agent_id", flat=True).distinct())
            agents |= _agents_named(kwargs)
            locked = events.lock_agents(agents, using=self.db)
            matched = self.filter(agent_id__in=locked).order_by().values_list("pk", flat=True)
            changed = 0
            keys = list(matched)
            for chunk in chunks(keys):
                before = events.states(chunk, using=self.db)
                # By key, and by the queryset's own conditions, which the values may refer to (annotations).
                changed += super(PositionQuerySet, self.filter(pk__in=chunk)).update(**kwargs)
                events.record_changes(before, chunk, using=self.db)
            return changed

    update.alters_data = True  # type: ignore[attr-defined]

    def delete(self) -> tuple[int, dict[str, int]]:
        from positions import events

        if self.query.is_sliced:
            return super().delete()  # raises Django's own error
        with transaction.atomic(using=self.db, savepoint=False):
            # The signals would lock the agents one by one, in the order of the rows: two of these could deadlock.
            events.lock_agents(set(self.order_by().values_list("agent_id", flat=True)), using=self.db)
            return super().delete()

    delete.alters_data = True  # type: ignore[attr-defined]
    delete.queryset_only = True  # type: ignore[attr-defined]

    def bulk_create(self, objs: Iterable[Position], *args: Any, **kwargs: Any) -> list[Position]:
        from positions import events

        objs = list(objs)
        with transaction.atomic(using=self.db, savepoint=False):
            keys = [position.pk for position in objs]
            agents = {position.agent_id for position in objs}
            if kwargs.get("update_conflicts"):
                agents |= set(_by_key(self, keys, "agent_id"))
            events.lock_agents(agents, using=self.db)
            before = {
                key: state
                for chunk in chunks(keys)
                for key, state in events.states(chunk, using=self.db).items()
            }
            created = super().bulk_create(objs, *args, **kwargs)
            if kwargs.get("ignore_conflicts"):
                # Only what was not there before can have been written.
                keys = [key for key in keys if key not in before]
            for chunk in chunks(keys):
                events.record_changes(before, chunk, using=self.db)
            return created


def chunks(keys: Collection[UUID]) -> Iterator[list[UUID]]:
    """Split `keys` into lists that one statement can hold."""
    keys = list(keys)
    for start in range(0, len(keys), ROWS_PER_STATEMENT):
        yield keys[start : start + ROWS_PER_STATEMENT]


def _by_key(queryset: PositionQuerySet, keys: list[UUID], field: str) -> Iterator[UUID]:
    for chunk in chunks(keys):
        yield from (
            queryset.model._base_manager.using(queryset.db).filter(pk__in=chunk).values_list(field, flat=True)
        )


def _agents_named(values: dict[str, Any]) -> set[UUID]:
    """Return the agents that an update hands positions to."""
    agent = values.get("agent_id", getattr(values.get("agent"), "pk", values.get("agent")))
    return {agent} if isinstance(agent, UUID) else set()
