"""What no log may contain, and how it is removed. This is the one place that says so.

Hidden: the values of NAMES and HEADERS, whatever stands between name and value (a query, a form, JSON, a cookie, a
Python repr); what follows `Bearer`; tokens and tickets themselves, without any name; user and password of a URL. All of
them in upper or lower case, and with any character as %74, %2574, \\x74 or \\u0074: a client chooses how it spells a
query, and a server may log it as it came.

Too much is hidden rather than too little: `access: denied` becomes `access: …`. Pure; imported by the formatters, so
before the apps are loaded.
"""

from __future__ import annotations

import functools
import re

HIDDEN = "…"
NAMES = (
    "token",  # also access_token, refreshToken, csrftoken, csrfmiddlewaretoken, NEXGENT_METRICS_TOKEN
    "ticket",
    "access",
    "refresh",
    "session(?:id)?",  # also nexgent_session
    "passw(?:or)?d",
    "passphrase",
    "secret",
    "(?:secret|private|api)[_-]?key(?:_fallbacks)?",
)
"""What a name ends with whose value is hidden. `token` is also a parameter for the addresses of Solana's."""
_NUMBER = r"\d{0,2}"
"""May stand behind a name: a form that asks twice has `password1` and `password2` (Django's, for a new user)."""
HEADERS = ("authorization", "cookie")
"""Likewise; the value reaches to the end of the line."""
TICKET_PREFIX = "ticket_"
"""What a socket's ticket begins with, so that it is recognised without its name (positions/accounts/tickets.py)."""

# Where none of these is in a line, nothing is hidden, and no more is done: that is what most lines cost.
_SUSPICIOUS = (
    *(
        "token",
        "ticket",
        "access",
        "refresh",
        "session",
        "passw",
        "passphrase",
        "secret",
        "key",
        "authoriz",
        "cookie",
        "bearer",
    ),
    *("@", "%", "\\x", "\\u"),
    *("eyj", "eya", "ewo", "ew0", "ewk"),  # `{"`, or `{` and a blank, in base64: how a JWT begins
)

# Encoded any number of times; where only one of a run of backslashes were looked at, the rest would split a name.
_ESCAPED = re.compile(r"%(?:25)*([0-9a-f]{2})|\\++(?:(?:x|u00)([0-9a-f]{2})|([nrt]))?")
# Escaped characters that, if they were not escaped, could end a value. Private use, so in no text by themselves.
_SPACE, _OTHER = "\ue020", "\ue000"
_STAND_INS = {'"': "\ue022", "'": "\ue027", "/": "\ue02f", " ": _SPACE}
_UNCHANGED = frozenset("abcdefghijklmnopqrstuvwxyz0123456789_.=:@?~+-")

# Every repetition is bounded, or cannot fail once it has begun: the time is linear in the length of the text.
_BLANKS = rf"[ \t{_SPACE}]*"
_QUOTE = r"\\{0,64}[\"'\ue022\ue027]"
_WHITE = rf"[\s{_SPACE}]*"
_SEPARATOR = rf"(?:{_BLANKS}[=:]{_BLANKS}|{_QUOTE}{_WHITE}[=:,]{_WHITE})"
_LIST = r"\[([^\]\n]+)"
# The second group of the expressions below is the quote with its backslashes; the same ones end the value.
_QUOTED = rf"b?({_QUOTE})([^\n]+?)(?:(?<!\\)\2|(?=\n)|\Z)"
_RUN = r"([^\s\"'&<>]+)"
_LINE = r"([^\n]+)"


def _named(names: tuple[str, ...], run: str) -> re.Pattern[str]:
    """Match a name and its value; the last group is what to hide."""
    return re.compile(rf"(?:{'|'.join(names)}){_NUMBER}{_SEPARATOR}(?:{_LIST}|{_QUOTED}|{run})")


# Each with what must be in a text for it to match, which is found faster.
_PATTERNS = {
    "": _named(NAMES, _RUN),
    **{name: _named((name,), _LINE) for name in HEADERS},
    "bearer": re.compile(rf"bearer[\s{_SPACE}+]+{_RUN}"),
    TICKET_PREFIX: re.compile(rf"({TICKET_PREFIX}[\w-]{{8,}})"),
    # User and password of a URL, also where somebody forgot to escape a slash.
    "@": re.compile(r":[/\ue02f]{2}([^\s\"'<>]{1,255})@"),
}
# Of these, whatever has a dot and is as long as no word is.
_JWT = re.compile(r"(?:ey[ja]|ew[o0k])[\w-]*+(?:\.[\w-]*+)*+")
_SHORTEST_JWT = 24


def redact(text: str) -> str:
    """Return the text without credentials; the text itself if there are none."""
    return _redact(text) if is_suspicious(text) else text


def is_suspicious(text: str) -> bool:
    """Return whether there may be something to hide in it, however it is quoted."""
    lower = text.lower()
    for word in _SUSPICIOUS:  # noqa: SIM110  a generator takes twice as long
        if word in lower:
            return True
    return False


@functools.lru_cache(maxsize=256)
def is_secret(name: str) -> bool:
    """Return whether the value of a field of this name is to be hidden."""
    return redact(f"{name}=0") != f"{name}=0"


def _redact(text: str) -> str:
    lower = text.lower()
    if len(lower) != len(text):  # İ becomes two characters
        lower = "".join(character.lower()[0] for character in text)
    places: list[int] | None = None
    if "%" in lower or "\\" in lower:
        lower, places = _unescaped(lower)
    spans = [
        found.span(found.lastindex or 0)
        for needed, pattern in _PATTERNS.items()
        if needed in lower
        for found in pattern.finditer(lower)
    ]
    spans += [
        found.span()
        for found in _JWT.finditer(lower)
        if "." in found[0] and found.end() - found.start() >= _SHORTEST_JWT
    ]
    spans.sort()
    kept, end = [], 0
    for start, stop in spans:
        if stop <= end:
            continue
        if start >= end:
            kept += [text[_place(places, end) : _place(places, start)], HIDDEN]
        end = stop
    if not spans:
        return text
    return "".join([*kept, text[_place(places, end) :]])


def _unescaped(text: str) -> tuple[str, list[int]]:
    """Return the text with its escaped characters as themselves, or as what stands for them, and where each character
    of it begins in the text; also where it ends."""
    parts: list[str] = []
    places: list[int] = []
    end = 0
    for escaped in _ESCAPED.finditer(text):
        code = escaped[1] or escaped[2]
        if code is None and escaped[3] is None:  # backslashes alone
            continue
        character = " " if code is None else chr(int(code, 16)).lower()
        parts += [text[end : escaped.start()], _stand_in(character)]
        places += range(end, escaped.start() + 1)
        end = escaped.end()
    parts.append(text[end:])
    places += range(end, len(text) + 1)
    return "".join(parts), places


def _stand_in(character: str) -> str:
    if character in _UNCHANGED:
        return character
    return _STAND_INS.get(character) or (_SPACE if character.isspace() else _OTHER)


def _place(places: list[int] | None, index: int) -> int:
    return index if places is None else places[index]
