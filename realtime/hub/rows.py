"""Rows of hand-written statements that ask for many things at once: a table of what is asked for, and Python's values.

What a query of the ORM costs is mostly Django's work for it. These statements name their columns as the models do, and
read them with the models' own converters.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from django.db import connection
from django.db.models import Field, Model


def table_of(keys: Sequence[Field[Any, Any]], rows: Sequence[Sequence[Any]]) -> tuple[str, list[Any]]:
    """Return `VALUES (…), (…)` and its parameters: each row's number, from 0 on, and its values of these fields."""
    parameters: list[Any] = []
    for number, row in enumerate(rows):
        values = zip(keys, row, strict=True)
        parameters += (number, *(field.get_db_prep_value(value, connection) for field, value in values))
    return f"VALUES {', '.join([_place(tuple(keys), connection.vendor)] * len(rows))}", parameters


@functools.cache
def _place(keys: tuple[Field[Any, Any], ...], vendor: str) -> str:
    if vendor != "postgresql":
        return f"({', '.join(['%s'] * (1 + len(keys)))})"
    types = ("int", *(field.rel_db_type(connection) for field in keys))  # else a NULL would be a text
    return f"({', '.join(f'%s::{of}' for of in types)})"


class Columns:
    """Columns of a model, in a statement in which its table has the name `alias`."""

    def __init__(self, model: type[Model], names: Iterable[str], *, alias: str) -> None:
        self._table = model._meta.db_table
        self._fields: list[Any] = [model._meta.get_field(name) for name in names]
        self._alias = alias

    @property
    def sql(self) -> str:
        quote = connection.ops.quote_name
        return ", ".join(f"{self._alias}.{quote(field.column)}" for field in self._fields)

    def converted(self, rows: Iterable[Sequence[Any]]) -> list[Any]:
        """Return the rows with Python's values, as the ORM does."""
        found: list[Any] = [list(row) for row in rows]
        for place, convert, column in self._converters(connection.vendor) if found else ():
            for row in found:
                if row[place] is not None:
                    row[place] = convert(row[place], column, connection)
        return found

    @functools.cache  # noqa: B019  there are few, and they stay
    def _converters(self, vendor: str) -> list[tuple[int, Callable[..., Any], Any]]:
        columns = [field.get_col(self._table) for field in self._fields]
        return [
            (place, convert, column)
            for place, column in enumerate(columns)
            for convert in (*connection.ops.get_db_converters(column), *column.get_db_converters(connection))
        ]
