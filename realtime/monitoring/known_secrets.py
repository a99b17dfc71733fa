"""The secrets of this process's settings and environment, hidden in any text by their values.

What redaction.py knows by its shape, this knows by heart: a password in the middle of a repr, say. For pages and
commands that show settings or variables; too slow for log lines.
"""

from __future__ import annotations

import html
import json
import os
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import parse_qs, quote, quote_plus, unquote, urlsplit

from django.conf import settings

from realtime.monitoring.redaction import HIDDEN, is_secret, redact

SHORTEST = 4
"""Shorter ones are in every text by chance; redaction.py hides them in URLs, and behind their names."""


def hide(text: str) -> str:
    """Return the text without known secrets, and without what looks like one."""
    return redact(hide_values(text))


def hide_values(text: str) -> str:
    """Return the text without known secrets, however they are quoted."""
    for secret in sorted(_values(), key=len, reverse=True):
        text = text.replace(secret, HIDDEN)
    return text


def _values() -> set[str]:
    named = {name: getattr(settings, name) for name in dir(settings) if name.isupper()}
    found = {secret for secret in (*_in(named), *_in(os.environ)) if len(secret) >= SHORTEST}
    spelled = set(found)
    for secret in found:
        spelled |= {quote(secret, safe=""), quote(secret), quote_plus(secret), unquote(secret)}
        spelled |= {html.escape(secret), repr(secret)[1:-1], json.dumps(secret)[1:-1]}
        spelled |= {html.escape(repr(secret)[1:-1])}
    return spelled


def _in(value: Any, name: str = "") -> Iterator[str]:
    """Yield what is secret in a value: strings below a name that says so, and passwords in URLs."""
    match value:
        case Mapping():
            for key, each in value.items():
                yield from _in(each, f"{key}")
        case list() | tuple() | set():
            for each in value:
                yield from _in(each, name)
        case bytes():
            yield from _in(value.decode(errors="replace"), name)
        case str() if is_secret(name) and not name.endswith("_URL"):
            yield value
        case str():
            for url in value.split(","):
                yield from _in_url(url.strip())


def _in_url(url: str) -> Iterator[str]:
    if "://" not in url:
        return
    try:
        parts = urlsplit(url)
    except ValueError:
        return
    if "@" in parts.netloc:
        _, _, password = parts.netloc.rpartition("@")[0].partition(":")
        yield from (password, unquote(password))
    for key, values in parse_qs(parts.query).items():
        if is_secret(key):
            yield from values
