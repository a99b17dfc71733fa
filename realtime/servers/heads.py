"""The head of a request: how long it may be, how long it may take, and what answers one that is refused.

Until there is a request there is no application, so what is refused here is answered by hand. `Heads` has the
connections that wait for one: each is closed after HEAD_SECONDS, whether it is silent or sends a byte now and then. A
server's protocol calls it (realtime/servers/uvicorn_requests.py, daphne_requests.py).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from http import HTTPStatus

from realtime.conf import conf

MOST_HEADERS, LONGEST_LINE_BYTES = 128, 8192
"""Of the handshake of a socket: what websockets, under uvicorn, takes."""

GiveUp = Callable[[], None]
"""Ends a connection that is still without a request; others it leaves alone."""
Drop = Callable[[], bool]
"""Ends such a connection at once; returns whether it was one."""


def answer(status: HTTPStatus, detail: str) -> bytes:
    """Return a whole answer that ends its connection."""
    body = detail.encode()
    head = (
        f"HTTP/1.1 {status.value} {status.phrase}\r\nContent-Type: text/plain; charset=utf-8\r\n"
        f"Content-Length: {len(body)}\r\nCache-Control: no-store\r\nConnection: close\r\n\r\n"
    )
    return head.encode() + body


def too_late() -> bytes:
    detail = f"The head of a request must arrive within {conf.HEAD_SECONDS:g} seconds."
    return answer(HTTPStatus.REQUEST_TIMEOUT, detail)


TOO_LARGE = answer(
    HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
    f"The head of the request is too large. A socket's may have {MOST_HEADERS} headers, and {LONGEST_LINE_BYTES} bytes"
    " in a line.",
)
TARGET_TOO_LONG = answer(
    HTTPStatus.REQUEST_URI_TOO_LONG,
    f"The target of the request is too long. A line of a socket's head may have {LONGEST_LINE_BYTES} bytes.",
)
MALFORMED = answer(
    HTTPStatus.BAD_REQUEST, "The head of the request is malformed, or a socket's request has a body."
)


class Heads:
    """The connections of a process that have sent no whole head yet, or none since their last answer."""

    def __init__(self) -> None:
        self._waiting: dict[object, tuple[asyncio.TimerHandle, Drop]] = {}
        """In the order in which they began to wait."""

    def wait(self, connection: object, give_up: GiveUp, drop: Drop) -> None:
        """Give the connection HEAD_SECONDS from now for its next request."""
        self.stop(connection)
        loop = asyncio.get_running_loop()
        deadline = loop.call_later(conf.HEAD_SECONDS, self._late, connection, give_up)
        self._waiting[connection] = deadline, drop

    def stop(self, connection: object) -> None:
        """Stop waiting: the head is there, or the connection is gone."""
        waiting = self._waiting.pop(connection, None)
        if waiting is not None:
            waiting[0].cancel()

    def make_room(self, count: int) -> bool:
        """End as many connections, those that have waited longest; return whether there was one."""
        ended = 0
        while self._waiting and ended < count:
            connection = next(iter(self._waiting))
            _, drop = self._waiting[connection]
            self.stop(connection)
            ended += drop()
        return ended > 0

    def _late(self, connection: object, give_up: GiveUp) -> None:
        del self._waiting[connection]
        give_up()


heads = Heads()
