"""Waits, with a deadline, for what `up` depends on: a free port, a Redis or Valkey server, our own server."""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import Awaitable, Callable

import httpx
import redis
import redis.asyncio

POLL_SECONDS = 0.1
ANSWER_SECONDS = 5.0
"""For one attempt."""


class NotReadyError(Exception):
    """The deadline has passed. The message, for a terminal, says what is missing."""


async def until_port_is_free(host: str, port: int, *, seconds: float) -> None:
    """Wait until nothing listens on a port; with 0 seconds, check once. Other errors are raised at once."""

    async def attempt() -> str | None:
        try:
            await asyncio.to_thread(_bind, host, port)
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                return f"{host}:{port} is in use by another program: stop it, or choose another --port."
            raise NotReadyError(f"Cannot listen on {host}:{port}: {error.strerror}.") from error
        return None

    await _until(attempt, seconds)


async def until_redis_answers(url: str, *, seconds: float) -> None:
    client = redis.asyncio.Redis.from_url(
        url, socket_connect_timeout=ANSWER_SECONDS, socket_timeout=ANSWER_SECONDS
    )

    async def attempt() -> str | None:
        try:
            await client.ping()
        except (redis.RedisError, OSError) as error:
            return f"The Redis or Valkey server does not answer: {error}"
        return None

    try:
        await _until(attempt, seconds)
    finally:
        await client.aclose()


async def until_http_answers(url: str, *, seconds: float) -> None:
    """Wait for any answer but a server error: even a refusal (of the host, say) shows that it runs."""
    async with httpx.AsyncClient(trust_env=False, timeout=ANSWER_SECONDS) as client:

        async def attempt() -> str | None:
            try:
                answer = await client.get(url)
            except httpx.TransportError as error:
                return f"The server does not answer at {url}: {error}"
            return f"The server answers {answer.status_code} at {url}." if answer.is_server_error else None

        await _until(attempt, seconds)


async def until_ready(name: str, ready: asyncio.Event, *, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await ready.wait()
    except TimeoutError:
        raise NotReadyError(f"{name} does not listen after {seconds:g} s.") from None


async def _until(attempt: Callable[[], Awaitable[str | None]], seconds: float) -> None:
    """Repeat `attempt` until it returns no problem. Raises NotReadyError with the last one."""
    deadline = asyncio.get_running_loop().time() + seconds
    while problem := await attempt():
        if asyncio.get_running_loop().time() >= deadline:
            raise NotReadyError(problem)
        await asyncio.sleep(POLL_SECONDS)


def _bind(host: str, port: int) -> None:
    """Raise OSError if a server could not listen there."""
    errors = []
    addresses = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    for family, kind, protocol, _, address in addresses:
        with socket.socket(family, kind, protocol) as probe:
            # As servers do: connections in TIME_WAIT do not count.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(address)
            except OSError as error:
                if error.errno != errno.EADDRNOTAVAIL:  # `localhost` is ::1 too, even without IPv6
                    raise
                errors.append(error)
    if len(errors) == len(addresses):
        raise errors[0]
