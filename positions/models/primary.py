"""Reads within a transaction go to the database that it writes, also where a router sends reads to a replica.

A replica lags behind: a position's figures, or the state before a write, would be old there, and a lock worth nothing.
Reads outside of transactions go where the router says.
"""

from __future__ import annotations

from typing import TypeVar

from django.db import connections, models, router

Row = TypeVar("Row", bound=models.Model)


class PrimaryQuerySet(models.QuerySet[Row]):
    # Django's, which its stubs leave out.
    _db: str | None
    _hints: dict[str, models.Model]
    _for_write: bool

    @property
    def db(self) -> str:
        if self._db is None and not self._for_write and router.routers:
            primary = router.db_for_write(self.model, **self._hints)
            if connections[primary].in_atomic_block:
                return primary
        return super().db
