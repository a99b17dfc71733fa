"""Read settings from the environment. Invalid values stop the start, and one message names them all."""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import tempfile
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

from django.core.exceptions import ImproperlyConfigured

from positions.declared import (
    LARGEST_NUMBER,
    SECOND,
    Choice,
    Declared,
    Duration,
    Flag,
    Invalid,
    Items,
    Number,
    Secret,
    Setting,
    Text,
)
from realtime.conf import origin

PREFIX = "NEXGENT_"
SHORTEST_SECRET_KEY = 50

_CREDENTIALS = re.compile(r"(?<=://)[^/\s]*@")

T = TypeVar("T")
N = TypeVar("N", bound=float)


class Environment:
    """Variables, read as the kinds of `positions.declared`. An invalid one counts as its default until `check`."""

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

    def given(self, declared: type[Declared]) -> dict[str, Any]:
        """Return the settings that variables give, by their names: MAX_SOCKETS of NEXGENT_MAX_SOCKETS."""
        read = {setting.name: setting for setting in declared.all() if setting.has_text}
        self.names.update(PREFIX + name for name in read)
        return {
            name: self.value(PREFIX + name, setting)
            for name, setting in read.items()
            if PREFIX + name in self._variables
        }

    def text(self, name: str, default: str = "") -> str:
        return self.value(name, Text(default))

    def folder(self, name: str, default: Path) -> Path:
        """Return an absolute path. Empty, it would be whatever folder the process was started in: the default."""
        path = self.text(name) or str(default)
        try:
            return Path(path).expanduser().resolve()
        except (RuntimeError, OSError):  # of a user that there is not
            self.errors.append(f"{name} must be the path of a folder; it is {path!r}.")
            return default

    def flag(self, name: str, *, default: bool) -> bool:
        return self.value(name, Flag(default))

    def number(
        self, name: str, default: N, *, minimum: int | None = None, maximum: float = LARGEST_NUMBER
    ) -> N:
        return self.value(name, Number(default, minimum=minimum, maximum=maximum))

    def duration(
        self, name: str, default: float, *, unit: timedelta = SECOND, minimum: int | None = None
    ) -> float:
        return self.value(name, Duration(default, unit=unit, minimum=minimum))

    def choice(self, name: str, default: str, choices: Sequence[str]) -> str:
        return self.value(name, Choice(default, choices))

    def items(
        self, name: str, default: Sequence[T], parse: Callable[[str], T], wanted: str = "a list"
    ) -> list[T]:
        return self.value(name, Items(default, parse, wanted))

    def credential(self, name: str, *, shortest: int) -> str:
        return self.value(name, Secret(shortest=shortest))

    def credentials(self, name: str, *, shortest: int) -> list[str]:
        """Return the secrets that stand between commas. No error quotes one."""
        self.names.add(name)
        values = [value.strip() for value in self._variables.get(name, "").split(",") if value.strip()]
        for number, value in enumerate(values, 1):
            if len(value) < shortest:
                self.errors.append(
                    f"{name}: number {number} has {len(value)} characters; each needs at least {shortest} random ones."
                )
        return values

    def value(self, name: str, setting: Setting[T]) -> T:
        """Return what a variable says; the setting's default if it says nothing, or nothing valid."""
        self.names.add(name)
        text = self._variables.get(name)
        if text is None:
            return setting.default
        try:
            return setting.from_text(text.strip())
        except Invalid as invalid:
            if isinstance(setting, Secret):
                self.errors.append(f"{name} has {len(text.strip())} characters; it needs {invalid}.")
            else:
                shown = _CREDENTIALS.sub("…@", text)
                self.errors.append(f"{name} must be {invalid}; it is {shown!r}.")
            return setting.default


def host(text: str) -> str:
    """Return a name or an address as ALLOWED_HOSTS takes it. Raises ValueError for a URL, or a name with a port."""
    is_address = text.startswith("[") and text.endswith("]")
    if not is_address and not re.fullmatch(r"\*|\.?[\w-]+(\.[\w-]+)*\.?", text):
        raise ValueError(f"{text!r} is not a host")
    return text


def url_prefix(env: Environment, name: str) -> str:
    """Return the path below which a proxy has everything, such as `/nexgent`; "" for none."""
    prefix = env.text(name)
    if prefix and not re.fullmatch(r"(/[A-Za-z0-9._~-]+)+", prefix):
        env.errors.append(
            f"{name} must begin with a slash and end without one, as /nexgent; it is {prefix!r}."
        )
        return ""
    return prefix


def trusted_origin(text: str) -> str:
    """Return an origin, or `https://*.example.org` for those of all its subdomains. Raises ValueError."""
    origin(text.replace("://*.", "://", 1))
    return text


def secret_key(env: Environment, *, debug: bool, data_dir: Path) -> str:
    """Return NEXGENT_SECRET_KEY; in debug mode, by default, one made once and kept in the data folder."""
    key = env.credential("NEXGENT_SECRET_KEY", shortest=SHORTEST_SECRET_KEY)
    if not key and not debug:
        env.errors.append("NEXGENT_SECRET_KEY must be set when NEXGENT_DEBUG is off.")
    if key or env.errors:
        return key
    path = data_dir / "secret_key"
    try:
        data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
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
