"""How long to wait before the next try."""

from __future__ import annotations

import random
from collections.abc import Mapping

LONGEST_SECONDS = 60.0


class Backoff:
    """Twice as long after each failure, half to one and a half of it at random: clients do not all return at once."""

    def __init__(self) -> None:
        self._failures = 0

    def next_seconds(self, at_least: float = 0.0) -> float:
        self._failures += 1
        return at_least + random.uniform(0.5, 1.5) * min(2.0**self._failures / 2, LONGEST_SECONDS)  # noqa: S311

    def forget(self) -> None:
        self._failures = 0


def retry_after(headers: Mapping[str, str]) -> float:
    """Return the seconds of `Retry-After`; 0 without one."""
    text = headers.get("Retry-After", "")
    return float(text) if text.isdigit() else 0.0
