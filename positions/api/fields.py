"""The fields of bodies: their types and lengths. REST framework's own would convert true to "True", or "yes" to true.

The services check the ranges of numbers.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from rest_framework import serializers
from rest_framework.exceptions import ValidationError

from positions.api.errors import camel
from positions.api.moments import MOMENT, read_moment
from positions.books.numbers import read_number, shown
from positions.errors import InvalidAmount


class Number(serializers.Field[Decimal, Any, str, Any]):
    """A JSON number, or a string of one, for clients whose JSON library has no exact numbers."""

    def to_internal_value(self, data: Any) -> Decimal:
        if isinstance(data, str):
            try:
                return read_number(data, _name(self))
            except InvalidAmount as error:
                raise ValidationError(error.message) from error
        if isinstance(data, bool) or not isinstance(data, int | Decimal):
            raise _refused(self, "be a number, such as 0.25 or 1.2e-7", data)
        return Decimal(data)


class Whole(serializers.Field[int, Any, int, Any]):
    """A whole number, also as JSON may write one, such as 2.0. The service checks its range."""

    def to_internal_value(self, data: Any) -> int:
        # An exponent may be huge: such a number is compared, not converted.
        if isinstance(data, Decimal) and abs(data.adjusted()) < 20 and data == data.to_integral_value():
            data = int(data)
        if isinstance(data, bool) or not isinstance(data, int):
            raise _refused(self, "be a whole number", data)
        return data


class Text(serializers.CharField):
    """A string; nothing is converted to one."""

    def to_internal_value(self, data: Any) -> str:
        if not isinstance(data, str):
            raise _refused(self, "be a string", data)
        text = super().to_internal_value(data)
        if self.max_length is not None and len(text) > self.max_length:
            raise ValidationError(
                f"{_name(self)} must have at most {self.max_length} characters; it has {len(text)}"
            )
        return text


class Address(Text):
    """A string in base58. The schema says so; the validators or the service check it."""


class Symbol(serializers.Field[str, Any, str, Any]):
    """A token's symbol, any text; the service makes it harmless, and checks its length."""

    def to_internal_value(self, data: Any) -> str:
        if not isinstance(data, str):
            raise _refused(self, "be a string", data)
        return data


class Flag(serializers.BooleanField):
    """true or false; nothing is converted to one."""

    def to_internal_value(self, data: Any) -> bool:
        if not isinstance(data, bool):
            raise _refused(self, "be true or false", data)
        return data


class Choice(serializers.ChoiceField):
    """One of a few strings."""

    def to_internal_value(self, data: Any) -> str:
        if not isinstance(data, str) or data not in self.choices:
            raise _refused(self, f"be one of {', '.join(self.choices)}", data)
        return data


class Id(serializers.UUIDField):
    """A UUID in a string."""

    def to_internal_value(self, data: Any) -> UUID:
        try:
            return UUID(data)
        except (ValueError, AttributeError, TypeError):
            raise _refused(self, "be a UUID", data) from None


class Moment(serializers.DateTimeField):
    """A date and time with its offset, in a string."""

    def to_internal_value(self, data: Any) -> datetime:
        try:
            return read_moment(data)
        except (ValueError, TypeError):
            raise _refused(self, f"be {MOMENT}", data) from None


def _name(field: serializers.Field[Any, Any, Any, Any]) -> str:
    """Return a field's name as the client wrote it."""
    return camel(field.field_name or "")


def _refused(field: serializers.Field[Any, Any, Any, Any], rule: str, data: object) -> ValidationError:
    return ValidationError(f"{_name(field)} must {rule}, not {shown(data)}")
