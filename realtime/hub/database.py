"""The threads on which asynchronous code queries the database.

By default, Channels and Django run all such calls of a process on one thread: a thousand connects would queue there.
Here they have DATABASE_THREADS threads, and never more connections than that.
"""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

from channels.db import database_sync_to_async
from django.conf import settings

P = ParamSpec("P")
R = TypeVar("R")


@functools.cache
def _threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(int(settings.REALTIME["DATABASE_THREADS"]), thread_name_prefix="database")


def in_database_thread(function: Callable[P, R]) -> Callable[P, Awaitable[R]]:
    """Make a function that queries the database awaitable. Cancelling the wait does not stop the query."""

    @functools.wraps(function)
    async def run(*args: P.args, **kwargs: P.kwargs) -> R:
        call = database_sync_to_async(function, thread_sensitive=False, executor=_threads())
        return await call(*args, **kwargs)  # type: ignore[no-any-return]

    return run
