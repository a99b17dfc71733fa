"""How often an API may be asked, kept on our side: what is over the limit waits here, not in a ban."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

Sleep = Callable[[float], Awaitable[None]]

LONGEST_PAUSE_SECONDS = 60.0
"""How long a server's Retry-After is believed: a typing error there must not stop prices for a day."""


class RateLimit:
    """A token bucket: never more than `per_minute` questions in any minute, a tenth of them at once.

    After a `pause`, nobody asks until it is over.
    """

    def __init__(
        self, per_minute: int, *, clock: Callable[[], float] = time.monotonic, sleep: Sleep = asyncio.sleep
    ) -> None:
        # capacity + a minute's refill = per_minute, whichever minute one looks at.
        self._capacity = max(1.0, per_minute / 10)
        self._per_second = (per_minute - self._capacity) / 60
        self._clock = clock
        self._sleep = sleep
        self._free = self._capacity
        self._filled_at = clock()
        self._paused_until = self._filled_at

    async def acquire(self, longest_seconds: float) -> None:
        """Wait for a turn; raises RateLimitError at once where that takes longer. First come, first served."""
        now = self._clock()
        self._free = min(self._capacity, self._free + (now - self._filled_at) * self._per_second)
        self._filled_at = now
        # Below zero, so many are waiting already.
        wait = max((1 - self._free) / self._per_second, self._paused_until - now)
        if wait > longest_seconds:
            raise RateLimitError(wait)
        self._free -= 1
        if wait > 0:
            try:
                await self._sleep(wait)
            except asyncio.CancelledError:
                self._free += 1  # or given-up questions would, in the end, leave no turn for others
                raise

    def pause(self, seconds: float) -> None:
        self._paused_until = max(self._paused_until, self._clock() + min(seconds, LONGEST_PAUSE_SECONDS))


class RateLimitError(Exception):
    """The rate limit leaves no turn soon enough. Its argument: in how many seconds it would."""
