"""Settings that know what they may be: a class for each kind, its value from a dict or from text.

`positions.conf` and `realtime.conf` declare theirs with these. All are keys of one dict in the project's settings:

    NEXGENT = {"REDIS_URL": "redis://127.0.0.1:6379/0", "MAX_SOCKETS": 5_000}
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import timedelta
from inspect import getattr_static
from typing import Any, Generic, TypeVar, cast
from urllib.parse import urlsplit

from django.conf import settings

# Above these a number overflows somewhere behind the settings: a timedelta, a date, a C integer, a wait.
LARGEST_NUMBER = 2**31 - 1
SECOND, MINUTE, DAY = timedelta(seconds=1), timedelta(minutes=1), timedelta(days=1)
LONGEST_DURATION = 3650 * DAY
SHORTEST_DURATION = 0.001

_attribute = object.__getattribute__

T = TypeVar("T")
N = TypeVar("N", bound=float)

_FLAGS = dict.fromkeys(["1", "true", "yes", "on"], True) | dict.fromkeys(
    ["0", "false", "no", "off", ""], False
)


class Invalid(ValueError):
    """A value is not what a setting may be. The message says what it must be: "a number above 0"."""


class Setting(Generic[T]):
    """As an attribute of a class: its value in NEXGENT, or its default."""

    def __init__(self, default: T | Callable[[], T]) -> None:
        self._default = default
        self.name = ""

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def __get__(self, instance: object, owner: type) -> T:
        # From where Django keeps what has been read: past the Python of its lazy object, which takes half of the time.
        # Twenty settings are read for each socket that starts.
        given = _attribute(settings, "__dict__").get("NEXGENT")
        if given is None:
            given = getattr(settings, "NEXGENT", None)
        if isinstance(given, dict) and self.name in given:  # no dict: the system checks tell
            return cast(T, given[self.name])
        return self.default

    @property
    def default(self) -> T:
        """A callable is asked each time: its answer may depend on other settings."""
        return self._default() if callable(self._default) else self._default

    @property
    def has_text(self) -> bool:
        """Whether text can stand for a value: `from_text`."""
        return type(self).from_text is not Setting.from_text

    def from_text(self, text: str) -> T:
        """Return the value that a text stands for. Raises Invalid."""
        raise NotImplementedError

    def check(self, value: object) -> None:
        """Raise Invalid if it is not a value of this setting."""
        raise NotImplementedError


class Text(Setting[str]):
    def from_text(self, text: str) -> str:
        self.check(text)
        return text

    def check(self, value: object) -> None:
        if not isinstance(value, str):
            raise Invalid("text")


class Url(Text):
    """Of a server that speaks HTTP; an empty text stands for the default."""

    def from_text(self, text: str) -> str:
        return super().from_text(text or self.default)

    def check(self, value: object) -> None:
        super().check(value)
        try:
            parts = urlsplit(cast(str, value))
            is_url = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
        except ValueError:
            is_url = False
        if not is_url:
            raise Invalid("http://… or https://…")


class Secret(Text):
    """Text of at least `shortest` characters, or "" for none. Nothing quotes it."""

    def __init__(self, *, shortest: int) -> None:
        super().__init__("")
        self._shortest = shortest

    def check(self, value: object) -> None:
        super().check(value)
        if 0 < len(cast(str, value)) < self._shortest:
            raise Invalid(f"at least {self._shortest} random ones")


class Choice(Setting[str]):
    def __init__(self, default: str, choices: Sequence[str]) -> None:
        super().__init__(default)
        self._choices = choices

    def from_text(self, text: str) -> str:
        self.check(text)
        return text

    def check(self, value: object) -> None:
        if value not in self._choices:
            raise Invalid(f"one of {', '.join(self._choices)}")


class Flag(Setting[bool]):
    def from_text(self, text: str) -> bool:
        try:
            return _FLAGS[text.lower()]
        except KeyError:
            raise Invalid("one of true, false, yes, no, on, off, 1, 0") from None

    def check(self, value: object) -> None:
        if not isinstance(value, bool):
            raise Invalid("True or False")


class Number(Setting[N]):
    """A number of the default's type: above 0, or at least `minimum`; at most `maximum`."""

    def __init__(self, default: N, *, minimum: int | None = None, maximum: float = LARGEST_NUMBER) -> None:
        super().__init__(default)
        self._type: type[N] = type(default)
        self._minimum, self._maximum = minimum, maximum

    def from_text(self, text: str) -> N:
        try:
            number = self._type(text)
        except ValueError:
            raise Invalid(self._wanted) from None
        self.check(number)
        return number

    def check(self, value: object) -> None:
        if not isinstance(value, int | self._type) or isinstance(value, bool):
            raise Invalid(self._wanted)
        least = self._minimum
        if value == math.inf or not (value > 0 if least is None else value >= least):  # or not a number
            raise Invalid(self._wanted)
        if value > self._maximum:
            raise Invalid(f"at most {self._maximum:.0f}")

    @property
    def _wanted(self) -> str:
        kind = "a whole number" if self._type is int else "a number"
        return f"{kind} {'above 0' if self._minimum is None else f'of at least {self._minimum}'}"


class Limit(Number[N]):
    """A number of at least 0, which stands for no limit, as an empty text does."""

    def __init__(self, default: N) -> None:
        super().__init__(default, minimum=0)

    def from_text(self, text: str) -> N:
        return super().from_text(text or "0")


class Duration(Number[float]):
    """A number of `unit`s, at most ten years; above 0, or at least `minimum`."""

    def __init__(self, default: float, *, unit: timedelta = SECOND, minimum: int | None = None) -> None:
        super().__init__(default, minimum=minimum, maximum=LONGEST_DURATION / unit)

    def check(self, value: object) -> None:
        super().check(value)
        if 0 < cast(float, value) < SHORTEST_DURATION:
            raise Invalid(f"at least {SHORTEST_DURATION}")


class Items(Setting[list[T]]):
    """A list; as text, separated by commas. `parse` makes an item of its text, and raises ValueError."""

    def __init__(
        self, default: Sequence[T] | Callable[[], list[T]], parse: Callable[[str], T], wanted: str = "a list"
    ) -> None:
        super().__init__(default if callable(default) else lambda: list(default))
        self._parse, self._wanted = parse, wanted

    def from_text(self, text: str) -> list[T]:
        try:
            return [self._parse(item.strip()) for item in text.split(",") if item.strip()]
        except (ValueError, LookupError):
            raise Invalid(f"{self._wanted}, separated by commas") from None

    def check(self, value: object) -> None:
        if not isinstance(value, list | tuple):
            raise Invalid(self._wanted)
        try:
            parsed = [self._parse(item) for item in value]
        except (AttributeError, TypeError, ValueError, LookupError):
            parsed = None
        if parsed != list(value):
            raise Invalid(self._wanted)


class Declared:
    """The base of a class of settings. They are changed where they stand, in NEXGENT."""

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"{name} is set in NEXGENT, in the project's settings")

    @classmethod
    def all(cls) -> Iterator[Setting[Any]]:
        """Yield each of its settings, those of its bases, too."""
        for each in cls.__mro__:
            yield from (setting for setting in vars(each).values() if isinstance(setting, Setting))

    @classmethod
    def problems(cls, given: Mapping[str, object]) -> Iterator[tuple[str, str]]:
        """Yield the name of each setting whose value is invalid, and what it must be."""
        for setting in cls.all():
            if setting.name in given:
                try:
                    setting.check(given[setting.name])
                except Invalid as invalid:
                    yield setting.name, str(invalid)

    @classmethod
    def contradictions(cls, given: Mapping[str, Any], *, prefix: str = "") -> Iterator[tuple[str, str]]:
        """Yield the name of each setting that cannot be what it is beside the others, and what it must be.

        That text names the others, with the prefix.
        """
        del given, prefix
        yield from ()

    @classmethod
    def among(cls, given: Mapping[str, Any], name: str) -> Any:
        """Return a setting's value in a dict that may not be that of the running project yet."""
        return given[name] if name in given else getattr_static(cls, name).default
