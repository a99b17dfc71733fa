"""When a server process looks for garbage, and among how many objects: few while sockets start, all after some rounds.

What a collection looks at, it looks at in one turn of the event loop, at up to half a microsecond an object: all that
5,000 sockets have takes 0.5 s, in which nothing is sent. Python's own collection of everything comes after so many new
objects (nexgent/__init__.py), which is when many sockets connect. It stays for a process whose sockets get no prices.
"""

from __future__ import annotations

import gc
from collections.abc import Awaitable, Callable
from typing import Any

IN_CROWD = (1_500, 1, 1_000_000)
"""Thresholds while sockets start: at most 4,500 objects in the second step, where there are 9,000 otherwise, and none
of the third. Always so, more of the cycles that every HTTP request leaves would get that old."""
DUE = 1_000
"""All objects are looked at after so many second steps: a third of those that Python waits for."""

_usual: tuple[int, int, int] | None = None


def crowd_begins() -> None:
    """Look at few objects at a time until `crowd_ends`."""
    global _usual
    if _usual is None:
        _usual = gc.get_threshold()
        gc.set_threshold(*IN_CROWD)


def crowd_ends() -> None:
    global _usual
    if _usual is not None:
        gc.set_threshold(*_usual)
        _usual = None


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
