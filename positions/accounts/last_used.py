"""When a token was last used, written now and then and never for each request.

Each process collects the families whose stored time is older than PRECISION, and writes them with one UPDATE, at most
once in WRITE_SECONDS: a thousand sockets that reconnect at once cost one. What was collected last waits for the next
use of any token.
"""

from __future__ import annotations

import logging
import threading
import time
from datetime import datetime, timedelta
from uuid import UUID

from django.db import DatabaseError
from django.utils import timezone

from positions.models import TokenFamily

logger = logging.getLogger(__name__)

PRECISION = timedelta(minutes=5)
WRITE_SECONDS = 60.0


_lock = threading.Lock()
_collected: set[UUID] = set()
_write_at = 0.0


def note(family_id: UUID, last_used_at: datetime) -> None:
    """Note that a token of the family is being used. No query, except for one a minute in each process."""
    now = timezone.now()
    if now - last_used_at < PRECISION:
        return
    family_ids = _due(family_id)
    if not family_ids:
        return
    try:
        TokenFamily.objects.filter(pk__in=family_ids).update(last_used_at=now)
    except DatabaseError as error:  # the request that was to be authenticated goes on
        logger.warning("when tokens were last used could not be written: %s", error)


def _due(family_id: UUID) -> set[UUID]:
    """Collect one; return all that were collected if it is time to write them."""
    global _write_at
    with _lock:
        _collected.add(family_id)
        if time.monotonic() < _write_at:
            return set()
        _write_at = time.monotonic() + WRITE_SECONDS
        due = set(_collected)
        _collected.clear()
        return due
