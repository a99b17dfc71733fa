"""Records every change of a position as a numbered event, in the transaction of the change. Nothing else does.

Single saves and deletions arrive through Django's signals (`connect`), writes to many rows from
`positions.models.querysets`. This module imports no Position: callers pass a queryset of its rows, bound to the
database that is written.

Every writer of positions locks their agents first, all at once and in order of their keys: this serialises the
writers of one agent, so that sequence numbers follow the order of commits, and writers cannot deadlock. (A transaction
that goes on to a further agent can: PostgreSQL then ends one of the two.)
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from functools import partial
from typing import Any, NamedTuple
from uuid import UUID
from weakref import WeakKeyDictionary

from django.db import transaction
from django.db.models import F, Model, QuerySet
from django.db.models.signals import post_save, pre_delete, pre_save
from django.db.transaction import Atomic
from django.utils import timezone

from positions.books.snapshots import snapshot
from positions.models.agents import Agent
from positions.models.events import PositionEvent
from positions.signals import position_events_committed

Positions = QuerySet[Any]
"""Rows of Position, in the database that is written."""


class State(NamedTuple):
    """What decides which event a change is."""

    agent_id: UUID
    is_open: bool


States = dict[UUID, State]


# Shared by all kinds of writes


def lock_agents(agent_ids: Collection[UUID], *, using: str) -> set[UUID]:
    """Lock the agents until the transaction ends, in an order that every writer shares; return those that exist."""
    # no_key: adding a wallet to the agent need not wait.
    agents = Agent.objects.using(using).select_for_update(no_key=True).filter(pk__in=agent_ids)
    return set(agents.order_by("pk").values_list("pk", flat=True))


def states(positions: Positions, keys: Collection[UUID]) -> States:
    """Return the state of each of the positions that exists."""
    rows = positions.filter(pk__in=keys).order_by().values_list("pk", "agent_id", "status")
    return {key: State(agent_id, status == "open") for key, agent_id, status in rows}


def record_changes(positions: Positions, before: Mapping[UUID, State], keys: Collection[UUID]) -> None:
    """Record the changes of these positions since `before` was read.

    The rows are read back: an instance may have expressions, floats or old values where the database has digits.
    """
    rows = {position.pk: position for position in positions.filter(pk__in=keys)}
    events = []
    for key in dict.fromkeys(keys):
        was, position = before.get(key), rows.get(key)
        if was and (position is None or was.agent_id != position.agent_id):
            events.append(_closed(was.agent_id, key))  # gone from this agent
            was = None
        if position is None:
            continue
        if position.status != "open":
            events.append(_closed(position.agent_id, key))
            continue
        kind = PositionEvent.Type.UPDATED if was and was.is_open else PositionEvent.Type.CREATED
        events.append(
            PositionEvent(
                agent_id=position.agent_id, event_type=kind, position_id=key, position=snapshot(position)
            )
        )
    _append(events, using=positions.db)


def _closed(agent_id: UUID, position_id: UUID) -> PositionEvent:
    return PositionEvent(agent_id=agent_id, event_type=PositionEvent.Type.CLOSED, position_id=position_id)


def _append(events: list[PositionEvent], *, using: str) -> None:
    """Number the events, add their rows, and send them out on commit."""
    if not events:
        return
    now = timezone.now()
    by_agent: dict[UUID, list[PositionEvent]] = {}
    for event in events:
        by_agent.setdefault(event.agent_id, []).append(event)
    for agent_id, own in by_agent.items():
        Agent.objects.using(using).filter(pk=agent_id).update(event_seq=F("event_seq") + len(own))
        last = Agent.objects.using(using).values_list("event_seq", flat=True).get(pk=agent_id)
        for seq, event in enumerate(own, start=last - len(own) + 1):
            event.seq, event.created_at = seq, now
    PositionEvent.objects.using(using).bulk_create(events, batch_size=500)
    send = partial(position_events_committed.send_robust, sender=PositionEvent, events=events)
    transaction.on_commit(send, using=using, robust=True)


# Saves and deletions, one row at a time


def connect(position_model: type[Model], cascades: Mapping[type[Model], str]) -> None:
    """Record every save and deletion of this model's rows from now on, and keep the agents' numbers.

    `cascades`: the models whose deletion deletes positions, and the look-up from Agent to such a row.
    """
    saves = _Saves(position_model)
    deletions = _Deletions(position_model, cascades)
    pre_save.connect(saves.before, sender=position_model, weak=False)
    post_save.connect(saves.after, sender=position_model, weak=False)
    pre_delete.connect(deletions.before, sender=position_model, weak=False)
    pre_save.connect(_keep_event_seq, sender=Agent)


class _Saves:
    """The instance carries the state before the save from one signal to the other: nothing else lives as long.

    (An override of `save` would miss fixtures; one of `save_base` would record a creation after the changes that
    receivers of `post_save` make.)
    """

    ATTRIBUTE = "_recorded_states"
    KNOWN = "_known_states"

    def __init__(self, model: type[Model]) -> None:
        self._model = model

    def before(self, sender: object, instance: Any, using: str, **kwargs: Any) -> None:
        known: States | None = instance.__dict__.pop(self.KNOWN, None)
        if known is not None:
            instance.__dict__.setdefault(self.ATTRIBUTE, []).append(known)
            return
        positions = self._model._base_manager.using(using)
        with transaction.atomic(using=using, savepoint=False):
            before = states(positions, [instance.pk])
            agents: set[UUID] = set()
            while not agents >= (
                concerned := {instance.agent_id, *(was.agent_id for was in before.values())}
            ):
                # Both agents, where the position moves between them; again, if it moved while we waited.
                agents = concerned
                lock_agents(agents, using=using)
                before = states(positions, [instance.pk])
        # A stack: a receiver of post_save may save the instance again before `after` has run.
        instance.__dict__.setdefault(self.ATTRIBUTE, []).append(before)

    def after(self, sender: object, instance: Any, using: str, **kwargs: Any) -> None:
        before: States = instance.__dict__[self.ATTRIBUTE].pop()
        with transaction.atomic(using=using, savepoint=False):
            record_changes(self._model._base_manager.using(using), before, [instance.pk])


def save_locked(instance: Any, before: State | None, *, new: bool = False) -> None:
    """Save a position whose agent this transaction has locked, and whose state since then is known.

    Three statements less than `save`. `before`: None for a new one, whose key nobody else has.
    """
    instance.__dict__[_Saves.KNOWN] = {} if before is None else {instance.pk: before}
    instance.save(force_insert=new, force_update=not new)


class _Deletions:
    """Recorded in pre_delete, which all rows of a deletion get before the first one is deleted, in one transaction."""

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
        _append([_closed(was.agent_id, key) for key, was in before.items()], using=using)

    def _agents_of(self, origin: Model | QuerySet[Any], using: str) -> set[UUID]:
        """Return the agents whose positions a deletion that starts at `origin` deletes."""
        model, rows = (origin.model, origin) if isinstance(origin, QuerySet) else (type(origin), [origin.pk])
        if model not in self._lookups:  # another app's, with a cascade of its own
            return set()
        agents = Agent.objects.using(using).filter(**{f"{self._lookups[model]}__in": rows})
        return set(agents.values_list("pk", flat=True))


def _keep_event_seq(sender: object, instance: Agent, raw: bool, using: str, **kwargs: Any) -> None:
    """A fixture bypasses SequenceField: an old one must not reset the counter."""
    if raw:
        with transaction.atomic(using=using, savepoint=False):
            lock_agents({instance.pk}, using=using)
            agents = Agent.objects.using(using).filter(pk=instance.pk)
            known = agents.values_list("event_seq", flat=True).first()
        instance.event_seq = max(instance.event_seq, known or 0)


# Reading


def missed(
    agent_id: UUID, *, after: int, limit: int, position_id: UUID | None = None
) -> Iterable[PositionEvent]:
    """Return the agent's events after number `after`, in order, at most `limit`; those of one position only."""
    return _events(agent_id, position_id).filter(seq__gt=after).order_by("seq")[:limit]


def latest(
    agent_id: UUID, *, before: int, limit: int, position_id: UUID | None = None
) -> Iterable[PositionEvent]:
    """Return the agent's events before number `before`, newest first, at most `limit`; those of one position only."""
    return _events(agent_id, position_id).filter(seq__lt=before).order_by("-seq")[:limit]


def _events(agent_id: UUID, position_id: UUID | None) -> QuerySet[PositionEvent]:
    events = PositionEvent.objects.filter(agent_id=agent_id)
    return events if position_id is None else events.filter(position_id=position_id)
