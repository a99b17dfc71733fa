"""What ASGI has no message for: the connection behind a server's `send`.

Knows daphne's `send` (a partial with the protocol) and uvicorn's (a method of the protocol). With other servers
nothing here does anything: their own limits hold.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable
from functools import partial
from typing import Any

UNSENT_BYTES = 16 * 1024
"""What the kernel takes for a connection ahead of what it may send now."""


WriteNow = Callable[[str], bool]
"""Sends a text message at once, after all that was sent before; returns False where that cannot be now."""


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
