"""Times that a database holds and Python cannot: `infinity`, years over 9999 or before our era, on SQLite any text.

Reading one would fail the whole query, so that one row hides all others. It is read as the first or the last time that
there is instead, of every table, as other rows are read that no write of ours makes (docs/security.md).
"""

from __future__ import annotations

import sqlite3
from datetime import UTC, datetime
from typing import Any

from django.db import connections
from django.utils.dateparse import parse_datetime

FIRST = datetime(1, 1, 1, tzinfo=UTC)
LAST = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)


def nearest(text: str) -> datetime:
    """Return the time that stands for one that is written like this."""
    return FIRST if text.startswith("-") or text.endswith("BC") else LAST


def install() -> None:
    """Have Django's backends of the databases in use read such times."""
    vendors = {connection.vendor for connection in connections.all()}
    if "sqlite" in vendors:
        from django.db.backends.sqlite3.base import DatabaseWrapper

        sqlite3.register_converter("datetime", _of_column)
        errors = (ValueError, TypeError, AttributeError)
        _wrap(DatabaseWrapper.ops_class, "convert_datetimefield_value", errors, _of_expression)
    if "postgresql" in vendors:
        from django.db.backends.postgresql.psycopg_any import BaseTzLoader
        from psycopg import DataError

        _wrap(BaseTzLoader, "load", (DataError,), _of_postgresql)


def _of_column(data: bytes) -> datetime:
    text = data.decode(errors="replace")
    try:
        return parse_datetime(text) or nearest(text)
    except ValueError:  # the 31st of February
        return nearest(text)


def _of_expression(_: Any, value: Any, *others: Any) -> datetime:
    return nearest(str(value))


def _of_postgresql(loader: Any, data: Any) -> datetime:
    return nearest(bytes(data).decode()).replace(tzinfo=loader.timezone)


def _wrap(owner: Any, name: str, errors: tuple[type[Exception], ...], instead: Any) -> None:
    read = getattr(owner, name)
    if getattr(read, "is_wrapped", False):
        return

    def wrapped(*arguments: Any) -> Any:
        try:
            return read(*arguments)
        except errors:
            return instead(*arguments)

    wrapped.is_wrapped = True  # type: ignore[attr-defined]
    setattr(owner, name, wrapped)
