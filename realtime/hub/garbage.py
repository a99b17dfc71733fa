"""When a server process looks for garbage, and among how many objects: few while sockets start, the new ones after
rounds, and all of them seldom, rather while few sockets are open.

What a collection looks at, it looks at in one turn of the event loop, at up to half a microsecond an object: all that
5,000 sockets have takes 0.5 to 1.6 s, in which nothing is sent. Python's own collection of everything comes after so
many new objects (nexgent/__init__.py), which is when many sockets connect. It stays for a process whose sockets get no
prices.

What many sockets have, as they came at once or once it has been looked at, is put aside (`gc.freeze`): it is freed as
ever once nothing refers to it, and only a cycle in it waits for the look at everything. Sockets leave none
(tests/realtime/test_garbage.py), but an HTTP request may, which was being answered just then.
"""

from __future__ import annotations

import gc
from collections.abc import Awaitable, Callable
from typing import Any

IN_CROWD = (1_500, 1, 1_000_000)
"""Thresholds while sockets start: at most 4,500 objects in the second step, where there are 9,000 otherwise, and none
of the third. Always so, more of the cycles that every HTTP request leaves would get that old."""
CAME = 10
"""Second steps after which what has come with a crowd is put aside: some 150 sockets. Otherwise it would be looked at
after each round of prices while 5,000 come, since their crowd ends and begins again."""
SOME = 50
"""Second steps after which the new objects are looked at, at most 375,000. Nearly all are gone by then."""
MANY = 50_000
"""Objects that are put aside once they have been looked at: to do so again would take up to 25 ms."""
DUE = 10_000
"""Second steps after which all objects are looked at: after some 150,000 connects."""
FEW = 1_000
"""Sockets with which that takes no longer than 0.2 s. With more it waits for LAST times as many steps."""
LAST = 2

_usual: tuple[int, int, int] | None = None
_steps_before_crowd = 0
_steps = 0
"""Second steps since all objects were looked at, but those that Python counts."""


def crowd_begins() -> None:
    """Look at few objects at a time until `crowd_ends`."""
    global _usual, _steps_before_crowd
    if _usual is None:
        _usual = gc.get_threshold()
        _steps_before_crowd = _new_steps()
        gc.set_threshold(*IN_CROWD)


def crowd_ends() -> None:
    """Put aside what has come, if it is much. One socket is a crowd, too: what else is new is still to be looked at."""
    global _usual, _steps
    if _usual is not None:
        gc.set_threshold(*_usual)
        _usual = None
        if _new_steps() - _steps_before_crowd >= CAME:
            _steps += _new_steps()  # which this makes 0
            gc.freeze()


class Garbage:
    """Of one process. `in_crowd` returns whether many sockets are starting, `sockets` how many are open."""

    def __init__(self, in_crowd: Callable[[], bool], sockets: Callable[[], int], *, due: int = DUE) -> None:
        self._in_crowd = in_crowd
        self._sockets = sockets
        self._due = due

    def after(self, send: Callable[..., Awaitable[None]]) -> Callable[..., Awaitable[None]]:
        """Return what sends a round and then looks for garbage, if that is due: nearly always, the next round comes in
        a while."""

        async def send_and_look(*messages: Any) -> None:
            await send(*messages)
            if _new_steps() >= SOME and not self._in_crowd():
                self._look()

        return send_and_look

    def _look(self) -> None:
        global _steps
        _steps += _new_steps()  # which a look makes 0
        if _steps >= (self._due if self._sockets() <= FEW else LAST * self._due):
            gc.unfreeze()
            _steps = 0
        gc.collect()
        if len(gc.get_objects(2)) >= MANY:
            gc.freeze()


def _new_steps() -> int:
    return gc.get_count()[2]
