"""Of one user's requests only some are answered at a time; the others wait their turn.

Django gives each request a thread. Without a bound, 200 connections of one user are 200 threads, among which everybody
else's request is one; the rate of requests (positions/accounts/request_rates.py) is looked at in such a thread, too.
Who has no valid token shares the bound of its address.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Hashable
from typing import Any

from rest_framework_simplejwt.exceptions import TokenError
from rest_framework_simplejwt.settings import api_settings
from rest_framework_simplejwt.tokens import AccessToken

from realtime.conf import conf
from realtime.monitoring.metrics import counts
from realtime.paths import own_path
from realtime.socket.client_address import address_of
from realtime.socket.connection import Message, Receive, Scope, Send

Application = Callable[[Any, Any, Any], Awaitable[None]]

MOST_WAITING = 500
"""Requests that wait for their turn under one key; more are refused with 429."""
UNBOUNDED = ("health/live", "health/ready")
"""What a supervisor asks, also while all of its other requests hang."""


class RequestsAtOnce:
    """Wraps the application that answers HTTP requests."""

    def __init__(self, application: Application) -> None:
        self._application = application
        self._turns: dict[Hashable, _Turns] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or own_path(scope) in UNBOUNDED:
            await self._application(scope, receive, send)
            return
        key = _key(scope)
        turns = self._turns.get(key)
        if turns is None:
            turns = self._turns[key] = _Turns(conf.REQUESTS_AT_ONCE)
        if turns.requests >= conf.REQUESTS_AT_ONCE + MOST_WAITING:
            await _refuse(send)
            return
        turns.requests += 1
        try:
            async with _Turn(turns, send) as turn:
                await self._application(scope, receive, turn.send)
        finally:
            turns.requests -= 1
            if not turns.requests:
                del self._turns[key]


class _Turns(asyncio.Semaphore):
    """Of one key."""

    requests = 0
    """That are answered or wait."""


class _Turn:
    """Lasts until the answer begins: from there on, a client that reads slowly costs no thread."""

    def __init__(self, turns: _Turns, send: Send) -> None:
        self._turns = turns
        self._send = send
        self._lasts = False

    async def __aenter__(self) -> _Turn:
        await self._turns.acquire()
        self._lasts = True
        return self

    async def __aexit__(self, *_: object) -> None:
        self._end()

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._end()
        await self._send(message)

    def _end(self) -> None:
        if self._lasts:
            self._lasts = False
            self._turns.release()


def _key(scope: Scope) -> Hashable:
    """Return whose bound counts: a user's, by a token whose signature and expiry are right, or else an address's."""
    headers = dict(scope["headers"])
    kind, _, token = headers.get(b"authorization", b"").decode("latin-1").partition(" ")
    if kind.lower() == "bearer":
        try:
            # An outside issuer's is not ours, and counts by its address: its keys may have to be fetched.
            return "user", AccessToken(token.strip()).get(api_settings.USER_ID_CLAIM)
        except TokenError:
            pass
    return "address", address_of(scope)


async def _refuse(send: Send) -> None:
    counts.refusals["requests_at_once"] += 1
    body = json.dumps({"detail": "Too many requests are waiting. Try again in 1 second."}).encode()
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", b"%d" % len(body)),
        (b"retry-after", b"1"),
        (b"cache-control", b"no-store"),
    ]
    await send({"type": "http.response.start", "status": 429, "headers": headers})
    await send({"type": "http.response.body", "body": body})
