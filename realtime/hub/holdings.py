"""What agents hold, as sockets that start read it: one statement for all that start at the same time.

By hand, since most of what a query costs is Django's work for it, where the ORM took 1.9 ms of CPU for an agent of ten
positions (2026-11-26). From the primary, as `queries`.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from itertools import groupby
from operator import itemgetter
from typing import Any, NamedTuple
from uuid import UUID

from django.contrib.auth import get_user_model
from django.db import connection

from positions.books.snapshots import VERSION, StoredPosition
from positions.models import Agent, Position, TokenFamily
from positions.models.agents import address_of
from realtime.hub.database import in_database_thread
from realtime.hub.rows import Columns, table_of

FEW = 200
"""Positions. Agents that hold more are read alone: the others of their batch do not wait for thousands of rows."""

_NAMES = StoredPosition.__struct_fields__
_POSITIONS = Columns(
    Position, ["wallet_id" if name == "wallet_address" else name for name in _NAMES], alias="held"
)
_ID, _TOKEN = _NAMES.index("id"), _NAMES.index("token_address")

# Each row of `asked` has a number, since an agent may be asked for twice.
#
# One statement, an outer join: it sees one state of the database at every isolation level; between two statements there
# could be a commit.
_SQL = """
WITH asked (number, agent_id, user_id, family_id) AS ({asked}),
known AS (
    SELECT asked.number, agent.id, agent.event_seq, {held} AS held
    FROM asked
    JOIN "positions_agent" agent ON agent.id = asked.agent_id AND agent.owner_id = asked.user_id
    JOIN {users} owner ON owner.{key} = agent.owner_id AND owner.is_active
    WHERE asked.family_id IS NULL OR EXISTS (
        SELECT 1 FROM "positions_tokenfamily" family WHERE family.id = asked.family_id AND family.ended_at IS NULL
    )
)
SELECT known.number, known.held, known.event_seq, {columns}
FROM known
LEFT JOIN "positions_position" held ON held.agent_id = known.id AND held.status = 'open' AND known.held <= {few}
ORDER BY known.number, held.created_at, held.id
"""
_HELD = """(
    SELECT count(*) FROM (
        SELECT 1 FROM "positions_position" few WHERE few.agent_id = agent.id AND few.status = 'open' LIMIT {few} + 1
    ) counted
)"""
_FIRST = 3  # columns before those of the position
_TOO_MANY = -1


class Holdings(NamedTuple):
    """An agent's open positions as of event `seq`."""

    seq: int
    rows: list[Sequence[Any]]
    """Of the open positions: what a snapshot has of each."""

    def positions(self) -> Iterator[dict[str, Any]]:
        """Return the snapshot of each position, made when it is asked for: 10,000 take half a second.

        The rows are given up on the way, since giving them all up at once takes as long as many positions.
        """
        self.rows.reverse()
        while self.rows:
            yield _snapshot(self.rows.pop())

    def tokens(self) -> Iterator[tuple[str, str]]:
        """Return the token and the id of each position."""
        return ((row[_TOKEN], row[_ID]) for row in self.rows)


def _snapshot(row: Sequence[Any]) -> dict[str, Any]:
    """Return what `snapshots.snapshot` does, without an instance of the model, which costs as much again."""
    data = dict(zip(_NAMES, row, strict=True))
    data["version"] = VERSION
    data["wallet_address"] = address_of(data["wallet_address"])
    for name in ("dca_transaction_ids", "take_profit_transaction_ids"):
        if data[name]:
            data[name] = [str(item) for item in data[name]]
    return data


class Asked(NamedTuple):
    """A stream that starts: its agent, who watches it, and the family of the token, if it has one."""

    agent_id: str
    user_id: Any
    family_id: UUID | None


class TooMany(Exception):
    """The agent holds more than a few positions."""


def read_holdings(agent_id: str, user_id: Any, family_id: UUID | None = None) -> Holdings | None:
    """Return the agent's open positions and event number, read at one moment.

    None if the user does not own it or is inactive, or the family of tokens, if any, has ended. One statement.
    """
    return _read([Asked(agent_id, user_id, family_id)], held="0").get(0)


def read_few(asked: Sequence[Asked]) -> list[Holdings | TooMany | None]:
    """Return the same for many, but TooMany in place of long holdings. One statement."""
    if len(asked) == 1:
        return [read_holdings(*asked[0])]
    found = _read(asked, held=_HELD)
    return [_few(found.get(number)) for number in range(len(asked))]


def _few(held: Holdings | None) -> Holdings | TooMany | None:
    return TooMany() if held is not None and held.seq == _TOO_MANY else held


holdings = in_database_thread(read_holdings)
few_holdings = in_database_thread(read_few)


def _read(asked: Sequence[Asked], *, held: str) -> dict[int, Holdings]:
    """Return the holdings by number; without rows, and _TOO_MANY for `seq`, where there are more than FEW."""
    rows = [(UUID(agent_id), user_id, family_id) for agent_id, user_id, family_id in asked]
    values, parameters = table_of(_keys(), rows)
    sql = _sql(connection.vendor, held).replace("{asked}", values)
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        all_rows = cursor.fetchall()
    found = {}
    for number, group in groupby(all_rows, key=itemgetter(0)):
        of_one = list(group)
        _, count, seq, *_ = of_one[0]
        if count > FEW:
            seq, of_one = _TOO_MANY, []
        found[number] = Holdings(
            seq, _POSITIONS.converted([row[_FIRST:] for row in of_one if row[_FIRST + _ID] is not None])
        )
    return found


@functools.cache
def _sql(vendor: str, held: str) -> str:
    users, quote = get_user_model()._meta, connection.ops.quote_name
    sql = _SQL.format(
        asked="{asked}",
        held=held.format(few=FEW),
        few=FEW,
        users=quote(users.db_table),
        key=quote(str(users.pk.column)),
        columns=_POSITIONS.sql,
    )
    return " ".join(sql.split())  # in one line, for those who count statements (benchmarks/stage.py)


def _keys() -> tuple[Any, ...]:
    """Return the fields of what is asked for."""
    return Agent._meta.pk, get_user_model()._meta.pk, TokenFamily._meta.pk
