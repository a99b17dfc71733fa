"""Child processes: started, watched, restarted when they exit, and stopped in order.

Knows nothing of Django: `manage.py up` says what runs, this module keeps it running.
"""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

LINES_KEPT = 20
OUTPUT_GRACE_SECONDS = 1.0
"""How long to wait for the last output of a child that has exited."""

Say = Callable[[str], None]


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
    """A child that exits sooner than this after its start probably cannot run at all."""
    max_quick_exits: int = 5
    """After this many of those in a row the supervisor gives up."""


class Child:
    """One command and the process that runs it, in a session of its own.

    A session of its own, because a terminal sends Ctrl-C to every process of the foreground group, which would stop
    the children in no particular order.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        *,
        environment: Mapping[str, str] | None = None,
        stop_seconds: float = 12.0,
    ) -> None:
        self.name = name
        """Printed before each line of its output."""
        self.command = command
        self.environment = environment
        """None: that of the supervisor."""
        self.stop_seconds = stop_seconds
        """From SIGTERM to SIGKILL."""
        self.last_lines: deque[str] = deque(maxlen=LINES_KEPT)
        self._process: asyncio.subprocess.Process | None = None

    @property
    def pid(self) -> int | None:
        """The running process; None if there is none."""
        if self._process is None or self._process.returncode is not None:
            return None
        return self._process.pid

    async def run(self, *, stdin: int, say: Say) -> str:
        """Run the command until it exits, and return how it exited.

        Cancelled while it starts, there is no process; cancelled later, the process keeps running.
        """
        self.last_lines.clear()
        try:
            self._process = await asyncio.create_subprocess_exec(
                *self.command,
                stdin=stdin,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.STDOUT,
                env=self.environment,
                start_new_session=True,
            )
        except OSError as error:
            return f"could not be started ({error})"
        assert self._process.stdout is not None  # noqa: S101 - asked for, three lines up
        output = asyncio.create_task(self._relay(self._process.stdout, say))
        code = await self._process.wait()
        # A grandchild may keep the pipe open as long as it runs.
        await asyncio.wait({output}, timeout=OUTPUT_GRACE_SECONDS)
        output.cancel()
        return f"exited with code {code}" if code >= 0 else f"was killed by {signal.Signals(-code).name}"

    async def stop(self, *, at_once: asyncio.Event, say: Say) -> None:
        """Terminate the process; kill it and its children after `stop_seconds`, or once `at_once` is set."""
        process = self._process
        if process is None or process.returncode is not None:
            return
        process.terminate()
        ended = asyncio.create_task(process.wait())
        waiting = asyncio.create_task(at_once.wait())
        await asyncio.wait({ended, waiting}, timeout=self.stop_seconds, return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
        if process.returncode is None:
            why = "on request" if at_once.is_set() else f"it did not stop within {self.stop_seconds:g} s"
            say(f"{self.name}: killed, {why}.")
            os.killpg(process.pid, signal.SIGKILL)
        await ended

    async def _relay(self, output: asyncio.StreamReader, say: Say) -> None:
        while True:
            try:
                line = await output.readline()
            except ValueError:  # longer than the reader's limit, 64 KiB; the reader has dropped it
                line = b"(a line too long to show)\n"
            if not line:
                return
            text = line.decode(errors="replace").rstrip()
            self.last_lines.append(text)
            say(f"{self.name} │ {text}")


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
        self._stopping = False

    async def run(self, start: Callable[[], Awaitable[None]]) -> None:
        """Await `start`, which calls `keep`; then wait for `request_stop`. On return all children have exited.

        Raises ChildError, and what `start` raises. Children are stopped in reverse order, so start first what others
        depend on.
        """
        self._failure: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        # Children get the read end as their standard input, and only this process has the write end: see
        # realtime.launcher.watchdog.
        self._watchdog_pipe, write_end = os.pipe()
        starting = asyncio.ensure_future(start())
        stopping = asyncio.create_task(self._stop.wait())
        waiting: set[asyncio.Future[Any]] = {starting, stopping, self._failure}
        try:
            while not stopping.done():
                done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
                for future in sorted(done, key=lambda future: future is not self._failure):
                    future.result()
        finally:
            for future in (starting, stopping, self._failure):
                future.cancel()
            await asyncio.gather(starting, stopping, self._failure, return_exceptions=True)
            await self._stop_all()
            os.close(write_end)
            os.close(self._watchdog_pipe)

    def keep(self, child: Child) -> None:
        """Start a child, and restart it whenever it exits."""
        task = asyncio.create_task(self._keep(child), name=child.name)
        task.add_done_callback(self._on_given_up)
        self._kept.append((child, task))

    def request_stop(self) -> None:
        """Stop all children and return from `run`; called twice, kill them. For signal handlers."""
        if self._stop.is_set():
            self._at_once.set()
        self._stop.set()

    async def _keep(self, child: Child) -> None:
        rules = self._restarts
        exits = quick_exits = 0
        while True:
            started = self._clock()
            how = await child.run(stdin=self._watchdog_pipe, say=self._say)
            if self._stopping:
                return
            ran_seconds = self._clock() - started
            exits = 1 if ran_seconds >= rules.stable_seconds else exits + 1
            quick_exits = quick_exits + 1 if ran_seconds < rules.quick_seconds else 0
            if quick_exits >= rules.max_quick_exits:
                lines = "".join(f"\n  {line}" for line in child.last_lines) or " It printed nothing."
                raise ChildError(
                    f"{child.name} {how} right after its start, {quick_exits} times in a row.{lines}"
                )
            delay = min(rules.first_delay_seconds * 2 ** (exits - 1), rules.longest_delay_seconds)
            self._say(f"{child.name} {how}; restarting in {delay:g} s.")
            await self._sleep(delay)

    def _on_given_up(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) and not self._failure.done():
            self._failure.set_exception(error)

    async def _stop_all(self) -> None:
        self._stopping = True
        for child, task in reversed(self._kept):
            if child.pid is None:
                task.cancel()
            await child.stop(at_once=self._at_once, say=self._say)
            await asyncio.wait({task})
