"""Records deletions of positions, wherever they start: at a position, or at what a deletion cascades from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID
from weakref import WeakKeyDictionary

from django.db import transaction
from django.db.models import Model, QuerySet
from django.db.models.signals import pre_delete
from django.db.transaction import Atomic

from positions.models.agents import Agent
from positions.models.guard import expect_deletion
from positions.models.recording import append, closing, lock_agents, states
from positions.signals import for_each_class


def connect(position_model: type[Model], cascades: Mapping[type[Model], str]) -> None:
    """Record every deletion of this model's rows from now on, whatever class it is asked of.

    `cascades`: the models whose deletion deletes positions, and the look-up from Agent to such a row.
    """
    deletions = _Deletions(position_model, cascades)

    def connect_class(model: type[Model]) -> None:
        # Deleting a row of a multi-table child deletes one of Position, too, unless that is to be kept.
        if model._meta.concrete_model is position_model:
            # By name: `ready` runs once for each registry of apps, which some tests have several of.
            pre_delete.connect(deletions.before, sender=model, weak=False, dispatch_uid="positions.recording")

    for_each_class(position_model, connect_class)


class _Deletions:
    """Recorded in pre_delete, which all rows of a deletion get before the first one is deleted, in one transaction.

    (Django has no other hook; with a receiver, it deletes no row without one.)
    """

    def __init__(self, model: type[Model], cascades: Mapping[type[Model], str]) -> None:
        self._model = model
        self._lookups = cascades
        # The deletions whose agents are locked, by transaction.
        self._locked: WeakKeyDictionary[Atomic, list[object]] = WeakKeyDictionary()

    def before(
        self, sender: object, instance: Any, using: str, origin: Model | QuerySet[Any], **kwargs: Any
    ) -> None:
        locked = self._locked.setdefault(transaction.get_connection(using).atomic_blocks[0], [])
        if not any(known is origin for known in locked):
            # All at once and in order, wherever the cascade starts: position by position could deadlock.
            lock_agents(self._agents_of(origin, using), using=using)
            locked.append(origin)
        lock_agents({instance.agent_id}, using=using)
        before = states(self._model._base_manager.using(using), [instance.pk])
        expect_deletion(instance.pk, using=using)
        append([closing(was.agent_id, key) for key, was in before.items()], using=using)

    def _agents_of(self, origin: Model | QuerySet[Any], using: str) -> set[UUID]:
        """Return the agents whose positions a deletion that starts at `origin` deletes."""
        model: Any = origin.model if isinstance(origin, QuerySet) else type(origin)
        for each in model.__mro__:
            if each in self._lookups:
                key = each._meta.pk.name  # of a multi-table child, `pk` may be another
                rows = origin.values(key) if isinstance(origin, QuerySet) else [getattr(origin, key)]
                agents = Agent.objects.using(using).filter(**{f"{self._lookups[each]}__in": rows})
                return set(agents.values_list("pk", flat=True))
        return set()  # another app's, with a cascade of its own
