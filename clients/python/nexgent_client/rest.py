"""The REST API. A write has a key of its own and is repeated until there is an answer: it is booked once."""

from __future__ import annotations

import asyncio
import json
import logging
import uuid
from collections.abc import AsyncIterator, Mapping
from decimal import Decimal
from typing import Any

import httpx

from nexgent_client.errors import LoginRequired, ServerRefused
from nexgent_client.tokens import Credentials
from nexgent_client.waits import Backoff, retry_after

logger = logging.getLogger("nexgent_client")

AGAIN = {429, 502, 503, 504}
"""Answers of a server that has booked nothing yet, and may the next time."""
LONGEST_KEY = 255
Json = dict[str, Any]


class Rest:
    """Requests below `/api/`. Paths are written without it: `positions/`."""

    def __init__(self, http: httpx.AsyncClient, credentials: Credentials) -> None:
        self._http, self._credentials = http, credentials

    async def token(self, *, seconds: float = 0.0) -> str:
        """Return a token that is accepted for so long at least, where the credentials can get one."""
        return await self._credentials.access(self._http, seconds=seconds)

    def refused(self, token: str) -> None:
        self._credentials.refused(token)

    async def description(self) -> str:
        """Return the server's AsyncAPI document, "" where it has none. Raises httpx.HTTPError."""
        answer = await self._http.get("asyncapi.yaml")
        if answer.is_server_error:
            answer.raise_for_status()
        return answer.text if answer.is_success else ""

    async def get(self, path: str, **parameters: Any) -> Any:
        """Return the answer. Raises ServerRefused, LoginRequired, httpx.TransportError."""
        return await self._answer("GET", path, params=parameters)

    async def all(self, path: str, **parameters: Any) -> AsyncIterator[Json]:
        """Yield each row of a list, page by page."""
        page = await self.get(path, **parameters)
        while True:
            for row in page["results"]:
                yield row
            if page["next"] is None:
                return
            page = await self._answer("GET", page["next"])

    async def write(self, path: str, body: Mapping[str, Any] | None = None, *, key: str | None = None) -> Any:
        """POST until there is an answer, however long the server is away. Raises ServerRefused and LoginRequired.

        key: of this write; by default a new one. Give one that is stored where the program itself may be restarted in
        between. Decimals are sent digit for digit.
        """
        if key is not None and not (0 < len(key) <= LONGEST_KEY and key.isascii() and key.isprintable()):
            raise ValueError(f"key must be 1 to {LONGEST_KEY} printable ASCII characters; it is {key!r}")
        headers = {"Idempotency-Key": str(uuid.uuid4()) if key is None else key}
        backoff = Backoff()
        while True:
            at_least = 0.0
            try:
                return await self._answer("POST", path, body=body or {}, headers=headers)
            except ServerRefused as refused:
                if refused.status not in AGAIN:
                    raise
                at_least, problem = refused.retry_after, str(refused)
            except httpx.HTTPError as error:  # it may be booked: the key makes the repeat harmless
                problem = repr(error)
            wait = backoff.next_seconds(at_least)
            logger.info("no answer, asking again in %.1f s: %s", wait, problem)
            await asyncio.sleep(wait)

    async def _answer(
        self,
        method: str,
        path: str,
        *,
        body: Mapping[str, Any] | None = None,
        headers: Any = None,
        params: Any = None,
    ) -> Any:
        content = None if body is None else json.dumps(body, default=_digits)
        for is_last in (False, True):
            token = await self.token()
            answer = await self._http.request(
                method,
                path,
                params=params or None,
                content=content,
                headers={
                    "Authorization": f"Bearer {token}",
                    **({} if content is None else {"Content-Type": "application/json"}),
                    **(headers or {}),
                },
            )
            if answer.status_code != httpx.codes.UNAUTHORIZED:
                return _checked(answer)
            self._credentials.refused(token)
            if is_last:
                break
        raise LoginRequired("the server does not accept the token")


def _checked(answer: httpx.Response) -> Any:
    try:
        body = json.loads(answer.text, parse_float=Decimal) if answer.content else None
    except ValueError:
        body = {"detail": answer.reason_phrase}
    if answer.is_success:
        return body
    raise ServerRefused(answer.status_code, body, retry_after=retry_after(answer.headers))


def _digits(value: object) -> str:
    if isinstance(value, Decimal):
        return f"{value:f}"
    raise TypeError(f"{value!r} cannot be sent: use str, int, Decimal or None")
