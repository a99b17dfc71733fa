"""Child processes: started, watched, restarted when they exit or on request, and stopped in order.

Knows nothing of Django: `manage.py up` says what runs, this module keeps it running.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from realtime.launcher.child import Child, Say

READY_SECONDS = 60.0
"""How long a process that is to replace another may take until it is ready."""


class ChildError(Exception):
    """A child that keeps exiting. The message, for a terminal: how it exited, and its last lines."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Restarts:
    """How long to wait before a restart, and when to give up."""

    first_delay_seconds: float = 0.5
    """Doubled with each further exit."""
    longest_delay_seconds: float = 30.0
    stable_seconds: float = 60.0
    """A child that ran this long is stable: its next exit counts as the first."""
    quick_seconds: float = 10.0
    """A child that exits sooner than this after its start, or while all are being started, probably cannot run."""
    max_quick_exits: int = 5
    """After this many of those in a row the supervisor gives up."""


class Supervisor:
    """Keeps children running until it is asked to stop or one of them keeps exiting."""

    def __init__(
        self,
        say: Say,
        *,
        restarts: Restarts | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._say = say
        """Takes one line for the terminal; must not raise."""
        self._restarts = restarts or Restarts()
        self._clock = clock
        self._sleep = sleep
        self._kept: list[tuple[Child, asyncio.Task[None]]] = []
        """In the order of their start."""
        self._stop = asyncio.Event()
        self._at_once = asyncio.Event()
        self._replace = asyncio.Event()
        self._has_started = self._stopping = False

    async def run(self, start: Callable[[], Awaitable[None]]) -> None:
        """Await `start`, which calls `keep`; then wait for `request_stop`. On return all children have exited.

        Raises ChildError, and what `start` raises. Children are stopped in reverse order, so start first what others
        depend on; those with a `ready_line` are stopped first, and together.
        """
        self._failure: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        # Children get the read end as their standard input, and only this process has the write end: see
        # realtime.launcher.watchdog.
        self._watchdog_pipe, write_end = os.pipe()
        starting = asyncio.create_task(self._start(start))
        stopping = asyncio.create_task(self._stop.wait())
        replacing = asyncio.create_task(self._replace_on_request())
        waiting: set[asyncio.Future[Any]] = {starting, stopping, replacing, self._failure}
        try:
            while not stopping.done():
                done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
                for future in sorted(done, key=lambda future: future is not self._failure):
                    future.result()
        finally:
            futures = (starting, stopping, replacing, self._failure)
            for future in futures:
                future.cancel()
            await asyncio.gather(*futures, return_exceptions=True)
            await self._stop_all()
            os.close(write_end)
            os.close(self._watchdog_pipe)

    def keep(self, child: Child) -> asyncio.Task[None]:
        """Start a child, and restart it whenever it exits; return the task that does."""
        task = asyncio.create_task(self._keep(child), name=child.name)
        task.add_done_callback(self._on_given_up)
        self._kept.append((child, task))
        return task

    def request_stop(self) -> None:
        """Stop all children and return from `run`; called twice, kill them. For signal handlers."""
        if self._stop.is_set():
            self._at_once.set()
        self._stop.set()

    def request_replacement(self) -> None:
        """Replace each child that has a `ready_line`, one after the other. For signal handlers."""
        self._replace.set()

    async def _start(self, start: Callable[[], Awaitable[None]]) -> None:
        await start()
        self._has_started = True

    async def _replace_on_request(self) -> None:
        while True:
            await self._replace.wait()
            self._replace.clear()
            for child in [child for child, _ in self._kept if child.ready_line]:
                if not await self._replaced(child):
                    self._say(f"{child.name} could not be replaced; the old processes keep running.")
                    break
            else:
                self._say("All server processes have been replaced.")

    async def _replaced(self, child: Child) -> bool:
        """Start a successor; once it is ready, stop the child. If it does not become ready, end it instead."""
        successor = child.successor()
        successor.is_kept = False
        task = self.keep(successor)
        ready = asyncio.create_task(successor.ready.wait())
        await asyncio.wait({ready, task}, timeout=READY_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        ready.cancel()
        is_ready = successor.ready.is_set() and not task.done()
        successor.is_kept = is_ready
        await self._retire(child if is_ready else successor)
        return is_ready

    async def _retire(self, child: Child) -> None:
        """Stop a child for good, while the others go on."""
        child.is_retired = True
        task = next(task for kept, task in self._kept if kept is child)
        await self._end(child, task)
        self._kept = [each for each in self._kept if each[0] is not child]

    async def _keep(self, child: Child) -> None:
        rules = self._restarts
        exits = quick_exits = 0
        while True:
            started = self._clock()
            how = await child.run(stdin=self._watchdog_pipe, say=self._say)
            if self._stopping or child.is_retired:
                return
            if not child.is_kept:
                self._say(f"{child.name} {how}.")
                return
            ran_seconds = self._clock() - started
            exits = 1 if ran_seconds >= rules.stable_seconds else exits + 1
            is_quick = ran_seconds < rules.quick_seconds or not self._has_started
            quick_exits = quick_exits + 1 if is_quick else 0
            if quick_exits >= rules.max_quick_exits:
                lines = "".join(f"\n  {line}" for line in child.last_lines) or " It printed nothing."
                raise ChildError(
                    f"{child.name} {how} right after its start, {quick_exits} times in a row.{lines}"
                )
            delay = min(rules.first_delay_seconds * 2 ** (exits - 1), rules.longest_delay_seconds)
            self._say(f"{child.name} {how}; restarting in {delay:g} s.")
            if child.listener and not self._is_shared(child):
                child.listener.close()  # meanwhile, new connections are the others'
            await self._sleep(delay)

    def _is_shared(self, child: Child) -> bool:
        return any(kept is not child and kept.listener is child.listener for kept, _ in self._kept)

    def _on_given_up(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) and not self._failure.done():
            self._failure.set_exception(error)

    async def _stop_all(self) -> None:
        self._stopping = True
        for child, _ in self._kept:
            if child.listener is not None:
                child.listener.close()
        # Those that stand in for each other at once: a client of one would only go on to the next.
        equals = [each for each in self._kept if each[0].ready_line]
        await asyncio.gather(*(self._end(child, task) for child, task in equals))
        for child, task in reversed([each for each in self._kept if each not in equals]):
            await self._end(child, task)

    async def _end(self, child: Child, task: asyncio.Task[None]) -> None:
        if child.pid is None:
            task.cancel()
        await child.stop(at_once=self._at_once, say=self._say)
        await asyncio.wait({task})
