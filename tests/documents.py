"""The fenced blocks of this project's pages, for the tests that run them."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
from typing import NamedTuple, Self

from tests.live import PATIENCE_SECONDS, ROOT


class Block(NamedTuple):
    language: str
    title: str
    """The words before it, where they are a line of their own that ends in a colon; a file's name is in `…`."""
    text: str


def blocks(page: str, language: str = "") -> list[Block]:
    """Return the page's blocks, of one language if it is named, in order. A page without any fails."""
    text = (ROOT / page).read_text()
    found = [
        Block(match["language"], (match["title"] or "").strip(), match["text"])
        for match in FENCED.finditer(text)
        if not language or match["language"] == language
    ]
    assert found, f"{page} has no {language} block"
    return found


FENCED = re.compile(
    r"(?:^(?P<title>[^\n]*):\n\n)?^```(?P<language>\w*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL
)


class Program:
    """A process that runs what a page shows, and what it writes. It and its children end with the block."""

    def __init__(self, *command: str, **environment: str) -> None:
        self._command = command
        self._environment = {**os.environ, **environment}
        self.lines: list[str] = []

    async def __aenter__(self) -> Self:
        self.process = await asyncio.create_subprocess_exec(
            *self._command,
            env=self._environment,
            cwd=ROOT,
            stdin=asyncio.subprocess.PIPE,  # open: some end with their input
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            limit=2**20,  # a message is a line
            start_new_session=True,
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        await self.process.wait()

    async def line(self) -> str:
        """Return the next line. Fails where there is none in time."""
        assert self.process.stdout
        try:
            line = await asyncio.wait_for(self.process.stdout.readline(), 2 * PATIENCE_SECONDS)
        except TimeoutError:
            line = b""
        assert line, "it wrote only:\n" + "\n".join(self.lines)
        self.lines.append(line.decode().rstrip())
        return self.lines[-1]

    async def until(self, text: str) -> str:
        """Return the next line that has this in it."""
        while text not in (line := await self.line()):
            pass
        return line
