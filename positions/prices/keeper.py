"""Writes the last quotes to the database, a few hundred at a time, in the background: no round waits for it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple

from asgiref.sync import sync_to_async
from django.db import Error as DatabaseError
from django.db import close_old_connections, connection

from positions.prices.last_quotes import write_last_quotes
from positions.prices.quotes import PriceStatus, Quote

MOST_AT_ONCE = 500
"""In one round: about 25 ms of CPU time. 20,000 tokens take a minute."""
KEPT_SECONDS = 60.0
"""How old a token's stored quote may become, unless its status has changed, or its price by much."""
MUCH = Decimal("1.1")
"""As a factor. When the cache is emptied, readers use the stored quotes until the source answers again."""
LAST_WRITE_SECONDS = 5.0


class _Kept(NamedTuple):
    """What is stored of a token."""

    low: Decimal
    high: Decimal
    """A price beyond these has changed by much."""
    status: PriceStatus
    as_of: datetime
    at: float
    """When it was stored."""


class Keeper:
    """Writes the quotes that are due, one write at a time."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._kept: dict[str, _Kept] = {}
        self._writing: asyncio.Task[None] | None = None
        self.problem: BaseException | None = None
        """Why the last write failed; None if it did not."""

    def offer(self, quotes: Mapping[str, Quote]) -> None:
        """Begin to write what is due of these, unless a write is running. Returns at once."""
        if self._writing is not None and not self._writing.done():
            return
        for token in self._kept.keys() - quotes.keys():
            del self._kept[token]
        due = self._due(quotes)
        if due:
            self._writing = asyncio.create_task(self._write(due))

    async def finish(self) -> None:
        """Wait for the write that is running, a few seconds at most."""
        if self._writing is not None:
            await asyncio.wait({self._writing}, timeout=LAST_WRITE_SECONDS)

    def _due(self, quotes: Mapping[str, Quote]) -> list[Quote]:
        now = self._clock()
        urgent, old = [], []
        for token, quote in quotes.items():
            kept = self._kept.get(token)
            if kept is None or not kept.low <= quote.price <= kept.high or kept.status != quote.status:
                urgent.append(quote)
            elif now - kept.at > KEPT_SECONDS and quote.as_of > kept.as_of:
                old.append((kept.at, quote))
        old.sort(key=lambda each: each[0])
        return [*urgent, *(quote for _, quote in old)][:MOST_AT_ONCE]

    async def _write(self, quotes: list[Quote]) -> None:
        try:
            await _in_own_thread(quotes)
        except DatabaseError as error:
            self.problem = error
            return
        self.problem = None
        at = self._clock()
        for quote in quotes:
            low, high = quote.price / MUCH, quote.price * MUCH
            self._kept[quote.token_address] = _Kept(low, high, quote.status, quote.as_of, at)


# Not the thread that reads the held tokens: a write that hangs must not keep it busy.
@sync_to_async(thread_sensitive=False)
def _in_own_thread(quotes: list[Quote]) -> None:
    close_old_connections()
    try:
        write_last_quotes(quotes)
    finally:
        connection.close()
