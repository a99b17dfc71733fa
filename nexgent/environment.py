"""Read settings from the environment. Invalid values stop the start, and one message names them all."""

from __future__ import annotations

import contextlib
import hashlib
import math
import os
import re
import secrets
import tempfile
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote, urlsplit

import dj_database_url
from django.core.exceptions import ImproperlyConfigured

# The kernel's limit for a Unix socket's path is 108 bytes (104 on macOS), its name and the final NUL included.
LONGEST_SOCKET_PATH_BYTES = 100

SQLITE, POSTGRESQL = "django.db.backends.sqlite3", "django.db.backends.postgresql"

RECONNECT_SECONDS = 4.0

# Above these a number overflows somewhere behind the settings: a timedelta, a date, a C integer, a wait.
LARGEST_NUMBER = 2**31 - 1
SECOND, MINUTE, DAY = timedelta(seconds=1), timedelta(minutes=1), timedelta(days=1)
LONGEST_DURATION = 3650 * DAY
SHORTEST_DURATION = 0.001

T = TypeVar("T")
Number = TypeVar("Number", int, float)

_FLAGS = dict.fromkeys(["1", "true", "yes", "on"], True) | dict.fromkeys(
    ["0", "false", "no", "off", ""], False
)


class Environment:
    """Variables, read with a default and a type. An invalid one counts as its default until `check`."""

    def __init__(self, variables: Mapping[str, str]) -> None:
        self._variables = variables
        self.names: set[str] = set()
        """Every variable that was read."""
        self.errors: list[str] = []
        """What is wrong, a line each."""

    def check(self) -> None:
        """Raise ImproperlyConfigured, naming every error, if there are any."""
        if self.errors:
            raise ImproperlyConfigured("\n".join(self.errors))

    def text(self, name: str, default: str = "") -> str:
        return self._read(name, default, str, "text")

    def flag(self, name: str, *, default: bool) -> bool:
        wanted = "one of true, false, yes, no, on, off, 1, 0"
        return self._read(name, default, lambda text: _FLAGS[text.lower()], wanted)

    def number(
        self, name: str, default: Number, *, minimum: int | None = None, maximum: float = LARGEST_NUMBER
    ) -> Number:
        """Return a number of the default's type: above 0, or at least `minimum`."""

        def parse(text: str) -> Number:
            number = type(default)(text)
            if number == math.inf or not (number > 0 if minimum is None else number >= minimum):  # or NaN
                raise ValueError
            return number

        wanted = "a whole number" if isinstance(default, int) else "a number"
        bound = "above 0" if minimum is None else f"of at least {minimum}"
        number = self._read(name, default, parse, f"{wanted} {bound}")
        return number if number <= maximum else self._invalid(name, f"at most {maximum:.0f}", default)

    def duration(
        self, name: str, default: Number, *, unit: timedelta = SECOND, minimum: int | None = None
    ) -> Number:
        """Return a number of `unit`s, at most ten years; above 0, or at least `minimum`."""
        number = self.number(name, default, minimum=minimum, maximum=LONGEST_DURATION / unit)
        too_short = 0 < number < SHORTEST_DURATION
        return self._invalid(name, f"at least {SHORTEST_DURATION}", default) if too_short else number

    def choice(self, name: str, default: str, choices: Sequence[str]) -> str:
        return self._read(
            name, default, lambda text: choices[choices.index(text)], f"one of {', '.join(choices)}"
        )

    def items(
        self, name: str, default: Sequence[T], parse: Callable[[str], T], wanted: str = "a list"
    ) -> list[T]:
        """Return what stands between commas, each item parsed. `parse` raises ValueError."""

        def parse_all(text: str) -> list[T]:
            return [parse(item.strip()) for item in text.split(",") if item.strip()]

        return self._read(name, list(default), parse_all, f"{wanted}, separated by commas")

    def credential(self, name: str, *, shortest: int) -> str:
        """Return a secret, "" if there is none. No error quotes it."""
        self.names.add(name)
        value = self._variables.get(name, "")
        if value and len(value) < shortest:
            self.errors.append(
                f"{name} has {len(value)} characters; it needs at least {shortest} random ones."
            )
        return value

    def _read(self, name: str, default: T, parse: Callable[[str], T], wanted: str) -> T:
        self.names.add(name)
        value = self._variables.get(name)
        if value is None:
            return default
        try:
            return parse(value.strip())
        except (ValueError, LookupError):
            return self._invalid(name, wanted, default)

    def _invalid(self, name: str, wanted: str, default: T) -> T:
        self.errors.append(f"{name} must be {wanted}; it is {self._variables[name]!r}.")
        return default


def origin(text: str) -> str:
    """Return an origin as browsers send it (RFC 6454, section 6.1): lower case, without a default port.

    Raises ValueError, for wildcards too: Channels knows them, django-cors-headers does not.
    """
    parts = urlsplit(text.lower())
    host = parts.hostname or "*"
    if host[0] in "*." or "@" in parts.netloc or parts.path or parts.query or parts.fragment:
        raise ValueError(f"{text!r} is not an origin")
    is_default = parts.port == {"http": 80, "https": 443}.get(parts.scheme, -1)
    return f"{parts.scheme}://{parts.netloc.rpartition(':')[0] if is_default else parts.netloc}"


def price_sources(env: Environment, name: str) -> dict[str, str]:
    """Return `name=package.module.Class` pairs."""

    def add(text: str) -> None:
        key, _, value = (part.strip() for part in text.partition("="))
        if not value or not re.fullmatch("[a-z][a-z0-9_-]{0,31}", key) or key in found:
            raise ValueError
        found[key] = value

    found: dict[str, str] = {}
    wanted = "name=package.module.Class, each name once and of lower-case letters, digits, - and _"
    env.items(name, [], add, wanted)
    return found


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
        parsed: dict[str, Any] = {**dj_database_url.parse(url, conn_health_checks=True)}
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
    options = parsed.get("OPTIONS", {}) | {"pool": pool}
    parsed["HOST"] = options.pop("host", parsed["HOST"])
    # CONN_MAX_AGE 0: the pool keeps connections. Without CONN_HEALTH_CHECKS, above, each of them would fail once after
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


def redis_urls(env: Environment, *, data_dir: Path) -> list[str]:
    """Return the shards of the channel layer; by default the embedded Valkey's socket in the data folder."""

    urls = env.items("REDIS_URL", [], str)
    problem = None  # not the URL itself: it may contain a password
    if unknown := {urlsplit(url).scheme for url in urls} - {"redis", "rediss", "unix"}:
        problem = f"the scheme of one is {min(unknown)!r}"
    elif not all(map(_has_valid_port, urls)):
        problem = "the port of one is not a number from 1 to 65535"
    if problem:
        env.errors.append(
            "REDIS_URL must be redis://host:6379/0, rediss://… or unix:///path, several separated by commas;"
            f" {problem}."
        )
    return urls or [f"unix://{quote(str(embedded_valkey_socket(data_dir)))}"]


def _has_valid_port(url: str) -> bool:
    try:
        port = urlsplit(url).port
    except ValueError:
        return False
    return port != 0


def embedded_valkey_socket(data_dir: Path) -> Path:
    """Return where the embedded Valkey of this data folder listens: in the folder or, if that path is too long for a
    Unix socket, in a folder of this user in the temporary one."""
    path = data_dir / "valkey.sock"
    if len(os.fsencode(path)) < LONGEST_SOCKET_PATH_BYTES:
        return path
    name = hashlib.sha256(os.fsencode(data_dir)).hexdigest()[:12]
    return Path(tempfile.gettempdir()) / f"nexgent-{os.getuid()}-{name}" / "valkey.sock"


def secret_key(env: Environment, *, debug: bool, data_dir: Path) -> str:
    """Return NEXGENT_SECRET_KEY; in debug mode, by default, one made once and kept in the data folder."""
    key = env.credential("NEXGENT_SECRET_KEY", shortest=50)
    if not key and not debug:
        env.errors.append("NEXGENT_SECRET_KEY must be set when NEXGENT_DEBUG is off.")
    if key or env.errors:
        return key
    path = data_dir / "secret_key"
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            # Two processes may start at once: the file appears complete, and the first one is kept.
            descriptor, draft = tempfile.mkstemp(dir=data_dir)  # readable by its owner only
            os.write(descriptor, secrets.token_urlsafe(64).encode())
            os.close(descriptor)
            with contextlib.suppress(FileExistsError):
                os.link(draft, path)
            Path(draft).unlink()
        return path.read_text()
    except OSError as error:
        env.errors.append(f"NEXGENT_DATA_DIR: {path}: {error.strerror}.")
        return ""
