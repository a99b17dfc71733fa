"""Positions whose peakPrice or lowestPrice has to follow the market."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from django.db import connection

from positions.history.extremes import Extreme
from positions.models import Position

ROWS_AT_ONCE = 500


class Behind(NamedTuple):
    position_id: UUID
    token_address: str
    created_at: datetime


def behind(market: Mapping[str, Extreme]) -> list[Behind]:
    """Return the open positions whose own extremes lie within those of the market. One statement.

    Not all of them have to follow: one may have been opened after the market was there.
    """
    if connection.vendor == "sqlite":
        return _compared_here(market)
    table = connection.ops.quote_name(Position._meta.db_table)
    column = Position._meta.get_field("peak_price")
    kind = column.db_type(connection)  # the digits beyond those of the column are no difference
    sql = f"""
        SELECT position.id, position.token_address, position.created_at
        FROM {table} AS position
        JOIN unnest(%s::text[], %s::numeric[], %s::numeric[]) AS market (token_address, highest, lowest)
            USING (token_address)
        WHERE position.status = 'open' AND (
            position.peak_price IS NULL OR position.peak_price < market.highest::{kind}
            OR position.lowest_price IS NULL OR position.lowest_price > market.lowest::{kind}
        )
    """  # noqa: S608
    columns: list[Any] = [list(market), *([each[n] for each in market.values()] for n in (0, 1))]
    found: list[Behind] = []
    with connection.cursor() as cursor:
        cursor.execute(sql, columns)
        # All of them at once would keep the interpreter from the rounds for as long as it takes to convert them.
        while rows := cursor.fetchmany(ROWS_AT_ONCE):
            found += map(Behind._make, rows)
    return found


def _compared_here(market: Mapping[str, Extreme]) -> list[Behind]:
    """The same on SQLite, where numbers are text."""
    columns = ("pk", "token_address", "created_at", "peak_price", "lowest_price")
    found = []
    for *who, peak, lowest in Position.objects.open().order_by().values_list(*columns).iterator():
        extreme = market.get(who[1])
        if extreme and (peak is None or peak < extreme.highest or lowest is None or lowest > extreme.lowest):
            found.append(Behind(*who))
    return found
