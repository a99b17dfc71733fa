"""The values of one row of an export, whatever its format: JSON has numbers, booleans and arrays, CSV text for all."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, TypeVar
from uuid import UUID

from positions.books.numbers import read_number, shown
from positions.errors import PositionsError

T = TypeVar("T")
FLAGS = {"t": True, "true": True, "f": False, "false": False}


class Cells:
    """Reads column by column, and collects what is wrong. A column that is null, "" or not there is None."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        self._values = values
        self.problems: list[str] = []

    def text(self, name: str) -> str | None:
        return self._read(name, _text) or None

    def uuid(self, name: str) -> UUID | None:
        return self._read(name, _uuid)

    def number(self, name: str) -> Decimal | None:
        return self._read(name, _number)

    def count(self, name: str) -> int | None:
        """A whole number from 0 on."""
        return self._read(name, _count)

    def moment(self, name: str) -> datetime | None:
        return self._read(name, _moment)

    def flag(self, name: str) -> bool:
        return bool(self._read(name, _flag))

    def texts(self, name: str) -> list[str]:
        return self._read(name, _texts) or []

    def needed(self, name: str, value: T | None, otherwise: T) -> T:
        """Return the value; where there is none, that is a problem."""
        if value is None and not any(problem.startswith(f"{name} ") for problem in self.problems):
            self.problems.append(f"{name} is missing")
        return otherwise if value is None else value

    def _read(self, name: str, convert: Callable[[Any, str], T]) -> T | None:
        value = self._values.get(name)
        if value is None or value == "":
            return None
        try:
            return convert(value, name)
        except PositionsError as error:
            self.problems.append(error.message)
            return None


def _text(value: Any, name: str) -> str:
    if not isinstance(value, str):
        raise PositionsError(f"{name} must be a text, not {shown(value)}")
    return value.strip()


def _uuid(value: Any, name: str) -> UUID:
    try:
        return UUID(_text(value, name))
    except ValueError:
        raise PositionsError(f"{name} must be a UUID, not {shown(value)}") from None


def _number(value: Any, name: str) -> Decimal:
    if isinstance(value, str):
        return read_number(value.strip(), name)
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        raise PositionsError(f"{name} must be a number, not {shown(value)}")
    return Decimal(value)


def _count(value: Any, name: str) -> int:
    number = _number(value, name)
    if not 0 <= number < 2**31 or number != number.to_integral_value():
        raise PositionsError(f"{name} must be a whole number from 0 on, not {shown(value)}")
    return int(number)


def _moment(value: Any, name: str) -> datetime:
    problem = PositionsError(f"{name} must be a time with its zone, not {shown(value)}")
    try:
        moment = datetime.fromisoformat(_text(value, name))
    except ValueError:
        raise problem from None
    if moment.tzinfo is None:
        raise problem
    return moment.astimezone(UTC)


def _flag(value: Any, name: str) -> bool:
    flag = FLAGS.get(value.lower()) if isinstance(value, str) else value
    if not isinstance(flag, bool):
        raise PositionsError(f"{name} must be true or false, not {shown(value)}")
    return flag


def _texts(value: Any, name: str) -> list[str]:
    """An array of JSON, or of PostgreSQL as text: `{a,b}`."""
    if isinstance(value, str):
        text = value.strip()
        if text.startswith("{") and text.endswith("}"):
            inner = text[1:-1]
            # Ids have neither commas nor quotes: what has them is none.
            value = [each.strip('"') for each in inner.split(",")] if inner else []
        else:
            try:
                value = json.loads(text)
            except ValueError:
                value = text
    if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
        raise PositionsError(f"{name} must be an array of texts, not {shown(value)}")
    return value
