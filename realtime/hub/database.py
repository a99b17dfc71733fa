"""The threads on which asynchronous code asks the database.

Channels' and Django's defaults put every such call of a process on one thread: a thousand connects would wait in
one line. Here there are DATABASE_THREADS of them, never more connections than that, and the pool behind.
"""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

from channels.db import database_sync_to_async
from django.conf import settings
from django.db import DatabaseError
from psycopg_pool import PoolTimeout

P = ParamSpec("P")
R = TypeVar("R")


# What a caller catches: the database is away, or gives out no connection in time.
Unavailable = (DatabaseError, PoolTimeout)


@functools.cache
def _threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(int(settings.REALTIME["DATABASE_THREADS"]), thread_name_prefix="database")


def in_database_thread(function: Callable[P, R]) -> Callable[P, Awaitable[R]]:
    """Make a function that asks the database awaitable. Cancelling the wait does not stop the query."""

    @functools.wraps(function)
    async def run(*args: P.args, **kwargs: P.kwargs) -> R:
        call = database_sync_to_async(function, thread_sensitive=False, executor=_threads())
        return await call(*args, **kwargs)  # type: ignore[no-any-return]

    return run
