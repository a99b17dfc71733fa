"""Graceful shutdown: an ASGI wrapper that closes every socket before its server stops.

Left alone, daphne drops its sockets (clients see 1006, and no consumer's `disconnect` runs), and uvicorn closes them
with 1012. This wrapper sees the signal first. It sends each client `closing`, then close 1000 `Server shutdown`,
waits for the answers, gives each consumer its `websocket.disconnect`, closes the hub, and only then lets the server's
own handler run; `/health/ready` answers 503 meanwhile. (Doing so when the server cancels its applications is too late:
daphne 4.2.3 skips that where an HTTP request was answered within the last second, `kill_all_applications` raising
KeyError.)

Signals can be caught in the main thread only: under `runserver` with its reloader the sockets are dropped.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import threading
from collections.abc import Awaitable, Callable
from types import FrameType
from typing import Any

from realtime.hub.hub import close_hub
from realtime.socket.connection import Connection, Receive, Scope, Send

logger = logging.getLogger(__name__)

Application = Callable[[Scope, Receive, Send], Awaitable[None]]

DRAIN_SECONDS = 5.0
"""How long all of that may take."""
HUB_SECONDS = 2.0
"""How long the hub may take to release its claims."""
SIGNALS = (signal.SIGTERM, signal.SIGINT)


class GracefulShutdown:
    """Wraps a process's application. If there are several, each closes its own sockets."""

    def __init__(self, application: Application) -> None:
        self._application = application
        self._sockets: set[Connection] = set()
        self._server_handlers: dict[int, Any] = {}
        self._draining: asyncio.Task[None] | None = None
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
            await socket.refuse()
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
        if self._sockets:
            logger.info("closing %d sockets", len(self._sockets))
            closing = [asyncio.ensure_future(socket.shut_down()) for socket in self._sockets]
            await asyncio.wait(closing, timeout=DRAIN_SECONDS)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(close_hub(), HUB_SECONDS)
        self._drained = True
        self._pass_on(signum, None)

    def _pass_on(self, signum: int, frame: FrameType | None) -> None:
        handler = self._server_handlers[signum]
        if callable(handler):
            handler(signum, frame)
        elif handler == signal.SIG_DFL:
            signal.signal(signum, signal.SIG_DFL)
            signal.raise_signal(signum)
