"""Rows of hand-written statements that ask for many things at once: a table of what is asked for, and of what is found.

What a query of the ORM costs is mostly Django's work for it. These statements name their columns as the models do.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Sequence
from decimal import Decimal
from typing import Any

from django.db import connection
from django.db.models import DateTimeField, DecimalField, Field, Model, UUIDField

from positions.books.numbers import digits
from positions.books.snapshots import timestamp
from positions.models.times import FIRST, LAST


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
    """Columns of a model, in a statement in which its table has the name `alias`, as clients are sent them: numbers in
    plain digits, times as `timestamp` writes them, ids as texts. The others as the model has them.

    PostgreSQL writes these texts itself: ten positions take 0.08 ms of CPU. A Decimal or a datetime for each value,
    which psycopg and Django make in Python, and its text took 0.23 (2026-11-26).
    """

    def __init__(self, model: type[Model], names: Iterable[str], *, alias: str) -> None:
        self._table = model._meta.db_table
        self._fields: list[Any] = [model._meta.get_field(name) for name in names]
        self._alias = alias

    @property
    def sql(self) -> str:
        quote = connection.ops.quote_name
        columns = (f"{self._alias}.{quote(field.column)}" for field in self._fields)
        if connection.vendor != "postgresql":
            return ", ".join(columns)
        forms = (_FORMS.get(_kind(field), "{}") for field in self._fields)
        return ", ".join(form.format(column) for form, column in zip(forms, columns, strict=True))

    def converted(self, rows: Iterable[Sequence[Any]]) -> list[Any]:
        """Return the rows as described above."""
        found: list[Any] = [list(row) for row in rows]
        for place, convert, column in self._converters(connection.vendor) if found else ():
            for row in found:
                if row[place] is not None:
                    row[place] = convert(row[place], column, connection)
        if connection.vendor == "postgresql":
            for row in found:
                if _NAN in row:
                    self._read_anew(row)
        return found

    @functools.cache  # noqa: B019  there are few, and they stay
    def _converters(self, vendor: str) -> list[tuple[int, Callable[..., Any], Any]]:
        found: list[tuple[int, Callable[..., Any], Any]] = []
        for place, field in enumerate(self._fields):
            kind, column = _kind(field), field.get_col(self._table)
            if vendor == "postgresql" and kind in _FORMS:
                continue
            converters = [*connection.ops.get_db_converters(column), *column.get_db_converters(connection)]
            found += [(place, convert, column) for convert in converters]
            if kind in _TEXTS:
                found.append((place, _TEXTS[kind], column))
        return found

    def _read_anew(self, row: list[Any]) -> None:
        """Read what is no number as the model does (ExactDecimalField)."""
        for place, field in enumerate(self._fields):
            if row[place] == _NAN and isinstance(field, DecimalField):
                number = field.from_db_value(Decimal(_NAN), None, connection)  # type: ignore[attr-defined]
                row[place] = None if number is None else digits(number)


def _kind(field: Any) -> type[Any] | None:
    """Return of which of the kinds the field is whose values are sent as texts."""
    field = getattr(field, "target_field", field)
    return next((kind for kind in _TEXTS if isinstance(field, kind)), None)


_NAN = "NaN"
_TIME_FORM = (
    f"CASE WHEN {{0}} >= '10000-01-01 00:00+00' THEN '{timestamp(LAST)}' WHEN {{0}} < '0001-01-01 00:00+00'"
    f" THEN '{timestamp(FIRST)}' ELSE to_char({{0}} AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"') END"
)
_FORMS: dict[type[Any] | None, str] = {
    DecimalField: "trim_scale({})::text",
    DateTimeField: _TIME_FORM,
    UUIDField: "{}::text",
}
"""How PostgreSQL writes the values of each kind of field: times as models/times.py reads those that Python lacks."""
_TEXTS: dict[type[Any], Callable[..., str]] = {
    DecimalField: lambda number, *_: digits(number),
    DateTimeField: lambda moment, *_: timestamp(moment),
    UUIDField: lambda key, *_: str(key),
}
"""What makes the same of Python's values."""
