"""Access tokens: from a name and password, or one that was issued, or one that a function of the program brings."""

from __future__ import annotations

import asyncio
import base64
import binascii
import json
import time
from collections.abc import Awaitable, Callable
from typing import Protocol

import httpx

from nexgent_client.errors import LoginRequired


class Credentials(Protocol):
    async def access(self, http: httpx.AsyncClient, *, seconds: float) -> str:
        """Return a token, valid for so many seconds if possible. Raises LoginRequired, httpx.HTTPError."""

    def refused(self, token: str) -> None:
        """Remember that the server does not take this token any more."""


def _given(name: str, text: str) -> str:
    """Return the text. An environment variable that is not set would be None, or empty."""
    if not isinstance(text, str) or not text:
        kind = "empty" if text == "" else type(text).__name__
        raise ValueError(f"{name} must be a text; it is {kind}")  # it may be secret: never the value
    return text


class Token:
    """A token of `manage.py issue_token`, or of an outside issuer."""

    def __init__(self, text: str) -> None:
        self._text = _given("a token", text)

    async def access(self, http: httpx.AsyncClient, *, seconds: float) -> str:
        if not self._text:
            raise LoginRequired("the server does not accept the token any more")
        return self._text

    def refused(self, token: str) -> None:
        if token == self._text:
            self._text = ""


class TokenFrom:
    """Tokens that a coroutine function of the program brings, each time one is needed."""

    def __init__(self, ask: Callable[[], Awaitable[str]]) -> None:
        self._ask = ask

    async def access(self, http: httpx.AsyncClient, *, seconds: float) -> str:
        return await self._ask()

    def refused(self, token: str) -> None:
        pass


class Login:
    """A name and password. Refresh tokens are for one use each: one at a time, and after an answer that never came the
    password is used again (docs/bots.md, "A token")."""

    def __init__(self, username: str, password: str, *, name: str = "") -> None:
        self._body = {"username": _given("username", username), "password": _given("password", password)}
        if name:
            self._body["name"] = name
        self._access = self._refresh = ""
        self._one_at_a_time: asyncio.Lock | None = None

    async def access(self, http: httpx.AsyncClient, *, seconds: float) -> str:
        if self._one_at_a_time is None:
            self._one_at_a_time = asyncio.Lock()
        async with self._one_at_a_time:
            if seconds_left(self._access) <= seconds:
                await self._renew(http)
            return self._access

    def refused(self, token: str) -> None:
        if token == self._access:
            self._access = ""

    async def _renew(self, http: httpx.AsyncClient) -> None:
        if refresh := self._refresh:
            self._refresh = ""  # it may be used, whether or not an answer comes
            answer = await http.post("token/refresh/", json={"refresh": refresh})
            if answer.status_code == httpx.codes.OK:
                self._take(answer)
                return
        answer = await http.post("token/", json=self._body)
        if answer.status_code in {400, 401}:
            raise LoginRequired(f"the server refuses the login of {self._body['username']}")
        answer.raise_for_status()
        self._take(answer)

    def _take(self, answer: httpx.Response) -> None:
        tokens = answer.json()
        self._access, self._refresh = tokens["access"], tokens["refresh"]


def seconds_left(token: str) -> float:
    """Return for how long a token is valid by its own `exp`; 0 where it has none, or is none."""
    try:
        payload = token.split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        return float(claims["exp"]) - time.time()
    except (IndexError, KeyError, TypeError, ValueError, binascii.Error):
        return 0.0
