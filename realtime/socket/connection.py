"""One socket between server and application, and what ASGI has no message for: the connection behind a `send`.

Knows daphne's `send` (a partial with the protocol) and uvicorn's (a method of the protocol). With other servers
nothing here does anything: their own limits hold.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Awaitable, Callable, MutableMapping
from functools import partial
from typing import Any

from django.conf import settings

from realtime.hub.outbox import WriteNow
from realtime.protocol import messages
from realtime.protocol.messages import CloseReason

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

ANSWER_SECONDS = 3.0
"""How long a client has to answer the close of a process that ends."""
UNSENT_BYTES = 16 * 1024
"""What the kernel takes for a connection ahead of what it may send now."""


def direct_write(send: Any) -> WriteNow:
    """Return what takes a text message past ASGI, straight to the connection; where the server has no such way, it
    always returns False.

    Of the application's own sends, none may be pending. Where the server has sent a close, it returns False, too.
    """
    text_writer = getattr(_protocol(send), "text_writer", None)
    return (text_writer and text_writer()) or _cannot


def _cannot(text: str) -> bool:
    return False


def cut_off(send: Any) -> None:
    """End a connection whose client does not read, so not even its close; what waits in its buffer is dropped."""
    transport = _transport(send)
    connection = _socket(transport)
    if connection is None or connection.fileno() == -1:
        return  # closed already; asyncio's abort would raise
    abort = getattr(transport, "abortConnection", None) or getattr(transport, "abort", None)
    if abort is not None:
        abort()


def is_gone(send: Any) -> bool:
    """Return whether the connection has ended, of which its application may not have heard yet."""
    transport = _transport(send)
    if transport is None:
        return False
    connection = _socket(transport)
    return connection is None or connection.fileno() == -1


def let_go(send: Any, *, seconds: float) -> None:
    """Of a connection that the application has left: cut it off, unless its client takes what waits in that time.

    uvicorn's own end of a connection waits for that without a limit.
    """
    size = getattr(_transport(send), "get_write_buffer_size", None)
    if size is not None and size() > 0:
        asyncio.get_running_loop().call_later(seconds, cut_off, send)


def keep_unsent_small(send: Any) -> None:
    """Let the kernel take no more of a stream than a client is about to receive.

    Otherwise it takes megabytes (Linux: `net.ipv4.tcp_wmem`, 4 MiB; 2.6 MB measured on loopback, 2026-11) before a
    server notices that nobody reads: memory of the machine for each such client, and prices long past that it must
    read through before the newest. What is on its way is not limited, so neither is the throughput (tcp(7),
    TCP_NOTSENT_LOWAT; Linux and macOS).
    """
    connection = _socket(_transport(send))
    option = getattr(socket, "TCP_NOTSENT_LOWAT", None)
    if option is not None and connection is not None:
        with contextlib.suppress(OSError, AttributeError):  # a Unix socket, uvloop's stand-in for one
            connection.setsockopt(socket.IPPROTO_TCP, option, UNSENT_BYTES)


def _protocol(send: Any) -> Any:
    return send.args[0] if isinstance(send, partial) else getattr(send, "__self__", None)


def _transport(send: Any) -> Any:
    return getattr(_protocol(send), "transport", None)


def _socket(transport: Any) -> Any:
    """Return the transport's socket; None where it has none, or no longer."""
    extra_info = getattr(transport, "get_extra_info", None)
    return extra_info("socket") if extra_info else getattr(transport, "socket", None)


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
                        "text": messages.closing(close, retry_after_seconds=retry_after),
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
