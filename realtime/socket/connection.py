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
from typing import Any, Self

from realtime.conf import conf
from realtime.hub.token_bucket import TokenBucket
from realtime.hub.writer import WriteFrame, WriteNow
from realtime.protocol import messages
from realtime.protocol.compact import choose
from realtime.protocol.messages import CloseReason
from realtime.socket.server_protocol import FrameWriter, ServerProtocol

logger = logging.getLogger(__name__)

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

EXTENSION = "nexgent.protocol"
ANSWER_SECONDS = 3.0
"""How long a client has to answer the close of a process that shuts down."""
IGNORED_SECONDS = 2.0
"""How long a client whose messages are ignored has to read why."""
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


class Connection:
    """One socket between server and application, which finds it as `scope["connection"]`.

    When the process shuts down, it closes the socket, and disconnects the application once the client has answered.
    """

    __slots__ = (
        "_accepted", "_answered", "_closed", "_cut_off", "_disconnected", "_ended", "_frames", "_has_ended",
        "_protocol", "_receive", "_receiver", "_send", "_subprotocol", "inbound", "write_now",
    )  # fmt: skip

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        # Removed from the scope: the protocol refers to the scope, and such a cycle is left to the garbage collector.
        self._protocol: ServerProtocol | None = (scope.get("extensions") or {}).pop(EXTENSION, None)
        self.write_now, self._frames = _direct_ways(self._protocol, send)
        """Sends a text past ASGI; returns False if that is impossible now. No send of the application may be open."""
        self.inbound = TokenBucket(conf.INBOUND_MESSAGES_PER_SECOND, conf.INBOUND_BURST)
        """What the client may send: messages, and frames that are none."""
        if self._protocol is not None:
            self._protocol.count_frames(self.inbound)
        self._subprotocol = choose(scope.get("subprotocols") or ())
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
        self._let_go(ANSWER_SECONDS if self.is_leaving() else conf.CLOSE_SECONDS)

    @property
    def write_frame(self) -> WriteFrame | None:
        """What sends a text that is a WebSocket frame already, as `write_now` does; None if nothing can."""
        return None if self._frames is None else self._frames.write

    # ASGI

    async def receive(self) -> Message:
        """Receive from the server, until the connection is closed from here; then return a disconnect."""
        task = asyncio.current_task()
        if not self._is_over():
            self._receiver = task
            try:
                message = await self._receive()
                if self._protocol is not None:
                    self._protocol.received()
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
            self._stop_frames()
        await self._send(message)

    # What ASGI has no message for

    def is_leaving(self) -> bool:
        """Whether the process is shutting down and has closed this socket."""
        return self._answered is not None

    def is_gone(self) -> bool:
        """Whether the client is gone, which the application may not know yet."""
        transport = self._transport()
        if transport is None:
            return self._protocol is not None
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

    def ignore_client(self) -> None:
        """Take nothing more from a client that has sent too much, and cut it off soon, whether or not it reads."""
        if self._protocol is not None:
            self._protocol.ignore_input()
            asyncio.get_running_loop().call_later(IGNORED_SECONDS, self.cut_off)

    def unsent_bytes(self) -> int:
        """Return how many bytes the server has taken and the client has not; 0 where that is unknown."""
        protocol = self._protocol
        return 0 if protocol is None or self._transport() is None else protocol.unsent_bytes()

    async def drained(self) -> None:
        """Wait until the server takes more messages: the client has read nearly all. Safe to cancel."""
        if self._protocol is not None:
            await self._protocol.writable.wait()

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
        transport = self._protocol and self._protocol.transport
        # That of asyncio's TLS has no connection any more once it was closed twice, and raises AttributeError.
        return None if getattr(transport, "_ssl_protocol", transport) is None else transport

    def _is_over(self) -> bool:
        return self._cut_off or self.is_leaving()

    def _stop_frames(self) -> None:
        if self._frames is not None:
            self._frames.stop()

    # Shutting down

    async def shut_down(self, not_before_seconds: float = 0.0) -> None:
        """Close the socket, wait for the client's answer, then for the application to end.

        The client is told to come back after `not_before_seconds` and the usual delay.
        """
        if self._has_ended:
            return
        self._answered, self._ended = asyncio.Event(), asyncio.Event()
        if self._disconnected:  # the client left first
            await self._ended.wait()
            return
        if self._receiver is not None:
            self._receiver.cancel()
        try:
            await asyncio.wait_for(self._close(not_before_seconds), ANSWER_SECONDS)
        except (TimeoutError, OSError):
            # Disconnected already, or not reading: uvicorn would wait forever.
            self.cut_off()
        finally:
            self._answered.set()
        await self._ended.wait()

    async def refuse(self, not_before_seconds: float) -> None:
        """Refuse a new socket while the process shuts down."""
        await self._receive()
        await self._close(not_before_seconds)

    async def _close(self, not_before_seconds: float) -> None:
        close = CloseReason.SHUTDOWN.value
        if not self._closed:
            # A browser can read nothing of a handshake that is refused, or accepts none of the subprotocols it offers.
            if not self._accepted:
                await self._send({"type": "websocket.accept", "subprotocol": self._subprotocol})
            retry_after: float = conf.RETRY_AFTER_SECONDS
            text = messages.closing(
                close, retry_after_seconds=retry_after, not_before_seconds=not_before_seconds
            )
            await self._send({"type": "websocket.send", "text": text})
            self._stop_frames()
            await self._send({"type": "websocket.close", "code": close.code, "reason": close.reason})
        while (await self._receive())["type"] != "websocket.disconnect":
            pass


def _direct_ways(protocol: ServerProtocol | None, send: Any) -> tuple[WriteNow, FrameWriter | None]:
    if protocol is None:
        _warn_once(UNKNOWN_SERVER)
    elif not protocol.owns(send):
        _warn_once(
            WRAPPED_SEND, f"{type(send).__module__}.{getattr(send, '__qualname__', type(send).__qualname__)}"
        )
    else:
        return protocol.text_writer() or _cannot, protocol.frame_writer()
    return _cannot, None


def _cannot(text: str | bytes) -> bool:
    return False


def _warn_once(message: str, *arguments: object) -> None:
    if message not in _warned:
        _warned.add(message)
        logger.warning(message, *arguments)


def _socket(transport: Any) -> Any:
    """Return the transport's socket; None where it has none, or no longer."""
    extra_info = getattr(transport, "get_extra_info", None)
    return extra_info("socket") if extra_info else getattr(transport, "socket", None)
