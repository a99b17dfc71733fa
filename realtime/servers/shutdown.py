"""Graceful shutdown: an ASGI wrapper that closes every socket before its server stops.

Left alone, daphne drops its sockets (clients see 1006, and no consumer's `disconnect` runs), and uvicorn closes them
with 1012. This wrapper sees the signal first. It sends each client `closing`, then close 1000 `Server shutdown`,
waits for the answers, gives each consumer its `websocket.disconnect`, closes the hub, and only then lets the server's
own handler run; `/health/ready` answers 503 meanwhile. (Doing so when the server cancels its applications is too late:
daphne 4.2.3 skips that where an HTTP request was answered within the last second, `kill_all_applications` raising
KeyError.)

All who are closed reconnect. So many sockets are closed one after the other, over DRAIN_SECONDS; those whose turn has
not come are served as ever.

Signals can be caught in the main thread only: under `runserver` with its reloader the sockets are dropped.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import threading
from collections.abc import Awaitable, Callable, Coroutine
from types import FrameType
from typing import Any

from realtime.conf import conf
from realtime.hub.hub import close_hub
from realtime.servers import running
from realtime.socket.connection import Connection, Receive, Scope, Send

logger = logging.getLogger(__name__)

Application = Callable[[Scope, Receive, Send], Awaitable[None]]

LEAST_CLOSES_PER_SECOND = 100
"""A few sockets need not wait for one another."""
LAST_SECONDS = 3.0
"""How long the last one may take."""
HUB_SECONDS = 2.0
"""How long the hub may take to release its claims."""
SIGNALS = (signal.SIGTERM, signal.SIGINT)


async def _all_done(timeout_seconds: float, *work: Coroutine[Any, Any, None]) -> None:
    """Do all of it at once, for so long at most. What fails is logged, and stops nothing else."""
    tasks = [asyncio.ensure_future(each) for each in work]
    done, late = await asyncio.wait(tasks, timeout=timeout_seconds)
    for task in late:
        task.cancel()  # not waited for: one may swallow it
    for task in done:
        if not task.cancelled() and task.exception() is not None:
            logger.error("the shutdown goes on without a part that failed", exc_info=task.exception())


class GracefulShutdown:
    """Wraps a process's application. If there are several, each closes its own sockets."""

    def __init__(self, application: Application) -> None:
        running.install()  # `runserver` loads daphne after the apps
        self._application = application
        self._sockets: set[Connection] = set()
        self._server_handlers: dict[int, Any] = {}
        self._draining: asyncio.Task[None] | None = None
        self._drain_seconds = 0.0
        self._drained = False

    @property
    def is_draining(self) -> bool:
        """Whether this process is shutting down and refuses new sockets."""
        return self._draining is not None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        # Not earlier: servers set their own handlers after they have imported the application.
        self._chain_handlers()
        if scope["type"] != "websocket":
            await self._application({**scope, "is_draining": self.is_draining}, receive, send)
            return
        socket = Connection(scope, receive, send)
        if self.is_draining:
            await socket.refuse(self._drain_seconds)
            return
        self._sockets.add(socket)
        try:
            with socket:
                await self._application({**scope, "connection": socket}, socket.receive, socket.send)
        finally:
            self._sockets.discard(socket)

    def _chain_handlers(self) -> None:
        if self._server_handlers or threading.current_thread() is not threading.main_thread():
            return
        loop = asyncio.get_running_loop()
        for number in SIGNALS:
            self._server_handlers[number] = signal.getsignal(number)
            signal.signal(number, lambda signum, frame: self._signalled(loop, signum, frame))

    def _signalled(self, loop: asyncio.AbstractEventLoop, signum: int, frame: FrameType | None) -> None:
        if self._drained or not loop.is_running():
            self._pass_on(signum, frame)
        else:
            loop.call_soon_threadsafe(self._start_draining, signum)

    def _start_draining(self, signum: int) -> None:
        if self._draining is None:  # a terminal's Ctrl-C and a supervisor's SIGTERM may both arrive
            self._draining = asyncio.ensure_future(self._drain(signum))

    async def _drain(self, signum: int) -> None:
        """Close sockets and hub, then let the server end: whatever fails here, and however often it is cancelled."""
        try:
            if self._sockets:
                await self._close_sockets(list(self._sockets))
            await _all_done(HUB_SECONDS, close_hub())
        finally:
            self._drained = True
            self._pass_on(signum, None)

    async def _close_sockets(self, sockets: list[Connection]) -> None:
        self._drain_seconds = min(conf.DRAIN_SECONDS, len(sockets) / LEAST_CLOSES_PER_SECOND)
        logger.info("closing %d sockets over %.1f s", len(sockets), self._drain_seconds)
        pause = self._drain_seconds / len(sockets)

        async def close(place: int, socket: Connection) -> None:
            await asyncio.sleep(place * pause)
            # As long for each, so that they come back when this process is gone, and as spread as they were closed.
            await socket.shut_down(self._drain_seconds)

        closes = (close(place, socket) for place, socket in enumerate(sockets))
        await _all_done(self._drain_seconds + LAST_SECONDS, *closes)

    def _pass_on(self, signum: int, frame: FrameType | None) -> None:
        handler = self._server_handlers[signum]
        if callable(handler):
            handler(signum, frame)
        elif handler == signal.SIG_DFL:
            signal.signal(signum, signal.SIG_DFL)
            signal.raise_signal(signum)
