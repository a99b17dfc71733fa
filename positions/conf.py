"""The settings of agents, prices, log-ins and quotas: keys of `NEXGENT` in the project's settings (docs/settings.md),
read as attributes of `conf`."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import tempfile
from pathlib import Path
from typing import Any
from urllib.parse import quote

from django.conf import settings
from redis.connection import parse_url

from positions.declared import DAY, Declared, Duration, Flag, Invalid, Limit, Number, Setting, Text, Url

# The kernel's limit for a Unix socket's path is 108 bytes (104 on macOS), its name and the final NUL included.
LONGEST_SOCKET_PATH_BYTES = 100


class Server(Setting[str]):
    """The URL of a Redis or Valkey."""

    def check(self, value: object) -> None:
        try:
            if not isinstance(value, str):
                raise ValueError("no text")
            parse_url(value)  # type: ignore[no-untyped-call]
        except ValueError as error:
            raise Invalid("redis://host:6379/0, rediss://… or unix:///path") from error


class Servers(Setting[list[str]]):
    def check(self, value: object) -> None:
        if not isinstance(value, list) or not value:
            raise Invalid("a list of URLs")
        for url in value:
            Server("").check(url)


class Folder(Setting[Path]):
    def check(self, value: object) -> None:
        if not isinstance(value, Path):
            raise Invalid("a pathlib.Path")


class Prefix(Text):
    def check(self, value: object) -> None:
        # The channel layer's own rule for names.
        if not isinstance(value, str) or not re.fullmatch(r"[A-Za-z0-9_.-]{1,40}", value):
            raise Invalid("1 to 40 letters, digits, -, _ or .")


class Sources(Setting[dict[str, str]]):
    """Of prices: dotted paths of classes, by name. As text `name=package.module.Class` pairs, separated by commas."""

    WANTED = "name=package.module.Class, each name once and of lower-case letters, digits, - and _"

    def from_text(self, text: str) -> dict[str, str]:
        pairs = [[part.strip() for part in item.partition("=")] for item in text.split(",") if item.strip()]
        found = {name: path for name, _, path in pairs}
        try:
            self.check(found)
        except Invalid:
            found = {}
        if len(found) < len(pairs):
            raise Invalid(f"{self.WANTED}, separated by commas")
        return found

    def check(self, value: object) -> None:
        if not isinstance(value, dict) or not all(map(self._is_source, value.items())):
            raise Invalid('{"name": "package.module.Class"}, names of lower-case letters, digits, - and _')

    def _is_source(self, item: tuple[object, object]) -> bool:
        name, path = item
        is_text = isinstance(name, str) and isinstance(path, str)
        return is_text and bool(path and re.fullmatch("[a-z][a-z0-9_-]{0,31}", str(name)))


class Options(Setting[dict[str, Any] | None]):
    """Several that belong together; None: none of them."""

    def __init__(self, names: set[str]) -> None:
        super().__init__(None)
        self._names = names

    def check(self, value: object) -> None:
        if value is not None and (not isinstance(value, dict) or set(value) != self._names):
            raise Invalid(f"None, or a dict with {', '.join(sorted(self._names))}")


def embedded_valkey_socket(data_folder: Path) -> Path:
    """Return where the embedded Valkey of this data folder listens: in the folder or, if that path is too long for a
    Unix socket, in a folder of this user in the temporary one."""
    path = data_folder / "valkey.sock"
    if len(os.fsencode(path)) < LONGEST_SOCKET_PATH_BYTES:
        return path
    name = hashlib.sha256(os.fsencode(data_folder)).hexdigest()[:12]
    return Path(tempfile.gettempdir()) / f"nexgent-{os.getuid()}-{name}" / "valkey.sock"


def embedded_valkey_url(data_folder: Path) -> str:
    return f"unix://{quote(str(embedded_valkey_socket(data_folder)))}"


def prefix_for(url: str) -> str:
    """Return the prefix by default: `nexgent`, and `nexgent-1` in database 1 of the server.

    Pub/Sub knows no database numbers: without the number in the prefix, /0 and /1 would hear each other.
    """
    number = 0
    # No URL, or no text: the checks say so (positions.E006).
    with contextlib.suppress(ValueError, AttributeError):
        number = parse_url(url).get("db", 0)  # type: ignore[no-untyped-call]
    return f"nexgent-{number}" if number else "nexgent"


class PositionsSettings(Declared):
    DATA_DIR = Folder(lambda: Path(getattr(settings, "BASE_DIR", Path.cwd())) / "var")
    # Prices, who is connected, counts. By default the Valkey that `manage.py up` starts.
    REDIS_URL = Server(lambda: embedded_valkey_url(PositionsSettings.DATA_DIR))
    # The servers of the channel layer, REDIS_URL's first; the others carry messages only.
    REDIS_URLS = Servers(lambda: [PositionsSettings.REDIS_URL])
    # Of a query, in a server process or the broadcaster (positions/deadlines.py).
    DATABASE_ANSWER_SECONDS = Duration(10.0)
    REDIS_PREFIX = Prefix(lambda: prefix_for(PositionsSettings.REDIS_URL))

    # Only if a proxy sets X-Forwarded-For and -Proto itself: a client that connects directly could send anything.
    BEHIND_PROXY = Flag(default=False)
    # How many proxies each add an entry to X-Forwarded-For.
    PROXY_HOPS = Number(1)

    LOGIN_FAILURES = Number(10)
    LOGIN_LOCK_SECONDS = Duration(900.0)
    TOKEN_REQUESTS_PER_MINUTE = Number(120)
    # How long a ticket may be used, which a page puts into its socket's address instead of its token.
    SOCKET_TICKET_SECONDS = Duration(15.0)
    # How long a log-in lasts, however often its tokens are renewed.
    SESSION_DAYS = Duration(30.0, unit=DAY)
    # Whose tokens are accepted beside our own.
    OUTSIDE_ISSUER = Options(
        {"JWKS_URL", "ISSUER", "AUDIENCE", "ALGORITHMS", "RETRY_SECONDS", "MAX_AGE_SECONDS"}
        | {"USER_CLAIM", "USER_FIELD", "SCOPE_CLAIM", "WRITE_SCOPE"}
    )

    # What one user may have and do (positions.services.quotas, positions.accounts.request_rates).
    USER_AGENTS = Limit(1_000)
    USER_WALLETS = Limit(5_000)
    USER_POSITIONS = Limit(10_000)
    USER_TOKENS = Limit(2_000)
    USER_REQUESTS_PER_SECOND = Limit(100.0)
    USER_REQUEST_BURST = Number(500)
    REQUEST_CPU_SECONDS = Limit(0.01)
    ADDRESS_REQUESTS_PER_SECOND = Limit(20.0)
    ADDRESS_REQUEST_BURST = Number(200)

    # The addresses are settings so that tests, or a proxy, can replace them.
    PRICE_SOURCES = Sources(dict)
    DEXSCREENER_URL = Url("https://api.dexscreener.com")
    JUPITER_URL = Url("https://api.jup.ag")
    JUPITER_API_KEY = Text("")
    PRICE_TIMEOUT_SECONDS = Duration(3.0)
    PRICE_STALE_SECONDS = Duration(60.0)
    PRICE_JUMP_ROUNDS = Number(5, minimum=0)
    POOL_FLOOR_USD = Number(1_000, minimum=0)

    # Candles of held tokens, and what agents' positions were worth.
    HISTORY_FINE_DAYS = Duration(2.0, unit=DAY)
    HISTORY_DAYS = Duration(365.0, unit=DAY)


conf = PositionsSettings()
