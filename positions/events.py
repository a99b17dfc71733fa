"""How a change of a position gets its number and its row, in the transaction that makes it.

Whoever writes positions, or locks them, locks their agents first, all at once and in order of their keys: this
serialises the writers of one agent, so that sequence numbers follow the order of commits, and no two writers can each
hold what the other waits for. (A transaction that goes on to a further agent can: PostgreSQL then ends one of them.)
Called by the signal receivers and the queryset only.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from functools import partial
from typing import NamedTuple
from uuid import UUID

from django.db import transaction
from django.db.models import F
from django.dispatch import Signal
from django.utils import timezone

from positions.models import Agent, Position, PositionEvent
from positions.snapshots import snapshot

# Sent after the commit that made them, with `events`: a list of PositionEvent, in order. In a rolled-back
# transaction there is nothing to send. Receivers run in the writer's thread, and none may fail the write.
position_events_committed = Signal()


class State(NamedTuple):
    """What decides which event a change is."""

    agent_id: UUID
    is_open: bool


def lock_agents(agent_ids: Collection[UUID], *, using: str) -> set[UUID]:
    """Lock the agents until the transaction ends, in an order that every writer shares; return those that exist."""
    # no_key: adding a wallet to the agent need not wait.
    agents = Agent.objects.using(using).select_for_update(no_key=True).filter(pk__in=agent_ids)
    return set(agents.order_by("pk").values_list("pk", flat=True))


def states(position_ids: Collection[UUID], *, using: str) -> dict[UUID, State]:
    """Return the state of each of the positions that exists."""
    rows = Position.objects.using(using).filter(pk__in=position_ids).order_by()
    return {
        key: State(agent, status == "open")
        for key, agent, status in rows.values_list("pk", "agent_id", "status")
    }


def record_changes(before: Mapping[UUID, State], position_ids: Collection[UUID], *, using: str) -> None:
    """Record what became of these positions since `before` was read.

    The rows are read back: an instance may hold expressions, floats or old values where the database holds digits.
    """
    rows = {position.pk: position for position in Position.objects.using(using).filter(pk__in=position_ids)}
    events = []
    for key in dict.fromkeys(position_ids):
        was, position = before.get(key), rows.get(key)
        if was and (position is None or was.agent_id != position.agent_id):
            events.append(_closed(was.agent_id, key))  # gone from this agent
            was = None
        if position is None:
            continue
        if position.status != Position.Status.OPEN:
            events.append(_closed(position.agent_id, key))
            continue
        kind = PositionEvent.Type.UPDATED if was and was.is_open else PositionEvent.Type.CREATED
        events.append(
            PositionEvent(
                agent_id=position.agent_id, event_type=kind, position_id=key, position=snapshot(position)
            )
        )
    _append(events, using=using)


def record_removal(state: State, position_id: UUID, *, using: str) -> None:
    """Record that a position is gone."""
    _append([_closed(state.agent_id, position_id)], using=using)


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


def missed(
    agent_id: UUID, *, after: int, limit: int, position_id: UUID | None = None
) -> Iterable[PositionEvent]:
    """Return the agent's events after number `after`, in order, at most `limit`; those of one position only."""
    events = PositionEvent.objects.filter(agent_id=agent_id, seq__gt=after).order_by("seq")
    return (events if position_id is None else events.filter(position_id=position_id))[:limit]
