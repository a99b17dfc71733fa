"""The events that clients have missed which come back with `lastSeq`: one statement for all that come together.

The thread that asks for them leaves their positions as texts. While it decoded those of a batch, 10 ms, it had Python's
lock, for which each write to each open socket waited: now each stream decodes its own, in its turn.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple
from uuid import UUID

from django.db import connection
from django.db.models import BigIntegerField

from positions.books.snapshots import parsed
from positions.models import Agent, PositionEvent
from positions.models.events import is_readable
from realtime.hub.database import in_database_thread
from realtime.hub.rows import Columns, table_of
from realtime.protocol.envelopes import EventMessage

FEW = 100
"""Events. Whoever has missed more is served alone: the others of the batch do not wait for thousands of rows."""

_EVENTS = Columns(PositionEvent, ("seq", "event_type", "position_id", "created_at"), alias="event")
_SQL = """
WITH asked (number, agent_id, after, upto) AS ({asked})
SELECT asked.number, event.position, {columns}
FROM asked
JOIN "positions_positionevent" event
  ON event.agent_id = asked.agent_id AND event.seq > asked.after AND event.seq <= asked.upto
ORDER BY asked.number, event.seq
"""


class Gap(NamedTuple):
    """What a client misses: the events after number `after`, up to and with `upto`."""

    agent_id: str
    after: int
    upto: int


class Stored(NamedTuple):
    """An event as it is stored."""

    position: str | None
    """JSON, of whichever release (positions.books.snapshots)."""
    seq: int
    kind: Any
    """One of PositionEvent.Type, unless it was written past Django."""
    position_id: str
    created_at: str


def read_events(gaps: Sequence[Gap]) -> list[list[Stored]]:
    """Return the events of each that are stored, in order. One statement."""
    number = BigIntegerField()
    rows = [(UUID(agent_id), after, upto) for agent_id, after, upto in gaps]
    values, parameters = table_of((Agent._meta.pk, number, number), rows)
    found: list[list[Stored]] = [[] for _ in gaps]
    with connection.cursor() as cursor:
        sql = _SQL.format(asked=values, columns=_EVENTS.sql)
        cursor.execute(" ".join(sql.split()), parameters)  # in one line, as the holdings
        all_rows = cursor.fetchall()
    for (place, position, *_), rest in zip(
        all_rows, _EVENTS.converted(row[2:] for row in all_rows), strict=True
    ):
        found[place].append(Stored(position, *rest))
    return found


def decoded(agent_id: str, events: Sequence[Stored], into: list[EventMessage]) -> Iterator[None]:
    """Append those of an agent's events that can be read, one in each step; the others were written past Django."""
    for position, seq, kind, position_id, created_at in events:
        snapshot = None if position is None else parsed(position)
        if is_readable(kind, snapshot):
            into.append(EventMessage(agent_id, seq, kind, position_id, snapshot, created_at))
        yield


events = in_database_thread(read_events)
