"""Which installation this is, and whether the Redis or Valkey behind it is its own.

Two installations that share one hear each other's prices and events unless their prefixes differ: Pub/Sub knows no
database numbers. An installation is what shares a database, so its id is the database's own: it stays through restarts,
fail-overs and new keys, and a dump restored elsewhere (staging with production's data) has another one.

Each process holds the prefix for its installation; the first comes first. Messages carry the id, and those of another
installation are skipped.
"""

from __future__ import annotations

import functools
import hashlib
import time
from pathlib import Path
from typing import Any, NamedTuple

import redis
from django.core.exceptions import SynchronousOnlyOperation
from django.db import DatabaseError, connection, connections
from django.db.backends.base.base import BaseDatabaseWrapper

from positions import valkey
from positions.conf import conf

HOLDER_KEY = f"{valkey.KEY_PREFIX}installation"
HOLD_SECONDS = 20.0
"""How long a prefix is held after the last process of an installation was there."""
FIND_AGAIN_SECONDS = 60.0
"""A database may be replaced by its copy on another cluster while processes run."""

# Answers the holder where that is another one.
_HOLD = """
local holder = redis.call('GET', KEYS[1])
if holder and holder ~= ARGV[1] then return holder end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return false
"""

_found: tuple[str | None, float] = None, -FIND_AGAIN_SECONDS


class ForeignInstallation(redis.RedisError):
    """Another installation holds the prefix. To this one, Redis or Valkey is unavailable."""


def installation() -> str | None:
    """Return the id of this installation; None where its database does not tell. At most one query a minute."""
    global _found
    found, at = _found
    if time.monotonic() - at >= FIND_AGAIN_SECONDS:
        try:
            found = _id_of_database()
        except (DatabaseError, OSError, SynchronousOnlyOperation):  # cannot be asked: as it was
            return found
        _found = found, time.monotonic()
    return found


def known_installation() -> str | None:
    """Return what `installation` found last in this process. No query."""
    return _found[0]


async def hold_prefix() -> None:
    """Hold the prefix for this installation, for HOLD_SECONDS. Nothing where it is not known yet.

    Raises ForeignInstallation, and valkey.Unavailable. Safe to cancel.
    """
    found = known_installation()
    if found is None:
        return
    holder = await valkey.async_client().eval(_HOLD, 1, HOLDER_KEY, found, str(round(1000 * HOLD_SECONDS)))
    if holder:
        raise ForeignInstallation(
            f"another installation uses the prefix {conf.REDIS_PREFIX!r} there: one of them needs its own"
            " NEXGENT_REDIS_PREFIX"
        )


class Database(NamedTuple):
    """What tells a database from every other, and from itself after a replica was promoted."""

    identity: tuple[Any, ...]
    """Of PostgreSQL the cluster and the database, of SQLite the file; empty where it does not tell."""
    history: tuple[Any, ...] = ()
    """Of PostgreSQL: another one once commits may have been lost."""


def database(connection: BaseDatabaseWrapper) -> Database:
    """Ask a database what it is. One query at most. Raises what it raises."""
    if connection.vendor == "sqlite" and not connection.is_in_memory_db():  # type: ignore[attr-defined]
        file = Path(connection.settings_dict["NAME"]).stat()
        return Database((file.st_dev, file.st_ino))
    if connection.vendor != "postgresql":
        return Database(())
    may_ask = _may_ask(connection.alias)
    with connection.cursor() as cursor:
        cursor.execute(
            _QUESTION.format("(SELECT system_identifier FROM pg_control_system())" if may_ask else "NULL")
        )
        cluster, oid, timeline = cursor.fetchone()
    return Database((cluster, oid) if may_ask else (), (oid, timeline))


_QUESTION = """
    SELECT {}, oid, CASE WHEN pg_is_in_recovery() THEN '' ELSE left(pg_walfile_name(pg_current_wal_lsn()), 8) END
    FROM pg_database WHERE datname = current_database()
"""


@functools.cache
def _may_ask(alias: str) -> bool:
    """Return whether the cluster's identifier may be read. Not granted to everyone on every hosted server."""
    with connections[alias].cursor() as cursor:
        cursor.execute("SELECT has_function_privilege('pg_control_system()', 'EXECUTE')")
        return bool(cursor.fetchone()[0])


def _id_of_database() -> str | None:
    identity = database(connection).identity
    return hashlib.sha256(repr(identity).encode()).hexdigest()[:12] if identity else None
