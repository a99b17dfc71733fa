"""A proxy in front of a server whose connections can fall silent, and whose new ones may lead elsewhere."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Self

from tests.servers import FOLDER


class ProxyThread:
    """A proxy in a thread, for processes whose own event loop comes and goes."""

    def __init__(self, target: str) -> None:
        self.proxy = SilentProxy(target)
        self.port = 0
        self._started = threading.Event()
        self._loop = asyncio.new_event_loop()
        self._end = asyncio.Event()
        self._thread = threading.Thread(
            target=self._loop.run_until_complete, args=(self._serve(),), daemon=True
        )

    def __enter__(self) -> Self:
        self._thread.start()
        self._started.wait()
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._end.set)
        self._thread.join()
        self._loop.close()

    async def _serve(self) -> None:
        async with self.proxy.serving() as self.port:
            self._started.set()
            await self._end.wait()


class SilentProxy:
    """A TCP port in front of a Unix socket, Valkey's, whose connections can be made to swallow everything."""

    def __init__(self, target: str = f"{FOLDER}/valkey.sock", *, tls: ssl.SSLContext | None = None) -> None:
        self._tls = tls
        self.target = target
        """The socket that new connections lead to."""
        self.is_hole = False
        """Whether new connections are accepted, and swallow everything, too."""
        self.swallowed = 0
        """How often something was sent in vain."""
        self._silent: set[int] = set()
        self._number = 0
        self._tasks: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[int]:
        """Yield the port."""
        server = await asyncio.start_server(self._accept, "127.0.0.1", 0, ssl=self._tls)
        try:
            yield server.sockets[0].getsockname()[1]
        finally:
            server.close()
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    def fall_silent(self) -> None:
        """Swallow what comes through the connections of this moment, in both directions, for ever. New ones work."""
        self._silent.update(range(self._number + 1))

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._number += 1
        number = self._number
        if self.is_hole:
            self._silent.add(number)
        there = await asyncio.open_unix_connection(self.target)
        for source, target in ((reader, there[1]), (there[0], writer)):
            task = asyncio.create_task(self._copy(number, source, target))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _copy(self, number: int, source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        try:
            while data := await source.read(65_536):
                if number in self._silent:
                    self.swallowed += 1
                else:
                    target.write(data)
        finally:
            target.close()
            with contextlib.suppress(ConnectionError):
                await target.wait_closed()
