"""Settings of the database and of Redis or Valkey, from their addresses: DATABASE_URL and REDIS_URL."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import dj_database_url
import redis.asyncio
from redis.connection import ConnectionPool, parse_url

from nexgent.environment import Environment
from nexgent.private_files import PrivateConnection

SQLITE, POSTGRESQL = "django.db.backends.sqlite3", "django.db.backends.postgresql"

RECONNECT_SECONDS = 4.0

URL_OPTIONS = {
    "client_name", "db", "health_check_interval", "max_connections", "password", "protocol", "retry_on_timeout",
    "socket_connect_timeout", "socket_keepalive", "socket_timeout", "timeout", "username",
}  # fmt: skip
"""What REDIS_URL may say behind its ?, with those that begin with `ssl_`. Of the others that redis-py knows, some are
Python objects and no texts, and some change what it answers: `decode_responses`, whose "false" is true."""
ABOVE_ZERO = ("max_connections", "socket_connect_timeout", "socket_timeout", "timeout")
FILES = ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile")


def database(env: Environment, *, data_dir: Path) -> dict[str, Any]:
    """Return Django's settings of the database that DATABASE_URL names; by default SQLite in the data folder.

    PostgreSQL: `postgresql://user:password@host:port/name?sslmode=require`; every query parameter is handed to
    libpq, so `?host=/run/postgresql` reaches a Unix socket.
    """
    url = env.text("DATABASE_URL")
    pool = {
        "min_size": env.number("NEXGENT_DATABASE_POOL_MIN", 1, minimum=0),
        "max_size": env.number("NEXGENT_DATABASE_POOL_MAX", 12),
        # How long a caller waits for a connection when all are taken or the server is unavailable.
        "timeout": env.duration("NEXGENT_DATABASE_POOL_TIMEOUT_SECONDS", 5.0),
        # The pool waits twice as long after each failed connection, then gives up, and starts again with the next
        # caller. Its default gives up after 300 s: back after an outage of 17 s, the server stayed unused for 11 s
        # more (psycopg-pool 3.3, measured 2026-11-23; with this, 0.6 s).
        "reconnect_timeout": RECONNECT_SECONDS,
    }
    if pool["min_size"] > pool["max_size"]:
        env.errors.append(
            f"NEXGENT_DATABASE_POOL_MIN must be at most NEXGENT_DATABASE_POOL_MAX, {pool['max_size']};"
            f" it is {pool['min_size']}."
        )
    default = sqlite(data_dir / "nexgent.sqlite3")
    if not url:
        return default
    try:
        parsed = _parse(url)
    except ValueError:  # its message may quote the password
        parsed = {"ENGINE": "", "NAME": ""}
    path = Path(parsed["NAME"])
    if parsed["ENGINE"] == SQLITE and path.is_absolute():  # each process would have its own one in memory
        return sqlite(path)
    if not parsed["NAME"] or parsed["ENGINE"] != POSTGRESQL:
        env.errors.append(
            "DATABASE_URL must look like postgresql://user:password@host:5432/name or sqlite:////path/to/file."
        )
        return default
    from nexgent import postgresql  # it loads psycopg, which SQLite does not need

    if problem := postgresql.problem_of(parsed.get("OPTIONS", {})):
        env.errors.append(f"DATABASE_URL: what it says behind its ? is invalid: {problem}.")
    options = (
        postgresql.LIBPQ_DEFAULTS | parsed.get("OPTIONS", {}) | {"pool": pool | postgresql.pool_options()}
    )
    parsed["HOST"] = options.pop("host", parsed["HOST"])
    # CONN_MAX_AGE 0: the pool keeps connections. Without CONN_HEALTH_CHECKS, in _parse, each of them would fail once
    # after a restart of the server. No cursors of the server's: PgBouncer in transaction mode loses them between two
    # reads. What is long is read in parts (positions/models/reading.py).
    return parsed | {"CONN_MAX_AGE": 0, "DISABLE_SERVER_SIDE_CURSORS": True, "OPTIONS": options}


def _parse(url: str) -> dict[str, Any]:
    """Return what Django's settings say of the database at `url`. Raises ValueError.

    libpq takes several hosts, and the first that answers: `//user:password@one:5432,two:5432/name`. URLs know no such
    thing, so they are put together from the URL of each.
    """
    scheme, slashes, rest = url.partition("://")
    before, at, hosts_and_path = rest.rpartition("@")
    hosts, slash, path = hosts_and_path.partition("/")
    each = [
        dj_database_url.parse(f"{scheme}{slashes}{before}{at}{host}{slash}{path}", conn_health_checks=True)
        for host in hosts.split(",")
    ]
    parsed: dict[str, Any] = {**each[0]}
    if len(each) > 1:
        parsed["HOST"] = ",".join(one["HOST"] for one in each)
        parsed["PORT"] = ",".join(str(one["PORT"] or 5432) for one in each)
    return parsed


def sqlite(path: Path) -> dict[str, Any]:
    """Return Django's settings of an SQLite database that several processes read and write at once.

    IMMEDIATE: a transaction that reads, then writes, would otherwise fail with "database is locked" at once when
    another process wrote in between, whatever the timeout (SQLite documentation, "BEGIN IMMEDIATE").
    """
    return {
        "ENGINE": SQLITE,
        "NAME": path,
        "CONN_MAX_AGE": None,
        "TEST": {"NAME": f"{path}.test"},  # a file, for server processes of the tests to open, too
        "OPTIONS": {
            "transaction_mode": "IMMEDIATE",
            "timeout": 20,
            "factory": PrivateConnection,
            "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;",
        },
    }


def redis_urls(env: Environment) -> list[str]:
    """Return the shards of the channel layer, the first of which also keeps prices and counts. Empty: embedded."""

    urls = env.items("REDIS_URL", [], str)
    problem = None  # not the URL itself: it may contain a password
    if not all(map(_is_url, urls)):
        problem = "one is no URL"
    elif unknown := {urlsplit(url).scheme for url in urls} - {"redis", "rediss", "unix"}:
        problem = f"the scheme of one is {min(unknown)!r}"
    elif not all(map(_has_valid_port, urls)):
        problem = "the port of one is not a number from 1 to 65535"
    elif not all(map(_has_valid_path, urls)):
        problem = "behind the port of one is no number of a database, or unix:// without a path"
    elif not all(map(_can_be_connected_to, urls)):
        problem = "what one says behind its ? is unknown, invalid or not possible here"
    if problem:
        env.errors.append(
            "REDIS_URL must be redis://host:6379/0, rediss://… or unix:///path, several separated by commas;"
            f" {problem}."
        )
    return urls


def _can_be_connected_to(url: str) -> bool:
    """Return whether redis-py can make a connection of it, without connecting: else the first client finds out."""
    queried = parse_qs(urlsplit(url).query, keep_blank_values=True).keys()
    try:
        options: dict[str, Any] = parse_url(url)  # type: ignore[no-untyped-call]
        for pool in (ConnectionPool, redis.asyncio.ConnectionPool):
            pool.from_url(url).make_connection()
        return (
            all(name in URL_OPTIONS or name.startswith("ssl_") for name in queried)
            and all(0 < options.get(name, 1) < math.inf for name in ABOVE_ZERO)
            and options.get("db", 0) >= 0
            and all(Path(options.get(name, __file__)).is_file() for name in FILES)
        )
    except (TypeError, ValueError, AttributeError, OSError, redis.RedisError):
        return False


def _has_valid_path(url: str) -> bool:
    """Return whether it names a database by number: redis-py takes another path for database 0."""
    parts = urlsplit(url)
    return bool(parts.path) if parts.scheme == "unix" else bool(re.fullmatch(r"/?[0-9]*", parts.path))


def _is_url(url: str) -> bool:
    try:
        urlsplit(url)
    except ValueError:  # of a bracket that is not closed, say
        return False
    return True


def _has_valid_port(url: str) -> bool:
    try:
        port = urlsplit(url).port
    except ValueError:
        return False
    return port != 0
