"""A token bucket: limits messages, or connects, in a burst and on average. Pure."""

from __future__ import annotations


class TokenBucket:
    """Holds up to `burst` tokens and gains `per_second`; each message takes one."""

    __slots__ = ("_at", "_burst", "_per_second", "_tokens")

    def __init__(self, per_second: float, burst: int) -> None:
        self._per_second = per_second
        self._burst = burst
        self._tokens = float(burst)
        self._at: float | None = None

    def take(self, now: float) -> bool:
        """Take a token at `now` (seconds, monotonic); return False if there is none."""
        if self._at is not None:
            self._tokens = min(self._burst, self._tokens + (now - self._at) * self._per_second)
        self._at = now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True
