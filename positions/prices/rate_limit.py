"""A limit on how often we call an API: requests above it wait here, before the API blocks us."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Awaitable, Callable

Sleep = Callable[[float], Awaitable[None]]

LONGEST_PAUSE_SECONDS = 60.0
"""The longest Retry-After that is respected: a mistake there must not stop prices for a day."""


class RateLimit:
    """A token bucket: at most `per_minute` requests in any minute, a tenth of them at once. `pause` stops them all."""

    def __init__(
        self, per_minute: int, *, clock: Callable[[], float] = time.monotonic, sleep: Sleep = asyncio.sleep
    ) -> None:
        # capacity + a minute's refill = per_minute, in whichever minute.
        self._capacity = max(1.0, per_minute / 10)
        self._per_second = (per_minute - self._capacity) / 60
        self._clock = clock
        self._sleep = sleep
        self._free = self._capacity
        self._filled_at = clock()
        self._paused_until = self._filled_at

    async def acquire(self, longest_seconds: float) -> None:
        """Wait for a turn, first come, first served. Raises RateLimitError at once if that would take longer."""
        now = self._fill()
        # Below zero, that many are waiting already.
        wait = max((1 - self._free) / self._per_second, self._paused_until - now)
        if wait > longest_seconds:
            raise RateLimitError(wait)
        self._free -= 1
        if wait > 0:
            try:
                await self._sleep(wait)
            except asyncio.CancelledError:
                self._free += 1  # or cancelled requests would use up the turns of others
                raise

    def turns_within(self, seconds: float) -> int:
        """Return how many requests that are made now would get a turn within this time, pauses aside."""
        self._fill()
        return max(0, math.floor(self._free + seconds * self._per_second))

    def pause(self, seconds: float) -> None:
        self._paused_until = max(self._paused_until, self._clock() + min(seconds, LONGEST_PAUSE_SECONDS))

    def _fill(self) -> float:
        """Add the turns that have become free; return the time."""
        now = self._clock()
        self._free = min(self._capacity, self._free + (now - self._filled_at) * self._per_second)
        self._filled_at = now
        return now


class RateLimitError(Exception):
    """No turn is free soon enough. The argument: in how many seconds one is."""
