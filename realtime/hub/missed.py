"""The events that clients have missed which come back with `lastSeq`: one statement for all that come together."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from operator import itemgetter
from typing import NamedTuple
from uuid import UUID

from django.db import connection
from django.db.models import BigIntegerField

from positions.models import Agent, PositionEvent
from realtime.hub.database import in_database_thread
from realtime.hub.rows import Columns, table_of
from realtime.protocol.envelopes import EventMessage

FEW = 100
"""Events. Whoever has missed more is served alone: the others of the batch do not wait for thousands of rows."""

_EVENTS = Columns(
    PositionEvent, ("seq", "event_type", "position_id", "position", "created_at"), alias="event"
)
_KINDS, _CLOSED = frozenset(PositionEvent.Type.values), PositionEvent.Type.CLOSED
_SQL = """
WITH asked (number, agent_id, after, upto) AS ({asked})
SELECT asked.number, {columns}
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


def read_events(gaps: Sequence[Gap]) -> list[list[EventMessage]]:
    """Return the events of each that are stored and can be read, in order. One statement."""
    number = BigIntegerField()
    rows = [(UUID(agent_id), after, upto) for agent_id, after, upto in gaps]
    values, parameters = table_of((Agent._meta.pk, number, number), rows)
    found: list[list[EventMessage]] = [[] for _ in gaps]
    with connection.cursor() as cursor:
        sql = _SQL.format(asked=values, columns=_EVENTS.sql)
        cursor.execute(" ".join(sql.split()), parameters)  # in one line, as the holdings
        all_rows = cursor.fetchall()
    for place, group in groupby(all_rows, key=itemgetter(0)):
        agent_id = gaps[place].agent_id
        for seq, kind, position_id, position, created_at in _EVENTS.converted(row[1:] for row in group):
            if kind in _KINDS and (
                position is not None or kind == _CLOSED
            ):  # else it was written past Django
                found[place].append(EventMessage(agent_id, seq, kind, position_id, position, created_at))
    return found


events = in_database_thread(read_events)
