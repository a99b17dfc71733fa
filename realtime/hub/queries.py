"""What sockets read from the database: access, open positions, missed events. One query each."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, NamedTuple
from uuid import UUID

from django.db import connection
from django.db.models import Exists, F, FilteredRelation, Q, QuerySet
from django.db.models.expressions import RawSQL

from positions.accounts.sessions import ended
from positions.books.snapshots import snapshot
from positions.models import Agent, EndedSession, Position
from positions.models.recording import missed
from positions.prices.last_quotes import read_last_quotes
from positions.prices.quotes import Quote
from realtime.hub.database import in_database_thread
from realtime.protocol.envelopes import EventMessage, to_event

# Events read at a time when filling a gap.
EVENTS_PER_READ = 500

_COLUMNS = [field.attname for field in Position._meta.concrete_fields]


class Holdings(NamedTuple):
    """An agent's open positions as of event `seq`."""

    seq: int
    positions: list[dict[str, Any]]
    """Snapshots of the open positions."""


class AgentState(NamedTuple):
    """An agent as it is now in the database."""

    seq: int
    """Number of its last event."""
    watcher_id: object
    """The key of the user who may watch it; None where that user is inactive."""


@in_database_thread
def may_watch(user_id: Any, agent_id: UUID, session_id: UUID | None = None) -> bool:
    """Return whether the user owns the agent, is active, and has not logged out of the session."""
    return _watchable(agent_id, user_id, session_id).exists()


def _watchable(agent_id: UUID | str, user_id: Any, session_id: UUID | None) -> QuerySet[Agent]:
    agents = Agent.objects.filter(pk=agent_id, owner_id=user_id, owner__is_active=True)
    if session_id is not None:
        agents = agents.filter(~Exists(EndedSession.objects.filter(pk=session_id)))
    return agents


@in_database_thread
def ended_sessions(session_ids: Sequence[UUID]) -> set[UUID]:
    """Return those of the sessions that were logged out of."""
    return ended(session_ids)


@in_database_thread
def holdings(agent_id: str, user_id: Any, session_id: UUID | None = None) -> Holdings | None:
    """Return the agent's open positions and event number, read at one moment; None if the user may not watch it.

    One statement, an outer join: it sees one state of the database at every isolation level; between two statements
    there could be a commit.
    """
    columns = [F(f"held__{column}") for column in _COLUMNS]
    rows = list(
        _watchable(agent_id, user_id, session_id)
        .annotate(held=FilteredRelation("positions", condition=Q(positions__status=Position.Status.OPEN)))
        .order_by("held__created_at", "held__id")
        .values_list("event_seq", *columns)
    )
    if not rows:
        return None
    return Holdings(
        seq=rows[0][0],
        positions=[snapshot(Position.from_db(None, _COLUMNS, row[1:])) for row in rows if row[1] is not None],
    )


@in_database_thread
def missed_events(agent_id: str, *, after: int, limit: int = EVENTS_PER_READ) -> list[EventMessage]:
    """Return the agent's next events after number `after`, in order."""
    return [to_event(event) for event in missed(UUID(agent_id), after=after, limit=limit)]


@in_database_thread
def last_quotes(token_addresses: Collection[str]) -> dict[str, Quote]:
    """Return what the database has of the prices of these tokens."""
    return read_last_quotes(token_addresses)


@in_database_thread
def agent_states(agent_ids: Collection[str]) -> dict[str, AgentState | None]:
    """Return the state of each of these agents; None for one that has been deleted."""
    known: dict[str, AgentState | None] = dict.fromkeys(agent_ids)
    wanted: Any = list(agent_ids)
    if connection.vendor == "postgresql":
        # One parameter: a thousand of them cost Django and the driver three times as much.
        wanted = RawSQL("SELECT unnest(%s::uuid[])", [wanted])
    rows = Agent.objects.filter(pk__in=wanted).order_by()
    for agent_id, seq, owner_id, is_active in rows.values_list(
        "pk", "event_seq", "owner_id", "owner__is_active"
    ):
        known[str(agent_id)] = AgentState(seq, owner_id if is_active else None)
    return known
