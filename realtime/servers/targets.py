"""The targets of requests, in the one form that all servers and frameworks agree on: `/path?query`.

A client may also send `http://host/path` (RFC 9112, section 3.2.2), `//path`, or a fragment, which is no part of a
target (RFC 3986, section 3.5) and which some clients send nevertheless. daphne and uvicorn, and what they are built of,
each took another of these for the path as it is, for a host, or for an error.
"""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import unquote

from django.conf import settings

_BEFORE_PATH = re.compile(rb"[a-z][a-z0-9+.-]*://[^/?]*", re.IGNORECASE)


def plain(target: bytes) -> bytes:
    """Return the target as `/path?query`; what is none (`*`) as it is."""
    if _is_plain(target):
        return target
    target, _, _ = target.partition(b"#")
    before = _BEFORE_PATH.match(target)
    if before is not None:
        target = target[before.end() :]
    if before is None and not target.startswith(b"/"):
        return target
    return b"/" + target.lstrip(b"/")


def with_plain_target(scope: dict[str, Any]) -> dict[str, Any]:
    """Return an ASGI scope of HTTP or a socket whose path and query are those of the plain target."""
    root: str = scope.get("root_path", "")
    query: bytes = scope.get("query_string", b"")
    path = (scope.get("raw_path") or b"/").removeprefix(root.encode())
    if _is_plain(path) and b"#" not in query:
        return scope
    path, _, query = plain(path + b"?" + query).partition(b"?")
    raw_path = root.encode() + path
    return {**scope, "path": unquote(raw_path.decode("latin-1")), "raw_path": raw_path, "query_string": query}


def with_prefix(scope: dict[str, Any]) -> dict[str, Any]:
    """Return an ASGI scope whose root is Django's FORCE_SCRIPT_NAME, where there is one, below which its path is.

    Some proxies cut the prefix off, others do not; uvicorn puts its own root_path in front of the path, daphne does
    not.
    """
    prefix: str | None = settings.FORCE_SCRIPT_NAME
    if not prefix:
        return scope
    path: str = scope["path"].removeprefix(scope.get("root_path", ""))
    if path == prefix or path.startswith(f"{prefix}/"):
        path = path[len(prefix) :]
    return {**scope, "root_path": prefix, "path": prefix + (path or "/")}


def _is_plain(target: bytes) -> bool:
    return target[:1] == b"/" and target[1:2] != b"/" and b"#" not in target
