"""Reads results of any length, a part at a time."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeVar

from django.db.models import Model, QuerySet

Row = TypeVar("Row", bound=Model)


def in_parts(rows: QuerySet[Row], *, size: int) -> Iterator[list[Row]]:
    """Yield these rows in their order, `size` at a time. One query for all keys, and one for each part.

    Memory for a part, and about 100 bytes for each key. Each row is as it is when its part is read; one that is gone by
    then, or no longer among those asked for, is left out. Nothing is open in between, so whoever reads may be slow:
    a cursor of the database would keep a connection, and PgBouncer in transaction mode loses it.
    """
    keys = list(rows.values_list("pk", flat=True))
    for start in range(0, len(keys), size):
        part = keys[start : start + size]
        found = {row.pk: row for row in rows.order_by().filter(pk__in=part)}
        yield [found[key] for key in part if key in found]
