"""Column types that Django lacks."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from django.db import models
from django.db.backends.base.base import BaseDatabaseWrapper


class ExactDecimalField(models.DecimalField):  # type: ignore[type-arg]
    """A DecimalField that SQLite, too, gives back digit for digit.

    SQLite has no decimal type: Django's column is of NUMERIC affinity there, which keeps 15 significant digits and
    silently rounds the rest (1234567.123456789012 comes back as 1234567.12345679). Here the digits are text, with all
    decimals written out, so that a comparison with zero (the check constraints) still holds: only a negative
    number starts with "-". Ordering and sums in SQL are those of PostgreSQL only.
    """

    def db_type(self, connection: BaseDatabaseWrapper) -> str | None:
        if connection.vendor == "sqlite":
            return "text"
        return f"numeric({self.max_digits}, {self.decimal_places})"

    def get_internal_type(self) -> str:
        # Not "DecimalField": for that, the SQLite backend converts through a float.
        return "ExactDecimalField"

    def from_db_value(
        self, value: Any, expression: object, connection: BaseDatabaseWrapper
    ) -> Decimal | None:
        if value is None or isinstance(value, Decimal):
            return value
        return Decimal(str(value))


class SequenceField(models.BigIntegerField):  # type: ignore[type-arg]
    """A counter that only its owner's SQL moves: saving a model instance never writes an old value back.

    Without it, `agent.name = …; agent.save()` with an agent read a moment ago would set its event sequence back, and
    the next events would reuse numbers.
    """

    def pre_save(self, model_instance: models.Model, add: bool) -> Any:
        if add:
            return super().pre_save(model_instance, add)
        return models.F(self.attname)
