"""Read settings from the environment; a bad value stops the start and names the variable."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import secrets
import tempfile
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import dj_database_url
from django.core.exceptions import ImproperlyConfigured

# The kernel's limit for a Unix socket's path is 108 bytes (104 on macOS), its name and the final NUL included.
LONGEST_SOCKET_PATH_BYTES = 100

SQLITE, POSTGRESQL = "django.db.backends.sqlite3", "django.db.backends.postgresql"

RECONNECT_SECONDS = 4.0
SHORTEST_SECRET = 16

_TRUE = {"1", "true", "yes", "on"}
_FALSE = {"0", "false", "no", "off", ""}


def env_str(name: str, default: str) -> str:
    return os.environ.get(name, default).strip()


def env_bool(name: str, *, default: bool) -> bool:
    value = os.environ.get(name)
    if value is None:
        return default
    if value.strip().lower() in _TRUE:
        return True
    if value.strip().lower() in _FALSE:
        return False
    raise ImproperlyConfigured(f"{name} must be one of true, false, yes, no, on, off, 1, 0; it is {value!r}.")


def env_float(name: str, default: float, *, above: float = 0.0) -> float:
    value = os.environ.get(name)
    if value is None:
        return default
    try:
        number = float(value)
    except ValueError:
        number = float("nan")
    if not above < number < float("inf"):  # NaN fails this too
        raise ImproperlyConfigured(f"{name} must be a number above {above:g}; it is {value!r}.")
    return number


def env_int(name: str, default: int, *, minimum: int = 1) -> int:
    value = os.environ.get(name)
    if value is None:
        return default
    try:
        number = int(value)
    except ValueError:
        number = minimum - 1
    if number < minimum:
        raise ImproperlyConfigured(f"{name} must be a whole number of at least {minimum}; it is {value!r}.")
    return number


def env_choice(name: str, default: str, choices: list[str]) -> str:
    value = env_str(name, default)
    if value not in choices:
        raise ImproperlyConfigured(f"{name} must be one of {', '.join(choices)}; it is {value!r}.")
    return value


def env_list(name: str, default: list[str]) -> list[str]:
    value = os.environ.get(name)
    if value is None:
        return default
    return [item.strip() for item in value.split(",") if item.strip()]


def env_names(name: str) -> dict[str, str]:
    """Return `name=value` pairs, separated by commas."""
    pairs: dict[str, str] = {}
    for item in env_list(name, []):
        key, equals, value = (part.strip() for part in item.partition("="))
        if not equals or not value or not re.fullmatch("[a-z][a-z0-9_-]{0,31}", key) or key in pairs:
            raise ImproperlyConfigured(
                f"{name} must be name=package.module.Class, several separated by commas, each name once, of small"
                f" letters, digits, - and _; one is {item!r}."
            )
        pairs[key] = value
    return pairs


def env_origins(name: str) -> list[str]:
    """Return origins as browsers send them (RFC 6454, section 6.1): lower case, without a default port."""
    origins = []
    for text in env_list(name, []):
        parts = urlsplit(text.lower())
        if not parts.netloc or parts.path or parts.query or parts.fragment or "@" in parts.netloc:
            raise ImproperlyConfigured(
                f"{name} must be origins such as https://app.example.org, separated by commas; one is {text!r}."
            )
        default_port = {"http": ":80", "https": ":443"}.get(parts.scheme, "")
        origins.append(f"{parts.scheme}://{parts.netloc.removesuffix(default_port)}")
    return origins


def database(url: str, *, data_dir: Path) -> dict[str, Any]:
    """Return Django's settings of the database that `url` names; "" is SQLite in the data folder.

    PostgreSQL: `postgresql://user:password@host:port/name?sslmode=require`; every query parameter is handed to
    libpq, so `?host=/run/postgresql` reaches a Unix socket.
    """
    if not url:
        return sqlite(data_dir / "nexgent.sqlite3")
    try:
        parsed: dict[str, Any] = {**dj_database_url.parse(url, conn_health_checks=True)}
    except ValueError:  # whose message may quote the password
        parsed = {"ENGINE": "", "NAME": ""}
    path = Path(parsed["NAME"])
    if parsed["ENGINE"] == SQLITE and path.is_absolute():  # one in memory would be another in each process
        return sqlite(path)
    if not parsed["NAME"] or parsed["ENGINE"] != POSTGRESQL:
        raise ImproperlyConfigured(
            "DATABASE_URL must look like postgresql://user:password@host:5432/name or sqlite:////path/to/file."
        )
    options = parsed.get("OPTIONS", {})
    parsed["HOST"] = options.pop("host", parsed["HOST"])
    # `timeout`: how long a caller waits for a connection when all are taken or the server is gone, in seconds.
    options["pool"] = {
        "min_size": env_int("NEXGENT_DATABASE_POOL_MIN", 1, minimum=0),
        "max_size": env_int("NEXGENT_DATABASE_POOL_MAX", 12),
        "timeout": env_float("NEXGENT_DATABASE_POOL_TIMEOUT_SECONDS", 5.0),
        # The pool waits twice as long after each failed connection, then gives up, and begins anew with the next
        # caller. Its default gives up after 300 s: back after an outage of 17 s, the server stayed unused for 11 s
        # more (psycopg-pool 3.3, measured 2026-11-23; with this, 0.6 s).
        "reconnect_timeout": RECONNECT_SECONDS,
    }
    # CONN_MAX_AGE 0: the pool keeps connections. CONN_HEALTH_CHECKS, above: without, each of them would fail once after
    # a restart of the server.
    return parsed | {"CONN_MAX_AGE": 0, "OPTIONS": options}


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
            "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;",
        },
    }


def redis_urls(value: str, *, data_dir: Path) -> list[str]:
    """Return the shards of the channel layer; "" is the embedded Valkey's socket in the data folder."""
    if not value:
        return [f"unix://{quote(str(embedded_valkey_socket(data_dir)))}"]
    urls = [url.strip() for url in value.split(",") if url.strip()]
    for url in urls:
        if urlsplit(url).scheme not in {"redis", "rediss", "unix"}:
            raise ImproperlyConfigured(
                "REDIS_URL must be redis://host:6379/0, rediss://… or unix:///path, several separated by commas;"
                f" one has the scheme {urlsplit(url).scheme!r}."
            )
    return urls


def embedded_valkey_socket(data_dir: Path) -> Path:
    """Return where the embedded Valkey of this data folder listens: in the folder, or, where that path is too
    long for a Unix socket, in a folder of this user's below the temporary one."""
    path = data_dir / "valkey.sock"
    if len(os.fsencode(path)) < LONGEST_SOCKET_PATH_BYTES:
        return path
    name = hashlib.sha256(os.fsencode(data_dir)).hexdigest()[:12]
    return Path(tempfile.gettempdir()) / f"nexgent-{os.getuid()}-{name}" / "valkey.sock"


def secret(name: str) -> str:
    """Return a credential; "" where there is none."""
    value = os.environ.get(name, "")
    if value and len(value) < SHORTEST_SECRET:
        raise ImproperlyConfigured(
            f"{name} has {len(value)} characters and needs at least {SHORTEST_SECRET} random ones."
        )
    return value


def secret_key(*, debug: bool, data_dir: Path) -> str:
    """Return NEXGENT_SECRET_KEY; in debug mode, where there is none, one made once and kept in the data folder."""
    key = os.environ.get("NEXGENT_SECRET_KEY", "")
    if key:
        if len(key) < 50:
            raise ImproperlyConfigured(
                f"NEXGENT_SECRET_KEY has {len(key)} characters; it signs tokens and needs at least 50 random ones."
            )
        return key
    if not debug:
        raise ImproperlyConfigured("NEXGENT_SECRET_KEY must be set when NEXGENT_DEBUG is off.")
    path = data_dir / "secret_key"
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            # Two processes may start at once: the key appears whole, and the first one stays.
            descriptor, draft = tempfile.mkstemp(dir=data_dir)  # readable by its owner only
            os.write(descriptor, secrets.token_urlsafe(64).encode())
            os.close(descriptor)
            with contextlib.suppress(FileExistsError):
                os.link(draft, path)
            Path(draft).unlink()
        return path.read_text()
    except OSError as error:
        raise ImproperlyConfigured(f"NEXGENT_DATA_DIR: {path}: {error.strerror}.") from error
