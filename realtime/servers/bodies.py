"""Bodies of requests are bounded while they arrive: in bytes, and in the time that they may take.

Django would read a body to its end, into a file, before it looks at its length. `BoundedBodies` wraps it. A body whose
Content-Length is over the limit is not read at all; any other is cut off at the limit, or when its time is over. Django
answers with 413 or 408 through `refuse_bodies`, a middleware, so that the answer has the headers of every other one.

daphne hands a request on when its body is complete, so realtime/servers/daphne.py does the same before.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple, NoReturn

from django.conf import settings
from django.http import HttpRequest, HttpResponse, JsonResponse

from positions.api.json import MAX_BODY_BYTES
from realtime.conf import conf
from realtime.middleware import answering_first
from realtime.paths import API, below_base
from realtime.socket.connection import Message, Receive, Scope, Send

Application = Callable[[Any, Any, Any], Awaitable[None]]

REFUSED = "nexgent.refused_body"
"""In the scope: the Refusal."""
DRAIN_SECONDS = 1.0
"""For how long what still arrives is discarded after the answer: a reset could overtake it."""


class Refusal(NamedTuple):
    status: int
    detail: str


def limit_of(path: str) -> int:
    """Return how many bytes the body of a request for this path may have."""
    limit: int = settings.DATA_UPLOAD_MAX_MEMORY_SIZE
    return min(limit, MAX_BODY_BYTES) if (below_base(path) or "").startswith(API) else limit


def too_large(limit: int) -> Refusal:
    return Refusal(413, f"The body must have at most {limit} bytes.")


def too_slow() -> Refusal:
    return Refusal(408, f"The body must arrive within {conf.BODY_SECONDS:g} seconds.")


class BoundedBodies:
    """Wraps the application that answers HTTP requests."""

    def __init__(self, application: Application) -> None:
        self._application = application

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._application(scope, receive, send)
            return
        limit = limit_of(scope["path"])
        body: bytes | Refusal | None = scope.get(REFUSED)
        if body is None:
            body = too_large(limit) if _declared(scope) > limit else await _read(receive, limit)
        if body is None:
            return
        if isinstance(body, Refusal):
            await self._application(
                {**scope, REFUSED: body}, _once(b"", _forever), _LastAnswer(receive, send)
            )
            return
        if body and not _declared(scope):
            # REST framework takes a body without a length, which came in chunks, for none.
            scope = {**scope, "headers": [*scope["headers"], (b"content-length", b"%d" % len(body))]}
        await self._application(scope, _once(body, receive), send)


def _declared(scope: Scope) -> int:
    for name, value in scope["headers"]:
        if name == b"content-length" and value.isdigit():
            return int(value[:20])
    return 0


async def _read(receive: Receive, limit: int) -> bytes | Refusal | None:
    """Return the body; None where the client leaves before its end."""
    parts: list[bytes] = []
    size, is_complete = 0, False
    try:
        async with asyncio.timeout(conf.BODY_SECONDS):
            while not is_complete:
                message = await receive()
                if message["type"] != "http.request":
                    return None
                parts.append(message.get("body", b""))
                size += len(parts[-1])
                if size > limit:
                    return too_large(limit)
                is_complete = not message.get("more_body", False)
    except TimeoutError:
        return too_slow()
    return b"".join(parts)


def _once(body: bytes, then: Receive) -> Receive:
    """Return a `receive` that returns the body first."""
    messages: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive() -> Message:
        return messages.pop() if messages else await then()

    return receive


async def _forever() -> NoReturn:
    await asyncio.Event().wait()
    raise AssertionError


class _LastAnswer:
    """A `send` that closes the connection after the answer, and discards what still arrives for a while."""

    def __init__(self, receive: Receive, send: Send) -> None:
        self._receive, self._send = receive, send

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*message.get("headers", ()), (b"connection", b"close")]}
        if message["type"] != "http.response.body" or message.get("more_body", False):
            await self._send(message)
            return
        await self._send({**message, "more_body": True})
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(DRAIN_SECONDS):
                while (await self._receive()).get("more_body", False):
                    pass
        await self._send({"type": "http.response.body", "body": b"", "more_body": False})


def _answer(request: HttpRequest) -> HttpResponse | None:
    refusal: Refusal | None = getattr(request, "scope", {}).get(REFUSED)
    if refusal is None:
        return None
    answer: HttpResponse = (
        JsonResponse({"detail": refusal.detail}, status=refusal.status)
        if (below_base(request.path_info) or "").startswith(API)
        else HttpResponse(refusal.detail, status=refusal.status, content_type="text/plain; charset=utf-8")
    )
    answer.headers["Content-Length"] = str(
        len(answer.content)
    )  # so that clients know before the connection is closed
    return answer


refuse_bodies = answering_first(_answer)
"""Answer a request whose body was refused (middleware)."""
