"""HTTP requests to price APIs: in batches, within the rate limit, retried where that helps.

Everything is bounded in time, and every failure becomes a SourceError with one sentence for a terminal, which never
contains a header and so no API key. Why no library does the retries: docs/adr/0008.
"""

from __future__ import annotations

import asyncio
import json
import random
import re
import time
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, TypeVar

from positions.conf import conf
from positions.prices.quotes import WRAPPED_SOL, SourceError, Token
from positions.prices.rate_limit import RateLimit, RateLimitError, Sleep

if TYPE_CHECKING:
    import httpx

T = TypeVar("T")

TRIES = 3
FIRST_DELAY_SECONDS = 0.25
LONGEST_DELAY_SECONDS = 2.0
LONGEST_BUDGET_SECONDS = 8.0
"""For one request, its retries and the wait for the rate limit included."""
MAX_BODY_BYTES = 16 * 1024 * 1024
MAX_CONNECTIONS = 6

# The format of a Solana mint address. No API knows other token names that a position may have: asking for one would
# be wasted at best, and at worst make the whole batch fail.
_MINT = re.compile(r"[1-9A-HJ-NP-Za-km-z]{32,44}\Z")


class JsonApi:
    """A JSON API. Its connection pool belongs to the event loop of the first request."""

    def __init__(
        self,
        *,
        name: str,
        base_url: str,
        per_minute: int,
        headers: Mapping[str, str] | None = None,
        sleep: Sleep = asyncio.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.name = name
        self._base_url = base_url.rstrip("/")
        self._headers = {"Accept": "application/json", **(headers or {})}
        self._sleep = sleep
        self._limit = RateLimit(per_minute, clock=clock, sleep=sleep)
        self._timeout: float = conf.PRICE_TIMEOUT_SECONDS
        self._budget = min(LONGEST_BUDGET_SECONDS, 3 * self._timeout)
        self._client: httpx.AsyncClient | None = None

    def requests_within(self, seconds: float) -> int:
        """Return how many requests that are made now the rate limit allows within this time."""
        return self._limit.turns_within(min(seconds, self._budget / 2))

    async def get(self, path: str) -> Any:
        """Return the parsed answer, its numbers as Decimal. Raises SourceError. Safe to cancel.

        Retried after a failed connection, 429 and 5xx; not after a time-out, since the next round asks again.
        """
        try:
            async with asyncio.timeout(self._budget):
                return self._parse(await self._body(path))
        except TimeoutError:
            raise SourceError(
                f"{self.name} did not send a complete answer within {self._budget:g} s."
            ) from None

    async def aclose(self) -> None:
        if self._client is not None:
            client, self._client = self._client, None
            await client.aclose()

    async def _body(self, path: str) -> bytes:
        import httpx  # here and below: every command's system checks load this module, and few ask for prices

        for attempt in range(TRIES):
            try:
                await self._limit.acquire(self._budget / 2)
            except RateLimitError as error:
                seconds = error.args[0]
                raise SourceError(
                    f"{self.name}'s rate limit allows no request for {seconds:.0f} s."
                ) from None
            try:
                status, headers, body = await self._ask(path)
            except httpx.TimeoutException:
                raise SourceError(f"{self.name} did not answer within {self._timeout:g} s.") from None
            except (httpx.HTTPError, httpx.InvalidURL) as error:
                failure = f"{self.name} cannot be reached: {str(error) or type(error).__name__}"
                if not isinstance(error, httpx.NetworkError | httpx.RemoteProtocolError):
                    raise SourceError(f"{failure}.") from None
            else:
                if status == 200:
                    return body
                failure = f"{self.name} answered {status}"
                if status == 429:
                    self._limit.pause(retry_after(headers.get("retry-after")) or _delay(attempt))
                    continue  # the pause is the delay
                if status < 500:
                    raise SourceError(f"{failure}{self._hint(status)}.")
            if attempt + 1 < TRIES:
                await self._sleep(_delay(attempt))
        raise SourceError(f"{failure}, {TRIES} times in a row.")

    async def _ask(self, path: str) -> tuple[int, httpx.Headers, bytes]:
        import httpx

        if self._client is None:
            self._client = httpx.AsyncClient(
                headers=self._headers,
                timeout=self._timeout,
                limits=httpx.Limits(max_connections=MAX_CONNECTIONS),
            )
        async with self._client.stream("GET", self._base_url + path) as response:
            body = bytearray()
            async for chunk in response.aiter_bytes():
                body += chunk
                if len(body) > MAX_BODY_BYTES:
                    raise SourceError(f"{self.name} answered with more than {MAX_BODY_BYTES // 2**20} MiB.")
            return response.status_code, response.headers, bytes(body)

    def _parse(self, body: bytes) -> Any:
        try:
            # Python's parser accepts NaN, which some servers send: `usable` refuses it, for its token only.
            return json.loads(body, parse_float=_decimal, parse_int=_decimal, parse_constant=_decimal)
        except (ValueError, RecursionError) as error:
            if body.lstrip()[:1] == b"<":
                raise SourceError(f"{self.name} answered with a web page, not with JSON.") from None
            what = error if isinstance(error, json.JSONDecodeError) else type(error).__name__
            raise SourceError(f"{self.name}'s answer is not JSON: {what}.") from None

    def _hint(self, status: int) -> str:
        return {401: ": the API key was rejected", 403: ": access was denied"}.get(status, "")


def mints(tokens: Collection[Token]) -> list[str]:
    """Return the addresses that an API can know, sorted, wrapped SOL first: all other prices need its price."""
    addresses = {token.address for token in tokens if _MINT.match(token.address)}
    return [WRAPPED_SOL, *sorted(addresses - {WRAPPED_SOL})]


async def in_batches(
    addresses: Sequence[str], size: int, ask: Callable[[Sequence[str]], Awaitable[T]]
) -> tuple[list[T], list[str]]:
    """Request all addresses concurrently, `size` at a time. Return the answers, and a sentence for each failure.

    Raises SourceError if every batch failed.
    """
    batches = [addresses[start : start + size] for start in range(0, len(addresses), size)]
    # In random order: if the rate limit delays some, they are not always the same.
    random.shuffle(batches)
    outcomes = await asyncio.gather(*(_outcome(ask(batch)) for batch in batches))
    answers = [outcome for outcome in outcomes if not isinstance(outcome, SourceError)]
    sentences = list(dict.fromkeys(str(outcome) for outcome in outcomes if isinstance(outcome, SourceError)))
    if not answers:
        raise SourceError(" ".join(sentences))
    failed = len(batches) - len(answers)
    if failed:
        sentences = [f"{failed} of {len(batches)} batches failed: {' '.join(sentences)}"]
    return answers, sentences


def decimal(value: object) -> Decimal | None:
    """Return the number that an API sent, as a number or in quotes; None for anything else."""
    if isinstance(value, Decimal):
        return value
    if isinstance(value, str) and len(value) <= 100:
        try:
            return Decimal(value)
        except InvalidOperation:
            return None
    return None


def retry_after(value: str | None) -> float | None:
    """Return the seconds that a Retry-After header asks for, as a number or a date (RFC 9110, 10.2.3)."""
    if value is None:
        return None
    if re.fullmatch(r"[0-9]{1,9}", value.strip()):
        return float(value)
    try:
        moment = parsedate_to_datetime(value)
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return max(0.0, (moment - datetime.now(UTC)).total_seconds())


async def _outcome(answer: Awaitable[T]) -> T | SourceError:
    try:
        return await answer
    except SourceError as error:
        return error


def _delay(attempt: int) -> float:
    """Full jitter: many clients that failed together do not retry together."""
    return random.uniform(0, min(LONGEST_DELAY_SECONDS, FIRST_DELAY_SECONDS * 2**attempt))  # noqa: S311


def _decimal(text: str) -> Decimal:
    try:
        return Decimal(text)
    except InvalidOperation:  # an exponent out of range
        return Decimal("NaN")
