"""Work on the event loop that takes turns with everything else: long work in slices, starts and ends of many sockets.

An agent of 10,000 positions takes half a second to value and encode. In threads it would hold Python's lock for just as
long, 5 ms at a time, and each system call of the event loop would wait for it. Five thousand sockets that connect in
the same second take several seconds, in which those that are open want their prices.
"""

from __future__ import annotations

import asyncio
import weakref
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from time import perf_counter, thread_time
from typing import TypeVar

from realtime.hub import garbage

T = TypeVar("T")

SLICE_SECONDS = 0.003
TURN_SECONDS = 0.002
"""How long a turn of the event loop may be while sockets start. A price is read, decoded and sent to the first sockets
within five turns, and to take twice as long as usual it has some 10 ms."""
FEWEST, MOST = 1, 8
"""Pieces of work in one turn. Each takes a few tenths of a millisecond: a handshake with a token's check, a greeting, a
snapshot of ten positions."""


class Turns:
    """Of one event loop.

    `run`: one slice of long work runs in each turn of the event loop, however much of it there is: each in its turn.

    `piece`, `arrive` and `depart`: of short pieces, as many as fit into TURN_SECONDS beside what else the turn does.
    How many that is follows from how long the last turn took: half as many after a longer one, one more after one that
    was full of pieces and took less than half of that. So while prices are sent, which takes whole turns, one socket
    starts in each turn, and more of them in the others. What counts is the time of the thread's processor, `clock`:
    where other processes have it, fewer pieces in a turn would make it no shorter.
    """

    def __init__(
        self, slice_seconds: float = SLICE_SECONDS, *, clock: Callable[[], float] = thread_time
    ) -> None:
        self._slice_seconds = slice_seconds
        self._next = asyncio.Lock()  # which asyncio hands on in the order of asking
        self._clock = clock
        self._began = 0.0
        """When this turn began, by the clock."""
        self._is_counting = False
        self._most = MOST
        """Pieces that fit into one turn."""
        self._done = 0
        """Pieces of this turn."""
        self._pieces: deque[asyncio.Future[None]] = deque()
        self._departures: deque[Callable[[], object]] = deque()
        self._arrivals: deque[Callable[[], None]] = deque()

    async def next(self) -> None:
        """Let everybody else run first. Safe to cancel."""
        async with self._next:
            await asyncio.sleep(0)

    async def run(self, steps: Iterable[object]) -> None:
        """Make these steps, each short; what takes less than a slice is done when this first awaits.

        Between two slices the world changes: the steps must look at it again.
        """
        until = perf_counter() + self._slice_seconds
        for _ in steps:
            if perf_counter() >= until:
                await self.next()
                until = perf_counter() + self._slice_seconds

    # Short pieces

    @property
    def is_crowded(self) -> bool:
        """Whether there is more to do than fits into one turn: many sockets are starting."""
        return bool(self._arrivals or self._pieces or self._departures)

    async def piece(self) -> None:
        """Wait until a short piece of work may be done: at once, unless many come in the same turn. Safe to cancel.

        Before those that arrive: a socket that has begun to start goes first.
        """
        if not self._pieces and self._has_room():
            return
        waiter = asyncio.get_running_loop().create_future()
        self._pieces.append(waiter)
        await waiter

    def arrive(self, begin: Callable[[], None]) -> bool:
        """Return whether a newcomer may begin at once. Otherwise `begin` is called when its turn has come."""
        if not self.is_crowded and self._has_room():
            return True
        self._arrivals.append(begin)
        return False

    def depart(self, end: Callable[[], object]) -> None:
        """End who leaves: at once, or when its turn has come. That is before those that arrive, so that those whose
        network has failed do not wait behind themselves."""
        if not self._departures and self._has_room():
            end()
        else:
            self._departures.append(end)

    def _has_room(self) -> bool:
        """Take a place in this turn, if there is one."""
        if not self._is_counting:
            self._is_counting = True
            self._began = self._clock()
            garbage.crowd_begins()
            asyncio.get_running_loop().call_soon(self._turn)
        if self._done >= self._most:
            return False
        self._done += 1
        return True

    def _turn(self) -> None:
        """Begin the next turn, with those that wait."""
        now = self._clock()
        took, self._began = now - self._began, now
        if took > TURN_SECONDS:
            self._most = max(FEWEST, self._most // 2)
        elif took < TURN_SECONDS / 2 and self._done >= self._most:
            self._most = min(MOST, self._most + 1)
        was_idle, self._done = not self._done, 0
        if was_idle and not self.is_crowded:
            self._is_counting = False
            garbage.crowd_ends()
            return
        try:
            self._release()
        finally:
            asyncio.get_running_loop().call_soon(self._turn)  # after what has been released

    def _release(self) -> None:
        while self._done < self._most and self._pieces:
            waiter = self._pieces.popleft()
            if not waiter.done():  # else who waited is gone
                waiter.set_result(None)
                self._done += 1
        for waiting in (self._departures, self._arrivals):
            while self._done < self._most and waiting:
                self._done += 1
                waiting.popleft()()


_turns: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, Turns] = weakref.WeakKeyDictionary()


def turns() -> Turns:
    """Return the running event loop's turns."""
    loop = asyncio.get_running_loop()
    found = _turns.get(loop)
    if found is None:
        found = _turns[loop] = Turns()
    return found


def chunks(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """Return the items in lists of that size, the last one shorter; none where there are none."""
    rest = iter(items)
    while chunk := list(islice(rest, size)):
        yield chunk
