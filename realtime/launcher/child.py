"""One child process: started, watched, and stopped. Which of them run, and when, is the supervisor's business."""

from __future__ import annotations

import asyncio
import os
import signal
from collections import deque
from collections.abc import Callable, Mapping, Sequence

from positions.books.terminal import printable
from realtime.launcher.listeners import Listener
from realtime.monitoring.redaction import redact

LINES_KEPT = 20
OUTPUT_GRACE_SECONDS = 1.0
"""How long to wait for the last output of a child that has exited."""
DESCRIPTOR = "{listener}"
"""Stands in a command for the number of its listener's descriptor."""

Say = Callable[[str], None]


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
        ready_line: str | None = None,
        listener: Listener | None = None,
    ) -> None:
        self.name = name
        """Printed before each line of its output."""
        self.command = command
        self.environment = environment
        """None: that of the supervisor."""
        self.stop_seconds = stop_seconds
        """From SIGTERM to SIGKILL."""
        self.ready_line = ready_line
        """What it prints, on a line of its own, when it is ready: such a child can be replaced while it runs."""
        self.listener = listener
        """Handed down to the process, in whose command DESCRIPTOR stands for it."""
        self.ready = asyncio.Event()
        self.is_kept = True
        """Whether it is restarted when it exits: not before it has replaced another."""
        self.is_retired = False
        """Whether it is to exit, and another has its place."""
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
        self.ready.clear()
        try:
            command, passed = list(self.command), []
            if self.listener is not None:
                passed = [self.listener.open()]
                command = [part.replace(DESCRIPTOR, str(passed[0])) for part in command]
            self._process = await asyncio.create_subprocess_exec(
                *command,
                pass_fds=passed,
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

    def successor(self) -> Child:
        """Return a child that runs the same, to take this one's place."""
        return Child(
            self.name,
            self.command,
            environment=self.environment,
            stop_seconds=self.stop_seconds,
            ready_line=self.ready_line,
            listener=self.listener,
        )

    async def _relay(self, output: asyncio.StreamReader, say: Say) -> None:
        while True:
            try:
                line = await output.readline()
            except ValueError:  # longer than the reader's limit, 64 KiB; the reader has dropped it
                line = b"(a line too long to show)\n"
            if not line:
                return
            # Its log lines have no token; what a library prints, or an exception that ends it, might.
            text = printable(redact(line.decode(errors="replace").rstrip()))
            if text == self.ready_line:
                self.ready.set()
                continue
            self.last_lines.append(text)
            say(f"{self.name} │ {text}")
