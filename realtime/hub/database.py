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

from positions.deadlines import deadline
from realtime.conf import conf

P = ParamSpec("P")
R = TypeVar("R")


@functools.cache
def _threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(int(conf.DATABASE_THREADS), thread_name_prefix="database")


def in_database_thread(function: Callable[P, R]) -> Callable[P, Awaitable[R]]:
    """Make a function that queries the database awaitable. Cancelling the wait does not stop the query, but its
    deadline does: half of what the settings give others, since it is asked again, and others wait for the thread."""

    def bounded(*args: P.args, **kwargs: P.kwargs) -> R:
        with deadline(conf.DATABASE_ANSWER_SECONDS / 2):
            return function(*args, **kwargs)

    @functools.wraps(function)
    async def run(*args: P.args, **kwargs: P.kwargs) -> R:
        call = database_sync_to_async(bounded, thread_sensitive=False, executor=_threads())
        return await call(*args, **kwargs)  # type: ignore[no-any-return]

    return run
