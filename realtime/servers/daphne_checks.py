"""daphne's looks after its connections, at a few of them in a turn of the event loop.

Every second it looks which applications have ended, and every two seconds which sockets need a ping, at all connections
in one go: with 3,500 sockets that took up to 52 ms of CPU in one turn, in which nobody got a price (2026-11-27).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

from daphne.server import Server

AT_ONCE = 50
"""Connections in one turn: a ping takes some 50 µs."""


class _Window:
    """Stands for the server in its own function, with some of its connections."""

    def __init__(self, server: Any, connections: dict[Any, Any]) -> None:
        self._server = server
        self.connections = connections

    def __getattr__(self, name: str) -> Any:
        return getattr(self._server, name)

    def application_checker(self) -> None:
        """Called a second later: the next look is planned elsewhere."""

    timeout_checker = application_checker


def _look(server: Any, check: Callable[[Any], None], every_seconds: float) -> None:
    """Look at all connections there are, and again later."""
    _look_at_some(server, check, every_seconds, iter([*server.connections]))


def _look_at_some(
    server: Any, check: Callable[[Any], None], every_seconds: float, rest: Iterator[Any]
) -> None:
    some = [*islice(rest, AT_ONCE)]
    window = _Window(server, {each: server.connections[each] for each in some if each in server.connections})
    loop = asyncio.get_running_loop()
    try:
        check(window)
    finally:
        for each in some:
            if each not in window.connections:  # the function has removed it
                server.connections.pop(each, None)
        if some:
            loop.call_soon(_look_at_some, server, check, every_seconds, rest)
        else:
            loop.call_later(every_seconds, _look, server, check, every_seconds)


_check_applications, _check_timeouts = Server.application_checker, Server.timeout_checker


def install() -> None:
    Server.application_checker = lambda server: _look(server, _check_applications, 1.0)
    Server.timeout_checker = lambda server: _look(server, _check_timeouts, 2.0)
