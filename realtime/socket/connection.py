"""One socket between server and application, and what ASGI has no message for: access to the connection itself.

realtime/servers/ puts the server's own protocol object into the scope, as the extension EXTENSION. Without it (another
server, or a version that was not checked: docs/private-apis.md), a client that does not read is dropped only after a
time-out, and one warning per process says so.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Protocol, Self

from django.conf import settings

from realtime.hub.outbox import WriteNow
from realtime.protocol import messages
from realtime.protocol.messages import CloseReason

logger = logging.getLogger(__name__)

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

EXTENSION = "nexgent.protocol"
ANSWER_SECONDS = 3.0
"""How long a client has to answer the close of a process that shuts down."""
UNSENT_BYTES = 16 * 1024
"""How much unsent data the kernel buffers for a connection."""
UNKNOWN_SERVER = (
    "the sockets were not checked with this server, or with this version of it: a client that does not read is "
    "dropped only after a time-out, closing its connection is left to the server, and every message goes through "
    "ASGI. Checked versions: docs/private-apis.md"
)
WRAPPED_SEND = (
    "something (%s) wraps ASGI's send outside GracefulShutdown: every message goes through ASGI, which costs "
    "several times as much. Wrap the application inside GracefulShutdown instead: docs/private-apis.md"
)
_warned: set[str] = set()


class ServerProtocol(Protocol):
    """A server's protocol object with the methods that realtime/servers/ adds."""

    transport: Any

    def owns(self, send: Any) -> bool:
        """Return whether this is the connection's own `send`, not a wrapper around it."""

    def text_writer(self) -> WriteNow | None:
        """Return a function that sends a text past ASGI, directly to the connection; None if that is impossible."""


class Connection:
    """One socket between server and application, which finds it as `scope["connection"]`.

    When the process shuts down, it closes the socket, and disconnects the application once the client has answered.
    """

    __slots__ = (
        "_accepted", "_answered", "_closed", "_cut_off", "_disconnected", "_ended", "_has_ended", "_protocol",
        "_receive", "_receiver", "_send", "write_now",
    )  # fmt: skip

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        # Removed from the scope: the protocol refers to the scope, and such a cycle is left to the garbage collector.
        self._protocol: ServerProtocol | None = (scope.get("extensions") or {}).pop(EXTENSION, None)
        self.write_now = _direct_write(self._protocol, send)
        """Sends a text past ASGI; returns False if that is impossible now. No send of the application may be open."""
        self._receive = receive
        self._send = send
        self._accepted = False
        self._closed = False
        self._cut_off = False
        self._disconnected = False
        self._has_ended = False
        self._receiver: asyncio.Task[Any] | None = None
        # Made when the process shuts down: an event takes 0.7 kB, which an idle socket need not cost.
        self._answered: asyncio.Event | None = None
        self._ended: asyncio.Event | None = None

    def __enter__(self) -> Self:
        """Enter around the application: a coroutine around it would cost each idle socket half a kilobyte."""
        self._keep_unsent_small()
        return self

    def __exit__(self, *_: object) -> None:
        """End the connection, whether or not the client reads."""
        self._has_ended = True
        if self._ended is not None:
            self._ended.set()
        self._let_go(ANSWER_SECONDS if self.is_leaving() else settings.REALTIME["CLOSE_SECONDS"])

    # ASGI

    async def receive(self) -> Message:
        """Receive from the server, until the connection is closed from here; then return a disconnect."""
        task = asyncio.current_task()
        if not self._is_over():
            self._receiver = task
            try:
                message = await self._receive()
                if message["type"] == "websocket.disconnect":
                    self._disconnected = True
                return message
            except asyncio.CancelledError:
                if task is None or not self._is_over():
                    raise
                task.uncancel()
            finally:
                self._receiver = None
        if self._answered is None:
            return {"type": "websocket.disconnect", "code": 1006}
        await self._answered.wait()
        return {"type": "websocket.disconnect", "code": CloseReason.SHUTDOWN.value.code}

    async def send(self, message: Message) -> None:
        if self._is_over():
            return
        if message["type"] == "websocket.accept":
            self._accepted = True
        elif message["type"] == "websocket.close":
            self._closed = True
        await self._send(message)

    # What ASGI has no message for

    def is_leaving(self) -> bool:
        """Whether the process is shutting down and has closed this socket."""
        return self._answered is not None

    def is_gone(self) -> bool:
        """Whether the client is gone, which the application may not know yet."""
        transport = self._transport()
        if transport is None:
            return False
        connection = _socket(transport)
        return connection is None or connection.fileno() == -1

    def cut_off(self) -> None:
        """Abort a connection whose client does not read even its close; its buffer is dropped.

        Without the server's protocol, the application gets a disconnect, and cancels its pending sends.
        """
        transport = self._transport()
        if transport is None:
            self._cut_off = True
            if self._receiver is not None:
                self._receiver.cancel()
        elif not self.is_gone():  # asyncio's abort would raise
            abort = getattr(transport, "abortConnection", None) or transport.abort
            abort()

    def _let_go(self, seconds: float) -> None:
        """Abort the connection if its client has not read the buffer in that time. (uvicorn would wait forever.)"""
        size = getattr(self._transport(), "get_write_buffer_size", None)
        if size is not None and size() > 0:
            asyncio.get_running_loop().call_later(seconds, self.cut_off)

    def _keep_unsent_small(self) -> None:
        """Keep the kernel's buffer of unsent data small.

        By default it buffers megabytes (Linux: `net.ipv4.tcp_wmem`, 4 MiB; 2.6 MB measured on loopback, 2026-11) before
        a server notices that a client does not read: memory for each such client, and stale prices that it must read
        before the newest. Data in flight is not limited, so throughput is not either (tcp(7), TCP_NOTSENT_LOWAT; Linux
        and macOS).
        """
        connection = _socket(self._transport())
        option = getattr(socket, "TCP_NOTSENT_LOWAT", None)
        if option is not None and connection is not None:
            with contextlib.suppress(OSError, AttributeError):  # a Unix socket, uvloop's replacement for one
                connection.setsockopt(socket.IPPROTO_TCP, option, UNSENT_BYTES)

    def _transport(self) -> Any:
        return self._protocol and self._protocol.transport

    def _is_over(self) -> bool:
        return self._cut_off or self.is_leaving()

    # Shutting down

    async def shut_down(self) -> None:
        """Close the socket, wait for the client's answer, then for the application to end."""
        if self._has_ended:
            return
        self._answered, self._ended = asyncio.Event(), asyncio.Event()
        if self._disconnected:  # the client left first
            await self._ended.wait()
            return
        if self._receiver is not None:
            self._receiver.cancel()
        try:
            await asyncio.wait_for(self._close(), ANSWER_SECONDS)
        except (TimeoutError, OSError):
            # Disconnected already, or not reading: uvicorn would wait forever.
            self.cut_off()
        finally:
            self._answered.set()
        await self._ended.wait()

    async def refuse(self) -> None:
        """Refuse a new socket while the process shuts down."""
        await self._receive()
        await self.send({"type": "websocket.accept"})
        await self._close()

    async def _close(self) -> None:
        close = CloseReason.SHUTDOWN.value
        if not self._closed:
            if self._accepted:
                retry_after: float = settings.REALTIME["RETRY_AFTER_SECONDS"]
                text = messages.closing(close, retry_after_seconds=retry_after)
                await self._send({"type": "websocket.send", "text": text})
            await self._send({"type": "websocket.close", "code": close.code, "reason": close.reason})
        while (await self._receive())["type"] != "websocket.disconnect":
            pass


def _direct_write(protocol: ServerProtocol | None, send: Any) -> WriteNow:
    if protocol is None:
        _warn_once(UNKNOWN_SERVER)
    elif not protocol.owns(send):
        _warn_once(
            WRAPPED_SEND, f"{type(send).__module__}.{getattr(send, '__qualname__', type(send).__qualname__)}"
        )
    else:
        return protocol.text_writer() or _cannot
    return _cannot


def _cannot(text: str) -> bool:
    return False


def _warn_once(message: str, *arguments: object) -> None:
    if message not in _warned:
        _warned.add(message)
        logger.warning(message, *arguments)


def _socket(transport: Any) -> Any:
    """Return the transport's socket; None where it has none, or no longer."""
    extra_info = getattr(transport, "get_extra_info", None)
    return extra_info("socket") if extra_info else getattr(transport, "socket", None)
