"""Rows of hand-written statements that ask for many things at once: a table of what is asked for, and of what is found.

What a query of the ORM costs is mostly Django's work for it. These statements name their columns as the models do.
"""

from __future__ import annotations

import functools
import itertools
import re
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from functools import partial
from typing import Any

from django.db import connection
from django.db.models import DateTimeField, DecimalField, Field, Model, UUIDField

from positions.books.numbers import digits
from positions.books.snapshots import timestamp
from positions.models.times import FIRST, LAST


def table_of(keys: Sequence[Field[Any, Any]], rows: Sequence[Sequence[Any]]) -> tuple[str, list[Any]]:
    """Return a statement that gives these rows, and its parameters: each row's number, from 0 on, and its values of
    these fields."""
    columns = [
        [field.get_db_prep_value(value, connection) for value in column]
        for field, column in zip(keys, zip(*rows, strict=True), strict=True)
    ]
    numbers = list(range(len(rows)))
    if connection.vendor == "postgresql":
        return _arrays(tuple(keys)), [numbers, *columns]
    place = f"({', '.join(['%s'] * (1 + len(keys)))})"
    parameters = itertools.chain.from_iterable(zip(numbers, *columns, strict=True))
    return f"VALUES {', '.join([place] * len(rows))}", list(parameters)


@functools.cache
def _arrays(keys: tuple[Field[Any, Any], ...]) -> str:
    """One parameter a column, and the same text for any number of rows: psycopg knows it already.

    A parameter for each value took a millisecond for 32 rows, of which all was Python's (2026-11-27).
    """
    types = ("int", *(field.rel_db_type(connection) for field in keys))
    return f"SELECT * FROM unnest({', '.join(f'%s::{of}[]' for of in types)})"  # noqa: S608  types of columns


class Columns:
    """Columns of a model, in a statement in which its table has the name `alias`, as clients are sent them: numbers in
    plain digits, times as `timestamp` writes them, ids as texts. The others as the model has them.

    PostgreSQL writes these texts itself: ten positions take 0.08 ms of CPU. A Decimal or a datetime for each value,
    which psycopg and Django make in Python, and its text took 0.23 (2026-11-26). On SQLite, most of its own texts need
    little change: 32 times ten positions take 6.5 ms of CPU, where Django's converters took 13 (2026-11-27).
    """

    def __init__(self, model: type[Model], names: Iterable[str], *, alias: str) -> None:
        self._table = model._meta.db_table
        self._fields: list[Any] = [model._meta.get_field(name) for name in names]
        self._alias = alias

    @property
    def sql(self) -> str:
        quote, forms = connection.ops.quote_name, _FORMS.get(connection.vendor, {})
        columns = (f"{self._alias}.{quote(field.column)}" for field in self._fields)
        return ", ".join(
            forms.get(_kind(field), "{}").format(column)
            for field, column in zip(self._fields, columns, strict=True)
        )

    def converted(self, rows: Iterable[Sequence[Any]]) -> list[Any]:
        """Return the rows as described above."""
        found: list[Any] = [list(row) for row in rows]
        for place, convert in self._converters(connection.vendor) if found else ():
            for row in found:
                if row[place] is not None:
                    row[place] = convert(row[place])
        if connection.vendor == "postgresql":
            for row in found:
                if _NAN in row:
                    self._read_anew(row)
        return found

    @functools.cache  # noqa: B019  there are few, and they stay
    def _converters(self, vendor: str) -> list[tuple[int, Callable[[Any], Any]]]:
        found: list[tuple[int, Callable[[Any], Any]]] = []
        for place, field in enumerate(self._fields):
            kind, column = _kind(field), field.get_col(self._table)
            if vendor == "postgresql" and kind in _FORMS[vendor]:
                continue
            steps = [*connection.ops.get_db_converters(column), *column.get_db_converters(connection)]
            if kind is not None:
                steps.append(_TEXTS[kind])
            convert = partial(_convert, steps, column)
            if vendor == "sqlite" and kind is not None:
                convert = partial(_short_cut(kind, field), otherwise=convert)
            if steps:
                found.append((place, convert))
        return found

    def _read_anew(self, row: list[Any]) -> None:
        """Read what is no number as the model does (ExactDecimalField)."""
        for place, field in enumerate(self._fields):
            if row[place] == _NAN and isinstance(field, DecimalField):
                number = field.from_db_value(Decimal(_NAN), None, connection)  # type: ignore[attr-defined]
                row[place] = None if number is None else digits(number)


def _convert(steps: Sequence[Callable[..., Any]], column: Any, value: Any) -> Any:
    for step in steps:
        if value is not None:  # no number, in a column that may be empty
            value = step(value, column, connection)
    return value


def _kind(field: Any) -> type[Any] | None:
    """Return of which of the kinds the field is whose values are sent as texts."""
    field = getattr(field, "target_field", field)
    return next((kind for kind in _TEXTS if isinstance(field, kind)), None)


_NAN = "NaN"
_TIME_FORM = (
    f"CASE WHEN {{0}} >= '10000-01-01 00:00+00' THEN '{timestamp(LAST)}' WHEN {{0}} < '0001-01-01 00:00+00'"
    f" THEN '{timestamp(FIRST)}' ELSE to_char({{0}} AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"') END"
)
_FORMS: dict[str, dict[type[Any] | None, str]] = {
    "postgresql": {DecimalField: "trim_scale({})::text", DateTimeField: _TIME_FORM, UUIDField: "{}::text"},
    # Of a column, Python's driver would make a datetime; where it is empty, None.
    "sqlite": {DateTimeField: "CAST(NULLIF({}, '') AS text)"},
}
"""How the database writes the values of each kind of field: times as models/times.py reads those that Python lacks."""
_TEXTS: dict[type[Any], Callable[..., str]] = {
    DecimalField: lambda number, *_: digits(number),
    DateTimeField: lambda moment, *_: timestamp(moment),
    UUIDField: lambda key, *_: str(key),
}
"""What makes the same of Python's values."""

# Short cuts from the texts that Django writes into SQLite; `otherwise` reads what was written past it.

_is_number = re.compile(r"-?(?:0|[1-9][0-9]*)\.[0-9]+").fullmatch


def _short_cut(kind: type[Any], field: Any) -> Callable[..., str]:
    if kind is DecimalField:
        return partial(_plain_digits, longest=field.max_digits + len("-."))
    if kind is UUIDField:
        return _with_dashes
    return _in_utc if connection.timezone is UTC else lambda text, otherwise: otherwise(text)


def _plain_digits(text: str, *, longest: int, otherwise: Callable[[Any], str]) -> str:
    if not isinstance(text, str) or len(text) > longest or not _is_number(text):
        return otherwise(text)
    text = text.rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


def _with_dashes(text: str, *, otherwise: Callable[[Any], str]) -> str:
    if not isinstance(text, str) or len(text) != 32 or not text.isalnum():
        return otherwise(text)
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}".lower()


def _in_utc(text: str, *, otherwise: Callable[[Any], str]) -> str:
    try:
        moment = datetime.fromisoformat(text)
    except (ValueError, TypeError):
        return otherwise(text)
    return f"{moment.isoformat(timespec='milliseconds')}Z" if moment.tzinfo is None else otherwise(text)
