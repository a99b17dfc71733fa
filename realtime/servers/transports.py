"""What asyncio leaves of a connection that is lost."""

from __future__ import annotations

from typing import Any


def let_go(transport: Any) -> None:
    """Have a lost connection's transport go with the last who refers to it: asyncio's own refers to a method of itself,
    so that it would stay until the garbage collector finds it (docs/private-apis.md)."""
    if hasattr(transport, "_read_ready_cb"):
        transport._read_ready_cb = None
