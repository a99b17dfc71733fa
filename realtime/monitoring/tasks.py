"""Tasks that run as long as their process: restarted when they fail, and monitored.

Pure asyncio. Used by the hub and by the process that broadcasts prices.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Callable, Coroutine, Iterable
from contextvars import Context
from time import monotonic
from typing import Any

logger = logging.getLogger(__name__)

RESTART_SECONDS = (0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
"""The delays before a failed task is restarted: the first, the second, and so on; then always the last."""
STABLE_SECONDS = 60.0
"""A task that ran this long before it failed starts with the shortest delay again."""
STOP_SECONDS, CANCELLATIONS = 0.5, 3
"""How long a task has to end after it was cancelled, and how often it is cancelled."""
OK, NOT_WORKING = "ok", "not working"


class Health:
    """Whether a task works, as it last reported."""

    def __init__(self, *, grace_seconds: float) -> None:
        self._works_until = monotonic() + grace_seconds

    def works(self, *, for_seconds: float = math.inf) -> None:
        """Report that it works, and will report again within this time."""
        self._works_until = monotonic() + for_seconds

    def fails(self) -> None:
        """Report that it does not work, until it reports otherwise."""
        self._works_until = -math.inf

    @property
    def is_working(self) -> bool:
        return monotonic() < self._works_until


Work = Callable[[Health], Coroutine[Any, Any, None]]
"""Runs until it is cancelled, and reports after each successful round that it works."""


class Tasks:
    """The tasks of one event loop."""

    def __init__(self) -> None:
        self._spawned: set[asyncio.Task[None]] = set()
        self._kept: dict[str, asyncio.Task[None]] = {}
        self._health: dict[str, Health] = {}

    def keep_running(self, name: str, work: Work, *, grace_seconds: float) -> None:
        """Run `work`, and restart it when it ends. It counts as working for `grace_seconds` before its first report."""
        health = self._health[name] = Health(grace_seconds=grace_seconds)
        self._kept[name] = self._start(_keep_running(name, work, health))

    def spawn(self, coroutine: Coroutine[Any, Any, None]) -> None:
        """Run a coroutine as a task, and hold a reference to it until it ends."""
        task = self._start(coroutine)
        self._spawned.add(task)
        task.add_done_callback(self._ended)

    def checks(self) -> dict[str, str]:
        """Return, by name, whether each of the tasks that are kept running works."""
        return {name: OK if health.is_working else NOT_WORKING for name, health in self._health.items()}

    async def spawned(self) -> None:
        """Wait until all spawned tasks have ended. Safe to cancel."""
        if self._spawned:
            await asyncio.wait(set(self._spawned))

    async def stop(self, names: Iterable[str]) -> None:
        """End these of the tasks that are kept running. Takes at most CANCELLATIONS × STOP_SECONDS. Safe to cancel.

        A task may swallow a cancellation (before Python 3.12, `asyncio.wait_for` does: python/cpython#86296).
        """
        running = {name: self._kept.pop(name) for name in names}
        for name in running:
            del self._health[name]
        for number in range(1, CANCELLATIONS + 1):
            for task in running.values():
                task.cancel()
            if running:
                await asyncio.wait(running.values(), timeout=STOP_SECONDS)
            running = {name: task for name, task in running.items() if not task.done()}
            for name in running:
                if number < CANCELLATIONS:
                    sentence = "%s has not ended %g s after its cancellation; cancelling it again"
                    logger.warning(sentence, name, STOP_SECONDS)
                else:
                    logger.error("%s does not end: it has swallowed %d cancellations", name, number)

    def _start(self, coroutine: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        # In a context of its own, not in that of the connection that happens to be the first.
        return asyncio.get_running_loop().create_task(coroutine, context=Context())

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._spawned.discard(task)
        if not task.cancelled() and task.exception() is not None:
            logger.error("a task failed", exc_info=task.exception())


async def _keep_running(name: str, work: Work, health: Health) -> None:
    task, failures = asyncio.current_task(), 0
    while True:
        started = monotonic()
        error: BaseException | None = None
        try:
            await work(health)
        except asyncio.CancelledError as cancelled:
            if task is None or task.cancelling():
                raise
            error = cancelled  # not this task was cancelled, but something it waited for
        except Exception as failure:  # noqa: BLE001  logged below
            error = failure
        if task is not None and task.cancelling():  # `stop` wants it to end, however it does
            if error is not None:
                logger.error("%s failed while it was stopped", name, exc_info=error)
            return
        health.fails()
        failures = 1 if monotonic() - started >= STABLE_SECONDS else failures + 1
        wait_seconds = RESTART_SECONDS[min(failures, len(RESTART_SECONDS)) - 1]
        logger.error("%s has ended; restarting in %g s", name, wait_seconds, exc_info=error)
        await asyncio.sleep(wait_seconds)
