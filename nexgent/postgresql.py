"""Connections to PostgreSQL that nobody waits on for ever: each proves by an answer that it works, or is replaced.

A connection may live and not work. Packets vanish between two machines, or a server hangs: nothing closes it, and a
thread would wait until the kernel gives up, which takes hours. TCP's own time-outs (LIBPQ_DEFAULTS) end what the other
machine does not even acknowledge; a proxy or a server that hangs acknowledges everything.

So queries have a deadline (positions/deadlines.py). When it is over, the server is asked to cancel the query. One that
is only slow does, and the connection stays. Of one that does not, the connection is closed, and so are the idle ones of
its pool, which are as old.
"""

from __future__ import annotations

import logging
import re
import time
import weakref
from collections.abc import Mapping
from typing import Any, TypeVar

import psycopg
from psycopg.abc import PQGen
from psycopg.conninfo import make_conninfo
from psycopg.errors import QueryCanceled, _WaitTimeout
from psycopg.pq import PGconn
from psycopg.rows import TupleRow

from positions.deadlines import seconds_to_answer
from positions.versions import is_checked

logger = logging.getLogger(__name__)

CHECK_SECONDS = 2.0
"""For the empty statement with which the pool tries a connection before it gives it away."""
CANCEL_SECONDS = 1.0
"""For the request to cancel a query, and again for the query to end."""
LIBPQ_DEFAULTS = {
    "connect_timeout": "5",
    "keepalives_idle": "10",
    "keepalives_interval": "5",
    "keepalives_count": "3",
    "tcp_user_timeout": "15000",
}
"""In seconds, the last one in milliseconds; DATABASE_URL may say otherwise. A connection whose other machine is gone
ends after 15 s, also one of a command, which has no deadline (measured on Linux with packets dropped, 2026-11-26)."""

RV = TypeVar("RV")

_NOWHERE = "/nowhere/of/nexgent"
"""A folder without a socket: where libpq looks for one only if all else is well."""

_drained: weakref.WeakKeyDictionary[Any, float] = weakref.WeakKeyDictionary()
"""When the idle connections of a pool were last thrown away."""


def problem_of(options: Mapping[str, Any]) -> str | None:
    """Return what libpq says of these options where it would use none of them for a connection. Without network."""
    for name in {"keepalives", *LIBPQ_DEFAULTS} & set(
        options
    ):  # libpq looks at them only when it is connected
        if not re.fullmatch(r"-?[0-9]{1,9}", str(options[name])):
            return f"{name} must be a whole number; it is {options[name]!r}"
    of_libpq = {name: value for name, value in options.items() if name not in {"hostaddr", "assume_role"}}
    try:
        text = make_conninfo(**{**of_libpq, "host": _NOWHERE})
    except psycopg.ProgrammingError as error:  # a name that it does not know
        return str(error).strip()
    attempt = PGconn.connect_start(text.encode())
    said = attempt.error_message.decode(errors="replace").strip()
    attempt.finish()
    return None if _NOWHERE in said else said


def pool_options() -> dict[str, Any]:
    """Return the class of the pool's connections; psycopg's own with a version that was not checked."""
    return {"connection_class": Connection} if is_checked("psycopg") else {}


class Connection(psycopg.Connection[TupleRow]):
    _checking = False

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._made_at = time.monotonic()

    def execute(self, query: Any, *args: Any, **options: Any) -> psycopg.Cursor[TupleRow]:
        self._checking = query == ""  # the pool's check; Django executes with cursors
        try:
            return super().execute(query, *args, **options)
        finally:
            self._checking = False

    def wait(self, gen: PQGen[RV], interval: float = 0.1, timeout: float | None = None) -> RV:
        """Wait for the server. Raises QueryCanceled, or OperationalError where it had to close the connection."""
        seconds = CHECK_SECONDS if self._checking else seconds_to_answer()
        if seconds is None or timeout is not None:
            return super().wait(gen, interval, timeout)
        try:
            return super().wait(gen, interval, seconds)
        except _WaitTimeout:
            pass
        if not self._checking:
            try:
                self.cancel_safe(timeout=CANCEL_SECONDS)
                return super().wait(gen, interval, CANCEL_SECONDS)
            except QueryCanceled:
                raise
            except psycopg.OperationalError:
                pass  # nobody answers
        self._throw_away()
        raise psycopg.OperationalError(f"no answer within {seconds:g} s: the connection was closed")

    def _throw_away(self) -> None:
        self.pgconn.finish()
        pool = getattr(self, "_pool", None)
        if pool is not None and self._made_at > _drained.get(pool, 0.0):
            logger.warning(
                "a connection to the database is open, but nobody answers on it: all of them are replaced"
            )
            _drained[pool] = time.monotonic()
            pool.drain()
