"""SOL in USD at this moment, for a trade that is booked now."""

from __future__ import annotations

import time
from datetime import timedelta
from decimal import Decimal

from django.utils import timezone

from positions.books.trades import USD_STORED
from positions.prices.cache import get_feed_status
from positions.valkey import Unavailable

GOOD_FOR = timedelta(minutes=5)
KEPT_SECONDS = 1.0
"""Less than a round of the feed. Asking for each write was a quarter of what one costs (SQLite, 2026-11-26)."""
PAUSE_SECONDS = 5.0
"""After a failure. A cache that hangs costs one write in that time its deadline, not every one."""

_kept: tuple[float, Decimal | None] = 0.0, None
"""Until when, by the monotonic clock, and what."""


def sol_in_usd() -> Decimal | None:
    """Return USD for one SOL by the feed's last round, None where it is not known: a GET a second. Raises nothing."""
    global _kept
    now = time.monotonic()
    until, rate = _kept
    if now < until:
        return rate
    try:
        status = get_feed_status()
    except Unavailable:
        _kept = time.monotonic() + PAUSE_SECONDS, None
        return None
    if status is None or status.sol_usd is None or timezone.now() - status.updated_at > GOOD_FOR:
        return None
    rate = round(status.sol_usd, 9) if status.sol_usd >= USD_STORED else None
    _kept = now + KEPT_SECONDS, rate
    return rate


def forget() -> None:
    """Ask again with the next write."""
    global _kept
    _kept = 0.0, None
