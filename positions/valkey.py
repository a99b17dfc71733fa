"""Connections to the Redis or Valkey server that holds prices and presence: one pool a process, or an event loop.

Every call has a deadline: a server that hangs must not hang its callers.
"""

from __future__ import annotations

import asyncio
import functools
import sys
import weakref
from typing import Any

import redis
import redis.asyncio
from django.conf import settings

CONNECT_TIMEOUT_SECONDS = 1.0
ANSWER_TIMEOUT_SECONDS = 2.0
KEY_PREFIX = "nexgent:"

# What callers catch: the server is unavailable, or too slow. (redis-py's own errors cover its time-outs.)
Unavailable = (redis.RedisError, OSError, asyncio.TimeoutError)

_async_clients: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, redis.asyncio.Redis] = (
    weakref.WeakKeyDictionary()
)


@functools.cache
def client() -> redis.Redis:
    """Return this process's client, for synchronous code."""
    return redis.Redis.from_url(
        settings.REDIS_URL,
        socket_connect_timeout=CONNECT_TIMEOUT_SECONDS,
        socket_timeout=ANSWER_TIMEOUT_SECONDS,
    )


def async_client() -> redis.asyncio.Redis:
    """Return the running event loop's client. At most 20 connections; a caller past that waits for one."""
    loop = asyncio.get_running_loop()
    if loop not in _async_clients:
        pool = redis.asyncio.BlockingConnectionPool.from_url(
            settings.REDIS_URL,
            max_connections=20,
            timeout=ANSWER_TIMEOUT_SECONDS,
            socket_connect_timeout=CONNECT_TIMEOUT_SECONDS,
            socket_timeout=ANSWER_TIMEOUT_SECONDS,
        )
        if sys.version_info < (3, 12):
            pool.connection_class = _cancellable(pool.connection_class)
        _async_clients[loop] = redis.asyncio.Redis.from_pool(pool)
    return _async_clients[loop]


async def close_async_client() -> None:
    """Close the running loop's connections, where it has any."""
    opened = _async_clients.pop(asyncio.get_running_loop(), None)
    if opened is not None:
        await opened.aclose()


def _cancellable(connection_class: type[Any]) -> type[Any]:
    """Return the class with writes that end when they are cancelled.

    redis-py writes under `asyncio.wait_for`, which before Python 3.12 drops a cancellation that arrives with the result
    (python/cpython#86296). `broadcast_prices` missed one SIGTERM in thirty that way (redis-py 8.1, 2026-11-25).
    """

    class Cancellable(connection_class):  # type: ignore[misc]
        socket_timeout: float | None

        async def send_packed_command(self, command: Any, check_health: Any = True) -> None:
            seconds, self.socket_timeout = self.socket_timeout, None  # so that `wait_for` is not used
            try:
                async with asyncio.timeout(seconds):
                    await super().send_packed_command(command, check_health)
            except TimeoutError:
                raise redis.TimeoutError("Timeout writing to socket") from None
            finally:
                self.socket_timeout = seconds

    return Cancellable
