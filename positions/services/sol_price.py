"""SOL in USD at this moment, for a trade that is booked now."""

from __future__ import annotations

import time
from datetime import timedelta
from decimal import Decimal
from weakref import WeakKeyDictionary

from django.utils import timezone

from positions.books.trades import USD
from positions.prices.cache import get_feed_status
from positions.valkey import Unavailable, client

GOOD_FOR = timedelta(minutes=5)
PAUSE_SECONDS = 5.0
"""After a failure. A cache that hangs costs one write in that time its deadline, not every one."""

_failed_at: WeakKeyDictionary[object, float] = WeakKeyDictionary()


def sol_in_usd() -> Decimal | None:
    """Return USD for one SOL by the feed's last round, None where it is not known: one GET. Raises nothing."""
    if time.monotonic() - _failed_at.get(client(), float("-inf")) < PAUSE_SECONDS:
        return None
    try:
        status = get_feed_status()
    except Unavailable:
        _failed_at[client()] = time.monotonic()
        return None
    if status is None or status.sol_usd is None or timezone.now() - status.updated_at > GOOD_FOR:
        return None
    return round(status.sol_usd, 9) if status.sol_usd >= USD else None
