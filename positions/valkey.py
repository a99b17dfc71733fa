"""Connections to the Redis or Valkey server that holds prices and presence: one pool a process, or an event loop.

Every call has a deadline: a server that hangs must not hang its callers.
"""

from __future__ import annotations

import asyncio
import functools
import socket
import sys
import weakref
from collections.abc import Callable
from typing import Any

import redis
import redis.asyncio
from redis.asyncio.retry import Retry as AsyncRetry
from redis.backoff import NoBackoff
from redis.retry import Retry

from positions.conf import conf

CONNECT_TIMEOUT_SECONDS = 1.0
ANSWER_TIMEOUT_SECONDS = 2.0
KEY_PREFIX = f"{conf.REDIS_PREFIX}:"

# What callers catch: the server is unavailable, or too slow. (redis-py's own errors cover its time-outs.)
Unavailable = (redis.RedisError, OSError, asyncio.TimeoutError)

_async_clients: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, redis.asyncio.Redis] = (
    weakref.WeakKeyDictionary()
)


# One more try, on a new connection. A connection to a server that has become a read-only replica is of no use: after a
# fail-over a new one leads to the primary.
_RETRIED = redis.ConnectionError, redis.TimeoutError, socket.timeout, redis.ReadOnlyError
_met = 0


class _NotingReplicas:
    """Of a Retry, synchronous or not."""

    def call_with_retry(self, do: Any, fail: Callable[..., Any], *args: Any, **options: Any) -> Any:
        def failed(error: Exception, *count: int) -> Any:
            global _met
            _met += isinstance(error, redis.ReadOnlyError)
            return fail(error, *count)

        return super().call_with_retry(do, failed, *args, **options)  # type: ignore[misc]


class _Retry(_NotingReplicas, Retry):
    pass


class _AsyncRetry(_NotingReplicas, AsyncRetry):
    pass


def replicas_met() -> int:
    """Return how often a write of this process has been refused by a server that is a read-only replica."""
    return _met


def urls() -> list[str]:
    """Return the servers: the one of prices and presence, then the channel layer's other shards."""
    return [conf.REDIS_URL, *conf.REDIS_URLS[1:]]


@functools.cache
def client() -> redis.Redis:
    """Return this process's client, for synchronous code."""
    return redis.Redis.from_url(
        conf.REDIS_URL,
        socket_connect_timeout=CONNECT_TIMEOUT_SECONDS,
        socket_timeout=ANSWER_TIMEOUT_SECONDS,
        retry=_Retry(NoBackoff(), 1, _RETRIED),
    )


def async_client() -> redis.asyncio.Redis:
    """Return the running event loop's client. At most 20 connections; a caller past that waits for one."""
    loop = asyncio.get_running_loop()
    if loop not in _async_clients:
        pool = redis.asyncio.BlockingConnectionPool.from_url(
            conf.REDIS_URL,
            max_connections=20,
            timeout=ANSWER_TIMEOUT_SECONDS,
            socket_connect_timeout=CONNECT_TIMEOUT_SECONDS,
            socket_timeout=ANSWER_TIMEOUT_SECONDS,
            retry=_AsyncRetry(
                NoBackoff(), 1, (redis.ConnectionError, redis.TimeoutError, redis.ReadOnlyError)
            ),
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
