"""Connections to the Redis or Valkey server that holds prices and presence: one pool a process, or an event loop.

Every call has a deadline: a server that hangs must not hang whoever asks it.
"""

from __future__ import annotations

import asyncio
import functools
import weakref

import redis
import redis.asyncio
from django.conf import settings

CONNECT_TIMEOUT_SECONDS = 1.0
ANSWER_TIMEOUT_SECONDS = 2.0
KEY_PREFIX = "nexgent:"

# What a caller catches: the server is away, or too slow to wait for. (redis-py's own errors cover its time-outs.)
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
        _async_clients[loop] = redis.asyncio.Redis.from_pool(
            redis.asyncio.BlockingConnectionPool.from_url(
                settings.REDIS_URL,
                max_connections=20,
                timeout=ANSWER_TIMEOUT_SECONDS,
                socket_connect_timeout=CONNECT_TIMEOUT_SECONDS,
                socket_timeout=ANSWER_TIMEOUT_SECONDS,
            )
        )
    return _async_clients[loop]


async def close_async_client() -> None:
    """Close the running loop's connections, where it has any."""
    opened = _async_clients.pop(asyncio.get_running_loop(), None)
    if opened is not None:
        await opened.aclose()
