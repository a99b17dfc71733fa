"""A server that ends says goodbye: an ASGI wrapper that closes every socket before its server does.

Left alone, daphne drops its sockets (clients see 1006, and no consumer's `disconnect` runs), and uvicorn closes them
with 1012. This wrapper sees the signal first. It tells each client (`closing`, then close 1000 `Server shutdown`),
waits for the answers, hands each consumer its `websocket.disconnect`, closes the hub, and only then lets the server's
own handler run; `/health/ready` says no meanwhile. (Draining when the server cancels its applications is too late:
daphne 4.2.3 skips that where an HTTP request was answered within the last second, `kill_all_applications` raising
KeyError.)

Signals can be caught in the main thread only: under `runserver` with its reloader there is no goodbye.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import threading
from collections.abc import Awaitable, Callable, MutableMapping
from types import FrameType
from typing import Any

from django.conf import settings

from realtime import protocol
from realtime.hub import close_hub
from realtime.protocol import CloseReason
from realtime.transport import cut_off, direct_write, is_gone, keep_unsent_small, let_go

logger = logging.getLogger(__name__)

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[MutableMapping[str, Any], Receive, Send], Awaitable[None]]

ANSWER_SECONDS = 3.0
"""How long a client has to answer the close."""
DRAIN_SECONDS = 5.0
"""How long all of that may take."""
HUB_SECONDS = 2.0
"""How long the hub may take to give its claims back."""
SIGNALS = (signal.SIGTERM, signal.SIGINT)


class GracefulShutdown:
    """Wraps the outermost application of a process; as many as there are share nothing."""

    def __init__(self, application: Application) -> None:
        self._application = application
        self._sockets: set[Connection] = set()
        self._server_handlers: dict[int, Any] = {}
        self._draining: asyncio.Task[None] | None = None
        self._drained = False

    @property
    def is_draining(self) -> bool:
        """Whether this process has begun to end, and takes no new sockets."""
        return self._draining is not None

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        # Not earlier: servers set their own handlers after they have imported the application.
        self._chain_handlers()
        if scope["type"] != "websocket":
            await self._application({**scope, "is_draining": self.is_draining}, receive, send)
            return
        socket = Connection(receive, send)
        if self.is_draining:
            await socket.refuse()
            return
        self._sockets.add(socket)
        keep_unsent_small(send)
        try:
            await self._application({**scope, "connection": socket}, socket.receive, socket.send)
        finally:
            self._sockets.discard(socket)
            socket.end()
            let_go(send, seconds=ANSWER_SECONDS if self.is_draining else settings.REALTIME["CLOSE_SECONDS"])

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
            goodbyes = [asyncio.ensure_future(socket.say_goodbye()) for socket in self._sockets]
            await asyncio.wait(goodbyes, timeout=DRAIN_SECONDS)
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


class Connection:
    """One socket between server and application, cut off from the application when the process ends.

    The application finds it as `scope["connection"]`: what ASGI has no message for.
    """

    __slots__ = (
        "_accepted", "_answered", "_closed", "_disconnected", "_ended", "_has_ended", "_receive", "_receiver", "_send",
        "write_now",
    )  # fmt: skip

    def __init__(self, receive: Receive, send: Send) -> None:
        self.write_now = direct_write(send)
        self._receive = receive
        self._send = send
        self._accepted = False
        self._closed = False
        self._disconnected = False
        self._has_ended = False
        self._receiver: asyncio.Task[Any] | None = None
        # Made when the process ends: an event takes 0.7 kB, which an idle socket need not cost.
        self._answered: asyncio.Event | None = None
        self._ended: asyncio.Event | None = None

    def is_leaving(self) -> bool:
        """Whether the process, which ends, has said its goodbye here."""
        return self._answered is not None

    def is_gone(self) -> bool:
        """Whether the client's end is gone, of which the application may not have heard yet."""
        return is_gone(self._send)

    def cut_off(self) -> None:
        """End it, though its client does not read, so not even its close."""
        cut_off(self._send)

    def end(self) -> None:
        """Note that the application has left the socket."""
        self._has_ended = True
        if self._ended is not None:
            self._ended.set()

    async def receive(self) -> Message:
        """The server's receive, until the goodbye; then, once the client has answered, the disconnect."""
        task = asyncio.current_task()
        if not self.is_leaving():
            self._receiver = task
            try:
                message = await self._receive()
                if message["type"] == "websocket.disconnect":
                    self._disconnected = True
                return message
            except asyncio.CancelledError:
                if task is None or not self.is_leaving():
                    raise
                task.uncancel()
            finally:
                self._receiver = None
        assert self._answered is not None  # noqa: S101  it is leaving
        await self._answered.wait()
        return {"type": "websocket.disconnect", "code": CloseReason.SHUTDOWN.value.code}

    async def send(self, message: Message) -> None:
        if self.is_leaving():
            return  # the last word has been said
        if message["type"] == "websocket.accept":
            self._accepted = True
        elif message["type"] == "websocket.close":
            self._closed = True
        await self._send(message)

    async def say_goodbye(self) -> None:
        """Close the socket, wait for the client's answer, then for the application to end."""
        if self._has_ended:
            return
        self._answered, self._ended = asyncio.Event(), asyncio.Event()
        if self._disconnected:  # the client was faster
            await self._ended.wait()
            return
        if self._receiver is not None:
            self._receiver.cancel()
        try:
            await asyncio.wait_for(self._close(), ANSWER_SECONDS)
        except (TimeoutError, OSError):
            # Gone already, or not listening: uvicorn would wait for it without a limit.
            self.cut_off()
        finally:
            self._answered.set()
        await self._ended.wait()

    async def _close(self) -> None:
        close = CloseReason.SHUTDOWN.value
        if not self._closed:
            if self._accepted:
                retry_after: float = settings.REALTIME["RETRY_AFTER_SECONDS"]
                await self._send(
                    {
                        "type": "websocket.send",
                        "text": protocol.closing(close, retry_after_seconds=retry_after),
                    }
                )
            await self._send({"type": "websocket.close", "code": close.code, "reason": close.reason})
        while (await self._receive())["type"] != "websocket.disconnect":
            pass

    async def refuse(self) -> None:
        """Turn a new socket away while the process ends."""
        await self._receive()
        await self.send({"type": "websocket.accept"})
        await self._close()
