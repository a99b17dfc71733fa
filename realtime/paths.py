"""Where a project has `realtime.urls`: at its root, or below a path of its own, which the socket is below, too."""

from __future__ import annotations

import functools
from collections.abc import MutableMapping
from typing import Any

from django.urls import NoReverseMatch, get_script_prefix, reverse

NAMESPACE = "nexgent"
SOCKET = "ws"
API = "api/"


@functools.cache
def base() -> str:
    """Return the path of `realtime.urls`, without the prefix that a proxy or server adds: "/", or "/nexgent/".

    Raises NoReverseMatch where a project does not include them.
    """
    return "/" + reverse(f"{NAMESPACE}:dashboard").removeprefix(get_script_prefix())


def own_path(scope: MutableMapping[str, Any]) -> str | None:
    """Return what follows `base()` in an ASGI scope's path: "ws", "api/agents/"; None where it is not below."""
    return below_base(scope["path"].removeprefix(scope.get("root_path", "")))


def below_base(path: str) -> str | None:
    try:
        start = base()
    except NoReverseMatch:  # nothing is (realtime.E003)
        return None
    return path[len(start) :] if path.startswith(start) else None
