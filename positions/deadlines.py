"""How long a query of this process, or of this thread, may wait for the database. Obeyed in nexgent/postgresql.py.

Commands set none: they may wait for a lock, or read for minutes. SQLite has its own time-out, and no network.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator

_process_seconds: float | None = None
_thread = threading.local()


def answers_within(seconds: float) -> None:
    """Give every query of this process a deadline, from now on."""
    global _process_seconds
    _process_seconds = seconds


@contextlib.contextmanager
def deadline(seconds: float) -> Iterator[None]:
    """Give the queries of this thread another one."""
    before, _thread.seconds = getattr(_thread, "seconds", None), seconds
    try:
        yield
    finally:
        _thread.seconds = before


def seconds_to_answer() -> float | None:
    """Return how long a query may take that begins now; None: as long as it takes."""
    return getattr(_thread, "seconds", None) or _process_seconds
