"""Keeps a process below the number of files that it may have open, of which each connection is one.

At that number nobody can connect, and the process can open neither its database nor a file. asyncio tried to accept
2,048 times a second then, with a traceback each. So some descriptors stay free: where a new connection takes one of
those, the connections that have been without a request for longest make room; if there are none, it gets a 503.
"""

from __future__ import annotations

import contextlib
import logging
import os
import resource
import time
from asyncio import selector_events
from http import HTTPStatus
from typing import Any

from realtime.conf import conf
from realtime.monitoring.metrics import counts
from realtime.servers.frames import READ_BYTES
from realtime.servers.heads import answer, heads

logger = logging.getLogger(__name__)

RESERVED = 64
"""Files that stay free for the database, Redis or Valkey, and what is read from the disk; at most a quarter of all."""
TURNS = 5
"""Of the event loop, and more than there are from accepting a connection until another has made room for it."""
ACCEPTED_AT_ONCE = 4
"""Connections that are accepted in one turn; others wait in the kernel. Twelve took 1.5 ms of CPU in each of the five
turns that a round of prices needs, before the first of their handshakes arrived (2026-11-26)."""
SECONDS_BETWEEN_LINES = 60.0
NO_ROOM = answer(HTTPStatus.SERVICE_UNAVAILABLE, "The server is at capacity.")
ACCEPT_FAILED = "socket.accept() out of system resource"  # asyncio's words


def at_start() -> None:
    """Let the process have as many files open as MAX_SOCKETS needs; say so in one line where it may not."""
    needed = conf.MAX_SOCKETS + 2 * RESERVED
    allowed, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    if not _allows(allowed, needed):
        with contextlib.suppress(OSError, ValueError):  # macOS has a limit below that
            resource.setrlimit(resource.RLIMIT_NOFILE, (needed if _allows(most, needed) else most, most))
        allowed, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if not _allows(allowed, needed):
        logger.warning(
            "this process may have %d files open: too few for NEXGENT_MAX_SOCKETS, %d. Let it have %d"
            " (LimitNOFILE of systemd, ulimit -n), or lower NEXGENT_MAX_SOCKETS",
            allowed,
            conf.MAX_SOCKETS,
            needed,
        )


def _allows(limit: int, needed: int) -> bool:
    return limit == resource.RLIM_INFINITY or limit >= needed


def admits(descriptor: int) -> bool:
    """Return whether a connection just accepted may stay. The kernel gives it the lowest free descriptor."""
    if not _is_reserved(descriptor):
        return True
    counts.refusals["descriptors"] += 1
    return _make_room(2)  # one more than needed, to come below the limit again


def accept_at_once(listener: int) -> int:
    """Return how many connections to accept in this turn of the event loop; make room for them. 0: there soon is."""
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    reserved = _reserved(limit)
    most = max(1, min(reserved // TURNS, ACCEPTED_AT_ONCE))
    try:
        free = os.dup(listener)
    except OSError:
        return 0 if _make_room(most) else 1  # asyncio and Twisted know what to do
    os.close(free)
    if limit == resource.RLIM_INFINITY or free < limit - reserved // 2:
        return most
    _make_room(most)
    return min(most, limit - free)


def _make_room(count: int) -> bool:
    if _line.is_due():
        logger.warning(
            "no files left for more connections: the process may have %d open (LimitNOFILE, ulimit -n). Silent"
            " connections are closed, others refused with 503",
            resource.getrlimit(resource.RLIMIT_NOFILE)[0],
        )
    return heads.make_room(count)


def _is_reserved(descriptor: int) -> bool:
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return limit != resource.RLIM_INFINITY and descriptor >= limit - _reserved(limit)


def _reserved(limit: int) -> int:
    return RESERVED if limit == resource.RLIM_INFINITY else min(RESERVED, limit // 4)


def discard_input(descriptor: int) -> None:
    """Read what has arrived on a connection that is about to be closed: else a reset would overtake the answer."""
    with contextlib.suppress(OSError):
        os.read(descriptor, READ_BYTES)


class _Line:
    """One line of the log a minute, however often something happens."""

    def __init__(self) -> None:
        self._next = 0.0

    def is_due(self) -> bool:
        now = time.monotonic()
        is_due = now >= self._next
        if is_due:
            self._next = now + SECONDS_BETWEEN_LINES
        return is_due


_line = _Line()


class AcceptFailedInOneLine(logging.Filter):
    """Where something else than connections takes all files, asyncio cannot accept: one line, without a traceback."""

    def filter(self, record: logging.LogRecord) -> bool:
        if ACCEPT_FAILED not in record.msg:
            return True
        record.exc_info = record.exc_text = None
        record.msg, record.args = f"{ACCEPT_FAILED}; trying again every second", ()
        return _line.is_due()


_accept: Any = selector_events.BaseSelectorEventLoop._accept_connection  # type: ignore[attr-defined]


def _accept_a_few(
    self: Any,
    protocol_factory: Any,
    sock: Any,
    sslcontext: Any = None,
    server: Any = None,
    backlog: int = 100,
    ssl_handshake_timeout: float | None = None,
    *rest: Any,
) -> None:
    """Accept a few of those that wait, and give their TLS handshakes as long as the heads of requests."""
    if sslcontext is not None and ssl_handshake_timeout is None:
        ssl_handshake_timeout = conf.HEAD_SECONDS
    at_once = min(backlog, accept_at_once(sock.fileno()))
    _accept(self, protocol_factory, sock, sslcontext, server, at_once, ssl_handshake_timeout, *rest)


def install() -> None:
    """Change asyncio's event loop in this process; uvicorn uses it."""
    selector_events.BaseSelectorEventLoop._accept_connection = _accept_a_few  # type: ignore[attr-defined]
    asyncio_logger = logging.getLogger("asyncio")
    if not any(isinstance(known, AcceptFailedInOneLine) for known in asyncio_logger.filters):
        asyncio_logger.addFilter(AcceptFailedInOneLine())
