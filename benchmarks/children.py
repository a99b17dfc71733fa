"""Processes that take commands on standard input, one JSON object per line, and answer on standard output."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import threading
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from queue import Empty, Queue
from typing import Any

from testbed import forkserver
from testbed.processes import ROOT

PATIENCE_SECONDS = 60.0
LONGEST_LINE_BYTES = 2**26


Start = Callable[..., forkserver.Process | subprocess.Popen[bytes]]
"""`subprocess.Popen`, or `testbed.forkserver.start`: cheaper, but shares memory with the process it is forked from."""


class ChildError(Exception):
    """A child process ended, or did not answer in time. The message contains its last output."""


class Child:
    """This end: starts the process, asks, and ends it."""

    def __init__(
        self, module: str, *arguments: str, environment: Mapping[str, str], log: Path, start: Start
    ) -> None:
        self._log = log
        self._answers: Queue[Any] = Queue()
        (theirs, ours), (output, write_end) = os.pipe(), os.pipe()
        self._commands, self._output = os.fdopen(ours, "w"), os.fdopen(output)
        with log.open("ab") as errors, os.fdopen(theirs) as stdin, os.fdopen(write_end, "w") as stdout:
            command = [sys.executable, "-m", module, *arguments]
            self.process = start(
                command, env=dict(environment), cwd=ROOT, stdin=stdin, stdout=stdout, stderr=errors
            )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def pid(self) -> int:
        return self.process.pid

    def send(self, do: str, **command: Any) -> None:
        """Send a command; `answer` waits for its result."""
        try:
            self._commands.write(json.dumps({"do": do, **command}) + "\n")
            self._commands.flush()
        except OSError:
            raise ChildError(self._last_words()) from None

    def answer(self, timeout_seconds: float = PATIENCE_SECONDS) -> Any:
        """Return its next answer. Raises ChildError."""
        try:
            answer = self._answers.get(timeout=timeout_seconds)
        except Empty:
            raise ChildError(f"no answer within {timeout_seconds:g} s: {self._last_words()}") from None
        if answer is None:
            raise ChildError(self._last_words())
        return answer["answer"]

    def ask(self, do: str, *, timeout_seconds: float = PATIENCE_SECONDS, **command: Any) -> Any:
        self.send(do, **command)
        return self.answer(timeout_seconds)

    def close(self) -> None:
        try:
            self._commands.close()
            self.process.wait(5)
        except (OSError, subprocess.TimeoutExpired):
            self.process.kill()
            self.process.wait()
        self._reader.join(5)
        self._output.close()

    def _read(self) -> None:
        for line in self._output:
            self._answers.put(json.loads(line))
        self._answers.put(None)

    def _last_words(self) -> str:
        return f"{self._log.name}: {self._log.read_text(errors='replace')[-2000:]}"


def say(answer: Any) -> None:
    """The other end: answer a command."""
    sys.stdout.write(json.dumps({"answer": answer}) + "\n")
    sys.stdout.flush()


def obey(commands: Mapping[str, Callable[..., Any]]) -> None:
    """Carry out commands until the process that started this one is gone."""
    for line in sys.stdin:
        command = json.loads(line)
        say(commands[command.pop("do")](**command))


async def obey_async(commands: Mapping[str, Callable[..., Awaitable[Any]]]) -> None:
    """Like `obey`, on an event loop that goes on between commands."""
    reader = asyncio.StreamReader(limit=LONGEST_LINE_BYTES)
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(0, "rb")
    )
    while line := await reader.readline():
        command = json.loads(line)
        say(await commands[command.pop("do")](**command))
