"""An outage of the database, or of Redis or Valkey, is one line when it begins and one when it is over, a process.

Every part of a process notices an outage for itself: each socket, request, probe and task, the pools of the libraries.
This filter, on our handler, lets the first warning of each kind through and counts the others.

A warning tells of an outage if its field `outage` says so, or one of its arguments is an error of the database or of
Redis; an INFO line with that field ends it. Imported by the settings, before the apps are loaded.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from time import monotonic
from typing import Literal

from redis.exceptions import RedisError

from positions.errors import is_outage

Kind = Literal["database", "valkey"]

LIBRARIES: dict[str, Kind] = {"psycopg.pool": "database", "channels_redis.pubsub": "valkey"}
"""Loggers that warn of nothing else."""
REMIND_SECONDS = 600.0
"""How often a long outage is named again."""
QUIET_SECONDS = 60.0
"""An outage of which nothing was said for so long is over, where nobody says that it is."""
LATE_SECONDS = 10.0
"""After its end: those who still waited are late, and begin no new one."""


@dataclass
class _Outage:
    said_at: float
    last: float
    ended_at: float | None = None
    left_out: int = 0


def field(kind: Kind) -> dict[str, Kind]:
    """Return what a call of a logger says as `extra`, where its arguments do not tell."""
    return {"outage": kind}


class OncePerOutage(logging.Filter):
    def __init__(self) -> None:
        super().__init__()
        self._outages: dict[str, _Outage] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        if record.name == "django.request" and getattr(record, "status_code", 0) == 503:
            return False  # who answers so has logged why
        kind = kind_of(record)
        if kind is None:
            return True
        record.outage = kind
        return self._begins(kind, record) if record.levelno >= logging.WARNING else self._ends(kind, record)

    def _begins(self, kind: str, record: logging.LogRecord) -> bool:
        now, known = monotonic(), self._outages.get(kind)
        if known is not None:
            is_late = known.ended_at is not None and now - known.ended_at < LATE_SECONDS
            goes_on = known.ended_at is None and now - known.last < QUIET_SECONDS
            if is_late or (goes_on and now - known.said_at < REMIND_SECONDS):
                known.last = now
                known.left_out += 1
                return False
            if goes_on:
                record.left_out = known.left_out
        self._outages[kind] = _Outage(said_at=now, last=now)
        return True

    def _ends(self, kind: str, record: logging.LogRecord) -> bool:
        known = self._outages.get(kind)
        if known is None or known.ended_at is not None:
            return False  # another part has said so
        known.ended_at = monotonic()
        record.left_out = known.left_out
        return True


def kind_of(record: logging.LogRecord) -> str | None:
    """Return the kind of outage that a record is about, None for all others. An error's traceback is a bug's."""
    said: str | None = getattr(record, "outage", None)
    if said is not None or record.levelno != logging.WARNING:
        return said
    if record.name in LIBRARIES:
        return LIBRARIES[record.name]
    for argument in record.args if isinstance(record.args, tuple) else ():
        if is_outage(argument):
            return "database"
        if isinstance(argument, RedisError):
            return "valkey"
    return None
