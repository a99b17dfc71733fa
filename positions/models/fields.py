"""Column types that Django lacks."""

from __future__ import annotations

import functools
import logging
from decimal import Context, Decimal, InvalidOperation
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.db import DataError, models
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models.fields.json import KeyTransform

from positions.books.numbers import digits, read_number, shown
from positions.books.snapshots import parsed
from positions.books.symbols import harmless, short_address
from positions.errors import InvalidAmount

logger = logging.getLogger(__name__)

_WIDE = Context(prec=80)
_NAN, _ZERO = Decimal("NaN"), Decimal(0)


@functools.cache
def _note(column: str) -> None:
    """Log that a column has what cannot be: once, not for each row that is read."""
    logger.warning("%s: a stored value is no number; `manage.py check_books` names its position", column)


class NumberFormField(forms.DecimalField):
    """Takes what the API takes, and rounds the noise of doubles to the column's decimals; shows plain digits.

    Django's own takes digits of other scripts and "1_000", and shows small prices with an exponent.
    """

    def prepare_value(self, value: Any) -> Any:
        return digits(value) if isinstance(value, Decimal) else value

    def to_python(self, value: Any) -> Decimal | None:  # type: ignore[override]
        if value in self.empty_values:
            return None
        name, limit = str(self.label), Decimal(10) ** ((self.max_digits or 0) - (self.decimal_places or 0))
        try:
            number = value if isinstance(value, Decimal) else read_number(str(value).strip(), name)
        except InvalidAmount as error:
            raise ValidationError(error.message) from error
        if not number.copy_abs() < limit:
            raise ValidationError(f"{name} must be less than {limit}, not {shown(number)}")
        return number.quantize(Decimal(1).scaleb(-(self.decimal_places or 0)), context=_WIDE)

    def widget_attrs(self, widget: forms.Widget) -> dict[str, Any]:
        return super().widget_attrs(widget) | {
            "step": "any"
        }  # of 1e-30 a browser makes a double, and refuses digits


class ExactDecimalField(models.DecimalField):  # type: ignore[type-arg]
    """A DecimalField that is exact on SQLite, too.

    SQLite has no decimal type: Django's column is of NUMERIC affinity there, which keeps 15 significant digits and
    silently rounds the rest (1234567.123456789012 comes back as 1234567.12345679). Here the digits are text, with all
    decimals written out, so that a comparison with zero (the check constraints) still holds: only a negative
    number starts with "-". Ordering and sums in SQL are those of PostgreSQL only.
    """

    def db_type(self, connection: BaseDatabaseWrapper) -> str | None:
        if connection.vendor == "sqlite":
            return "text"
        return f"numeric({self.max_digits}, {self.decimal_places})"

    def formfield(self, **kwargs: Any) -> Any:
        return super().formfield(**{"form_class": NumberFormField, **kwargs})

    def get_internal_type(self) -> str:
        # Not "DecimalField": for that, the SQLite backend converts through a float.
        return "ExactDecimalField"

    def get_db_prep_save(self, value: Any, connection: BaseDatabaseWrapper) -> Any:
        value = super().get_db_prep_save(value, connection)
        if isinstance(value, str) and len(value.lstrip("-")) > self.max_digits + 1:
            raise DataError(f"{self.name}: numeric field overflow")  # as PostgreSQL would
        return value

    def get_db_prep_value(self, value: Any, connection: BaseDatabaseWrapper, prepared: bool = False) -> Any:
        value = super().get_db_prep_value(value, connection, prepared)
        if connection.vendor == "sqlite" and isinstance(value, Decimal):
            # As PostgreSQL would store it: rounded to the column's decimals, and all of them written out.
            return format(value.quantize(Decimal(1).scaleb(-self.decimal_places), context=_WIDE), "f")
        return value

    def from_db_value(
        self, value: Any, expression: object, connection: BaseDatabaseWrapper
    ) -> Decimal | None:
        if value is None:
            return None
        try:
            number = value if isinstance(value, Decimal) else self._read(str(value))
        except InvalidOperation:
            number = _NAN
        if number.is_finite():
            return number
        # A row that was written past Django: it must not make the others unreadable. JSON has no NaN.
        _note(f"{self.model.__name__}.{self.name}" if hasattr(self, "model") else self.name)
        return None if self.null else _ZERO

    def _read(self, text: str) -> Decimal:
        """Return the number that is stored as text, on SQLite; NaN where PostgreSQL would not have taken it."""
        number = Decimal(text) if len(text) <= self.max_digits + 2 else _NAN
        return number if not number or abs(number.adjusted()) <= self.max_digits else _NAN


class ExtremeField(ExactDecimalField):
    """The highest (or lowest) of all the numbers that were ever saved in it.

    The market moves it (`PositionQuerySet.follow_market`) while instances that were read before are still about: saving
    one of these never narrows it again, nor empties it. `QuerySet.update`, which names the column, does.
    """

    def __init__(self, *args: Any, highest: bool = True, **kwargs: Any) -> None:
        self.highest = highest
        super().__init__(*args, **kwargs)

    def deconstruct(self) -> Any:
        name, _, args, options = super().deconstruct()
        path = f"{ExactDecimalField.__module__}.{ExactDecimalField.__qualname__}"
        return name, path, args, options  # no migration: the column is the same

    def pre_save(self, model_instance: models.Model, add: bool) -> Any:
        value = super().pre_save(model_instance, add)
        if add or hasattr(value, "resolve_expression"):
            return value
        stored = models.F(self.attname)
        return stored if value is None else _Extreme(stored, models.Value(value, self), highest=self.highest)


class _Extreme(models.Func):
    """The higher (or lower) of a column and a value."""

    def __init__(self, *expressions: Any, highest: bool, **extra: Any) -> None:
        self.highest = highest
        super().__init__(*expressions, **extra)

    def as_sql(self, compiler: Any, connection: Any, *args: Any, **kwargs: Any) -> Any:
        (column, _), (value, params) = (compiler.compile(each) for each in self.get_source_expressions())
        sql = extreme(connection.vendor, column, value, highest=self.highest)
        return sql, [*params] * sql.count(value)


class SequenceField(models.BigIntegerField):  # type: ignore[type-arg]
    """A counter that only SQL increments: saving a model instance never writes an old value back.

    Without it, `agent.name = …; agent.save()` with an agent read earlier would reset its event sequence, and the next
    events would reuse numbers. A new row begins with what its `first_number` returns.
    """

    def pre_save(self, model_instance: Any, add: bool) -> Any:
        if add:
            # A migration's model has no methods.
            first = getattr(model_instance, "first_number", None)
            return first() if first else super().pre_save(model_instance, add)
        return models.F(self.attname)


class SymbolField(models.CharField):  # type: ignore[type-arg]
    """A token's symbol without what could do harm where it is shown, whichever way it was written.

    A row that is saved without one gets the short form of its `token_address`.
    """

    def deconstruct(self) -> Any:
        name, _, args, options = super().deconstruct()
        return name, "django.db.models.CharField", args, options  # no migration: the column is the same

    def pre_save(self, model_instance: Any, add: bool) -> Any:
        value = super().pre_save(model_instance, add)
        if isinstance(value, str):
            value = harmless(value) or short_address(model_instance.token_address)
            setattr(model_instance, self.attname, value)
        return value

    def get_prep_value(self, value: Any) -> Any:
        value = super().get_prep_value(value)
        return harmless(value) if isinstance(value, str) else value

    def from_db_value(self, value: Any, expression: object, connection: BaseDatabaseWrapper) -> Any:
        return harmless(value) if isinstance(value, str) else value  # written in SQL, or by an older release


class _ReadAnew(models.JSONField):
    """A column of JSON, of which only the reading differs: migrations know it as Django's."""

    def deconstruct(self) -> Any:
        name, _, args, options = super().deconstruct()
        return name, "django.db.models.JSONField", args, options


class SnapshotField(_ReadAnew):
    """A position as JSON, in the shape of this release whichever release wrote it."""

    def from_db_value(self, value: Any, expression: Any, connection: BaseDatabaseWrapper) -> Any:
        if value is None or isinstance(expression, KeyTransform):
            return super().from_db_value(value, expression, connection)
        return parsed(value)  # None where it was written past Django: the others stay readable


class IdsField(_ReadAnew):
    """A list of strings. Anything else, which was written past Django, is read as an empty one."""

    def from_db_value(self, value: Any, expression: Any, connection: BaseDatabaseWrapper) -> Any:
        if value == "[]":  # nearly all: not for Django's JSON decoder, a µs each, twice a position
            return []
        data = super().from_db_value(value, expression, connection)
        return data if isinstance(data, list) or isinstance(expression, KeyTransform) else []


def extreme(vendor: str, column: str, other: str, *, highest: bool) -> str:
    """Return SQL for the higher (or lower) of two ExactDecimalFields that are not negative; NULL gives way."""
    if vendor != "sqlite":
        return f"{'GREATEST' if highest else 'LEAST'}({column}, {other})"
    # Text: the one with more digits before the point is larger, else the first digit that differs decides.
    sign = ">" if highest else "<"
    beyond = f"(instr({other}, '.'), {other}) {sign} (instr({column}, '.'), {column})"
    return f"CASE WHEN {column} IS NULL OR {beyond} THEN {other} ELSE {column} END"
