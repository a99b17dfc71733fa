"""The lives of child processes: started, watched, started again when they die, and ended in order.

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
"""How long after a child's end its last output may still come."""

Say = Callable[[str], None]


class ChildError(Exception):
    """A child that cannot be kept alive. The message, for a terminal: how it ended, and its last lines."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Restarts:
    """How long a dead child waits for its next life, and when to give up."""

    first_delay_seconds: float = 0.5
    """Doubled with each further death."""
    longest_delay_seconds: float = 30.0
    settled_seconds: float = 60.0
    """A child that ran this long is sound: its next death counts as the first."""
    quick_seconds: float = 10.0
    """A death sooner than this after the start is one of a child that cannot run at all."""
    quick_deaths: int = 5
    """So many of those in a row, and the supervisor gives up."""


class Child:
    """One command and the process that runs it, in a session of its own.

    Its own session: a terminal's Ctrl-C goes to every process of the foreground group, and would end the
    children in no order at all.
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
        """Printed before each line that it writes."""
        self.command = command
        self.environment = environment
        """None: the supervisor's own."""
        self.stop_seconds = stop_seconds
        """From SIGTERM to SIGKILL."""
        self.last_lines: deque[str] = deque(maxlen=LINES_KEPT)
        self._process: asyncio.subprocess.Process | None = None

    @property
    def pid(self) -> int | None:
        """The running process; None where there is none."""
        if self._process is None or self._process.returncode is not None:
            return None
        return self._process.pid

    async def live(self, *, lifeline: int, say: Say) -> str:
        """Run the command to its end and return how it ended. `lifeline` becomes its standard input.

        Cancelled while it starts, there is no process; cancelled later, the process goes on.
        """
        self.last_lines.clear()
        try:
            self._process = await asyncio.create_subprocess_exec(
                *self.command,
                stdin=lifeline,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.STDOUT,
                env=self.environment,
                start_new_session=True,
            )
        except OSError as error:
            return f"could not be started ({error})"
        assert self._process.stdout is not None  # noqa: S101 - asked for, three lines up
        output = asyncio.create_task(self._pass_on(self._process.stdout, say))
        code = await self._process.wait()
        # A grandchild may hold the pipe open for as long as it lives.
        await asyncio.wait({output}, timeout=OUTPUT_GRACE_SECONDS)
        output.cancel()
        return f"ended with exit code {code}" if code >= 0 else f"was ended by {signal.Signals(-code).name}"

    async def stop(self, *, hurry: asyncio.Event, say: Say) -> None:
        """Ask the process to end; kill it and its children after `stop_seconds`, or once `hurry` is set."""
        process = self._process
        if process is None or process.returncode is not None:
            return
        process.terminate()
        ended = asyncio.create_task(process.wait())
        hurried = asyncio.create_task(hurry.wait())
        await asyncio.wait({ended, hurried}, timeout=self.stop_seconds, return_when=asyncio.FIRST_COMPLETED)
        hurried.cancel()
        if process.returncode is None:
            why = "in a hurry" if hurry.is_set() else f"it did not end within {self.stop_seconds:g} s"
            say(f"{self.name}: killed, {why}.")
            os.killpg(process.pid, signal.SIGKILL)
        await ended

    async def _pass_on(self, output: asyncio.StreamReader, say: Say) -> None:
        while True:
            try:
                line = await output.readline()
            except ValueError:  # longer than the reader's limit, 64 KiB; the reader has thrown it away
                line = b"(a line too long to show)\n"
            if not line:
                return
            text = line.decode(errors="replace").rstrip()
            self.last_lines.append(text)
            say(f"{self.name} │ {text}")


class Supervisor:
    """Keeps children alive until it is asked to stop or one of them cannot be kept."""

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
        """In the order in which they were started."""
        self._stop = asyncio.Event()
        self._hurry = asyncio.Event()
        self._ending = False

    async def run(self, start: Callable[[], Awaitable[None]]) -> None:
        """Await `start`, which calls `keep`; then wait for `request_stop`. All children have ended on return.

        Raises ChildError, and whatever `start` raises. They end in the reverse order of their start, so what
        others depend on is started first and ends last.
        """
        self._failure: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        # Children get the read end as their standard input, nobody the write end (see realtime.launcher.watchdog).
        self._lifeline, held = os.pipe()
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
            await self._end_all()
            os.close(held)
            os.close(self._lifeline)

    def keep(self, child: Child) -> None:
        """Start a child, and start it again whenever it dies."""
        task = asyncio.create_task(self._keep(child), name=child.name)
        task.add_done_callback(self._on_given_up)
        self._kept.append((child, task))

    def request_stop(self) -> None:
        """End all children and return from `run`; asked twice, kill them. For signal handlers."""
        if self._stop.is_set():
            self._hurry.set()
        self._stop.set()

    async def _keep(self, child: Child) -> None:
        rules = self._restarts
        deaths = quick_deaths = 0
        while True:
            started = self._clock()
            how = await child.live(lifeline=self._lifeline, say=self._say)
            if self._ending:
                return
            lived_seconds = self._clock() - started
            deaths = 1 if lived_seconds >= rules.settled_seconds else deaths + 1
            quick_deaths = quick_deaths + 1 if lived_seconds < rules.quick_seconds else 0
            if quick_deaths >= rules.quick_deaths:
                lines = "".join(f"\n  {line}" for line in child.last_lines) or " It wrote nothing."
                raise ChildError(
                    f"{child.name} {how}, {quick_deaths} times in a row, right after its start.{lines}"
                )
            delay = min(rules.first_delay_seconds * 2 ** (deaths - 1), rules.longest_delay_seconds)
            self._say(f"{child.name} {how}; starting it again in {delay:g} s.")
            await self._sleep(delay)

    def _on_given_up(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) and not self._failure.done():
            self._failure.set_exception(error)

    async def _end_all(self) -> None:
        self._ending = True
        for child, task in reversed(self._kept):
            if child.pid is None:
                task.cancel()
            await child.stop(hurry=self._hurry, say=self._say)
            await asyncio.wait({task})
