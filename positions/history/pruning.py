"""Deletes old rows a few at a time, so that no query waits long for a deletion."""

from __future__ import annotations

from typing import Any

from django.core.exceptions import EmptyResultSet
from django.db import connection
from django.db.models import QuerySet
from django.db.models.expressions import RawSQL


def delete_some(rows: QuerySet[Any], *, limit: int) -> int:
    """Delete at most `limit` of these rows, in one statement and past the ORM; return how many.

    By their physical location (rowid or ctid): Django would list each row's composite key.
    """
    if limit <= 0:
        return 0
    table = connection.ops.quote_name(rows.model._meta.db_table)
    place, among = ("rowid", "IN ({})") if connection.vendor == "sqlite" else ("ctid", "= ANY(ARRAY({}))")
    some = rows.order_by().annotate(place=RawSQL(f"{table}.{place}", ())).values("place")[:limit]  # noqa: S611
    try:
        sql, params = some.query.get_compiler(connection=connection).as_sql()
    except EmptyResultSet:  # of an empty list of keys
        return 0
    with connection.cursor() as cursor:
        cursor.execute(f"DELETE FROM {table} WHERE {place} {among.format(sql)}", params)  # noqa: S608
        return int(cursor.rowcount)
