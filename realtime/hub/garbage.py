"""When a server process looks for garbage among all its objects: after a round of prices, not while sockets start.

Such a collection looks at everything that all sockets have: 0.5 s of CPU for a million objects, in which nothing is
sent. Python's own comes after so many new objects (nexgent/__init__.py), which is when many sockets connect. It stays
for a process whose sockets get no prices.
"""

from __future__ import annotations

import gc
from collections.abc import Awaitable, Callable
from typing import Any

DUE = 600
"""After so many of the collections that look at 15,000 objects: half as many as Python waits for."""


class Garbage:
    """Of one process. `in_crowd` returns whether many sockets are starting."""

    def __init__(self, in_crowd: Callable[[], bool], *, due: int = DUE) -> None:
        self._in_crowd = in_crowd
        self._due = due

    def after(self, send: Callable[..., Awaitable[None]]) -> Callable[..., Awaitable[None]]:
        """Return what sends a round and then looks at everything, if that is due: nearly always, the next round comes
        in a while."""

        async def send_and_look(*messages: Any) -> None:
            await send(*messages)
            if gc.get_count()[2] >= self._due and not self._in_crowd():
                gc.collect()

        return send_and_look
