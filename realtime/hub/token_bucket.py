"""A token bucket: limits messages, connects, or work, in a burst and on average. Pure."""

from __future__ import annotations


class TokenBucket:
    """Holds up to `burst` tokens and gains `per_second`. Times are in seconds, monotonic."""

    __slots__ = ("_at", "_burst", "_per_second", "_tokens")

    def __init__(self, per_second: float, burst: int) -> None:
        self._per_second = per_second
        self._burst = burst
        self._tokens = float(burst)
        self._at: float | None = None

    def take(self, now: float, amount: float = 1.0) -> bool:
        """Take a token, or part of one; return False if there is not that much."""
        self._fill(now)
        if self._tokens < amount:
            return False
        self._tokens -= amount
        return True

    def spend(self, now: float, amount: float) -> None:
        """Take this many, also more than there are: what something costs may be known only once it is done."""
        self._fill(now)
        self._tokens -= amount

    def seconds_in_debt(self, now: float) -> float:
        """Return how long until no more is spent than was gained; 0 if that is so."""
        self._fill(now)
        return max(0.0, -self._tokens / self._per_second)

    def is_full(self, now: float) -> bool:
        self._fill(now)
        return self._tokens >= self._burst

    def _fill(self, now: float) -> None:
        if self._at is not None:
            self._tokens = min(self._burst, self._tokens + (now - self._at) * self._per_second)
        self._at = now
