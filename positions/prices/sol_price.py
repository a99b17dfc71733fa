"""USD for one SOL, which every USD figure is made with: a value far from the last one must be confirmed first."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from decimal import Decimal

BAND = Decimal("0.1")
"""How far from the last value a new one may be and need no confirmation, as a share of it."""
CONFIRMING_ROUNDS = 5
"""For how many rounds a value outside the band must persist if no other source can be asked."""

Opinion = Callable[[], Awaitable[Decimal | None]]
"""Asks another source for USD for one SOL; returns None where it does not answer. Raises nothing."""


class SolPrice:
    """The value that counts. One source, and where there is one, another source's opinion."""

    def __init__(self, opinion: Opinion | None = None) -> None:
        self._opinion = opinion
        self._last: Decimal | None = None
        self._doubted: Decimal | None = None
        self._rounds = 0

    def resume(self, last: Decimal | None) -> None:
        """Take over the value of minutes ago, from before this process began: a restart confirms no other."""
        if self._last is None:
            self._last = last

    async def settle(self, seen: Decimal | None) -> Decimal | None:
        """Return the value that counts in this round, from what the source says now."""
        if seen is None:
            return self._last
        if self._last is not None and _near(seen, self._last):
            return self._accept(seen)
        other = await self._opinion() if self._opinion else None
        if other is not None:
            return self._accept(seen if _near(seen, other) else other)
        if self._last is None:
            return self._accept(seen)
        is_same = self._doubted is not None and _near(seen, self._doubted)
        self._rounds = self._rounds + 1 if is_same else 1
        self._doubted = seen
        return self._accept(seen) if self._rounds >= CONFIRMING_ROUNDS else self._last

    def _accept(self, value: Decimal) -> Decimal:
        self._last, self._doubted, self._rounds = value, None, 0
        return value


def _near(one: Decimal, other: Decimal) -> bool:
    return abs(one - other) <= BAND * other
