"""What sockets read from the database: access, open positions, missed events. One query each.

From the primary, also under a router that sends reads to a replica: there, an event that has been sent, or the end of a
token, may not have arrived yet.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, NamedTuple
from uuid import UUID

from django.contrib.auth import get_user_model
from django.db import DEFAULT_DB_ALIAS, connection
from django.db.models.expressions import RawSQL

from positions.accounts import last_used
from positions.models import Agent, TokenFamily
from positions.models.recording import missed
from positions.models.tokens import is_alive
from positions.prices.last_quotes import read_last_quotes
from positions.prices.quotes import Quote
from realtime.hub.database import in_database_thread
from realtime.hub.rows import table_of
from realtime.protocol.envelopes import EventMessage, to_event

# Events read at a time when filling a gap.
EVENTS_PER_READ = 500


class AgentState(NamedTuple):
    """An agent as it is now in the database."""

    seq: int
    """Number of its last event."""
    watcher_id: object
    """The key of the user who may watch it; None where that user is inactive."""


_MAY_WATCH = (  # quoted as Django does, and in one line, for those who count statements (benchmarks/stage.py)
    'SELECT 1 FROM "positions_agent" agent JOIN {users} owner ON owner.{key} = agent.owner_id'
    " WHERE agent.id = %s AND agent.owner_id = %s AND owner.is_active"
)

_WATCHABLE = (
    "WITH asked (number, user_id, agent_id) AS ({asked}) SELECT asked.number FROM asked"
    ' JOIN "positions_agent" agent ON agent.id = asked.agent_id AND agent.owner_id = asked.user_id'
    " JOIN {users} owner ON owner.{key} = agent.owner_id AND owner.is_active"
)


def is_watchable(user_id: Any, agent_id: UUID, family_id: UUID | None = None) -> bool:
    """Return whether the user owns the agent and is active, and the family of tokens, if any, has not ended.

    By hand, for each socket that connects: 0.1 ms of CPU instead of the ORM's 0.4 (2026-11-26).
    """
    users = get_user_model()._meta
    parameters = [
        key.get_db_prep_value(value, connection)
        for key, value in ((Agent._meta.pk, agent_id), (users.pk, user_id))
    ]
    sql = _MAY_WATCH.format(users=connection.ops.quote_name(users.db_table), key=users.pk.column)
    if family_id is not None:
        condition = is_alive(family_id)
        sql += f" AND {condition.sql}"
        parameters += condition.params
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        return cursor.fetchone() is not None


may_watch = in_database_thread(is_watchable)


def watchable(pairs: Sequence[tuple[Any, UUID]]) -> set[tuple[Any, UUID]]:
    """Return those of these users and agents of which `is_watchable` is true. One statement, or none."""
    if not pairs:
        return set()
    users = get_user_model()._meta
    asked, parameters = table_of((users.pk, Agent._meta.pk), pairs)
    sql = _WATCHABLE.format(asked=asked, users=connection.ops.quote_name(users.db_table), key=users.pk.column)
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        return {pairs[number] for (number,) in cursor.fetchall()}


@in_database_thread
def living_families(family_ids: Collection[UUID]) -> set[UUID]:
    """Return those of these families of tokens that have not ended. An open socket counts as a use of its token."""
    families = TokenFamily.objects.using(DEFAULT_DB_ALIAS)
    rows = families.filter(pk__in=_among(family_ids), ended_at=None).order_by()
    alive = dict(rows.values_list("pk", "last_used_at"))
    for family_id, last_used_at in alive.items():
        last_used.note(family_id, last_used_at)
    return set(alive)


def _among(keys: Collection[Any]) -> Any:
    """Return what a UUID column is compared with."""
    if connection.vendor != "postgresql":
        return list(keys)
    # One parameter: a thousand of them cost Django and the driver three times as much.
    return RawSQL("SELECT unnest(%s::uuid[])", [list(keys)])


@in_database_thread
def missed_events(agent_id: str, *, after: int, limit: int = EVENTS_PER_READ) -> list[EventMessage]:
    """Return the agent's next events after number `after`, in order.

    One that cannot be read, since it was written past Django, is missing: only a new snapshot helps.
    """
    events = missed(UUID(agent_id), after=after, limit=limit, using=DEFAULT_DB_ALIAS)
    return [to_event(event) for event in events if event.is_readable]


@in_database_thread
def last_quotes(token_addresses: Collection[str]) -> dict[str, Quote]:
    """Return what the database has of the prices of these tokens."""
    return read_last_quotes(token_addresses)


@in_database_thread
def agent_states(agent_ids: Collection[str]) -> dict[str, AgentState | None]:
    """Return the state of each of these agents; None for one that has been deleted."""
    known: dict[str, AgentState | None] = dict.fromkeys(agent_ids)
    rows = Agent.objects.using(DEFAULT_DB_ALIAS).filter(pk__in=_among(agent_ids)).order_by()
    for agent_id, seq, owner_id, is_active in rows.values_list(
        "pk", "event_seq", "owner_id", "owner__is_active"
    ):
        known[str(agent_id)] = AgentState(seq, owner_id if is_active else None)
    return known
