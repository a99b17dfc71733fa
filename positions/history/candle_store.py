"""Candles in the database: written in bulk by the broadcaster, deleted when they are old.

Synchronous: the recorder calls it on a thread. SQL by hand: Django's upsert knows no GREATEST, and objects for 40,000
rows would cost more than the rest of a write.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from django.db import connection, transaction

from positions.history.candles import Row
from positions.history.pruning import delete_some
from positions.models import Candle, PricedToken
from positions.models.fields import extreme

COLUMNS = ("token_id", "seconds", "start", "open", "high", "low", "close", "close_usd")
TYPES = ("int", "smallint", "timestamptz", *["numeric"] * 5)
KEY = ", ".join(COLUMNS[:3])


class CandleStore:
    """Caches the numbers of the tokens that it has written."""

    def __init__(self) -> None:
        self._ids: dict[str, int] = {}
        self._pruned_to = 0

    def write(self, rows: Sequence[Row]) -> None:
        """Merge these rows into those that are there. Two statements where a token is new, otherwise one.

        Rows come ordered by their key: two processes that write at once then wait for each other, and for nothing else.
        """
        self._learn({row.address for row in rows} - self._ids.keys())
        table = connection.ops.quote_name(Candle._meta.db_table)
        vendor = connection.vendor
        high, low = (
            extreme(vendor, f"{table}.{name}", f"excluded.{name}", highest=highest)
            for name, highest in (("high", True), ("low", False))
        )
        merge = (
            f"ON CONFLICT ({KEY}) DO UPDATE SET high = {high}, low = {low},"
            " close = excluded.close, close_usd = excluded.close_usd"
        )
        into = f"INSERT INTO {table} ({', '.join(COLUMNS)})"
        values = [
            (self._ids[address], seconds, start, part.open, part.high, part.low, part.close, part.close_usd)
            for address, seconds, start, part in rows
        ]
        with transaction.atomic(), connection.cursor() as cursor:
            if vendor == "sqlite":
                marks = ", ".join(["%s"] * len(COLUMNS))
                cursor.executemany(f"{into} VALUES ({marks}) {merge}", [_prepared(each) for each in values])
            else:
                arrays = ", ".join(f"%s::{kind}[]" for kind in TYPES)
                columns = [list(column) for column in zip(*values, strict=True)]
                cursor.execute(f"{into} SELECT * FROM unnest({arrays}) {merge}", columns)  # noqa: S608

    def prune(self, *, tokens: int, minutes_before: datetime, hours_before: datetime, limit: int) -> int:
        """Delete up to `limit` old rows of the next tokens; return how many. One query and up to two deletions.

        Repeated calls go through all tokens: on to the next ones once these have no old rows left.
        """
        ids = list(
            PricedToken.objects.filter(pk__gt=self._pruned_to)
            .order_by("pk")
            .values_list("pk", flat=True)[:tokens]
        )
        deleted = 0
        for seconds, before in ((Candle.MINUTE, minutes_before), (Candle.HOUR, hours_before)):
            old = Candle.objects.filter(token_id__in=ids, seconds=seconds, start__lt=before)
            deleted += delete_some(old, limit=limit - deleted)
        if deleted < limit:
            self._pruned_to = ids[-1] if len(ids) == tokens else 0
        return deleted

    def _learn(self, addresses: Iterable[str]) -> None:
        new = sorted(addresses)
        if not new:
            return
        known = PricedToken.objects.filter(address__in=new).values_list("address", "pk")
        self._ids.update(known)
        missing = [PricedToken(address=address) for address in new if address not in self._ids]
        if missing:
            # Another process may add the same ones: the table afterwards decides.
            PricedToken.objects.bulk_create(missing, ignore_conflicts=True)
            self._ids.update(known.all())


def _prepared(values: Iterable[Any]) -> list[Any]:
    """Return a row as SQLite stores it."""
    fields: list[Any] = [Candle._meta.get_field(name.removesuffix("_id")) for name in COLUMNS]
    return [field.get_db_prep_save(value, connection) for field, value in zip(fields, values, strict=True)]
