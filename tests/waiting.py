"""Waits for another process, which cannot be awaited: bounded, with a message that says what did not happen."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

from testbed.processes import PATIENCE_SECONDS


async def eventually(condition: Callable[[], Awaitable[bool]], what: str) -> None:
    """Return once the condition holds."""
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not await condition():  # noqa: ASYNC110  it is in another process
                await asyncio.sleep(0.02)  # between two checks of a condition
    except TimeoutError:
        raise AssertionError(f"it never happened that {what}") from None


def until(condition: Callable[[], bool], what: str) -> None:
    """Return once the condition holds; for tests that are no coroutines."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, f"it never happened that {what}"
        time.sleep(0.005)  # between two checks of a condition


def wait_for_midnight_if_it_is_near() -> None:
    """Return at a moment with much of its day (UTC) before it: for what a test writes today, and reads today."""

    def is_not_near() -> bool:
        now = datetime.now(UTC)
        return (now + timedelta(seconds=PATIENCE_SECONDS / 2)).date() == now.date()

    until(is_not_near, "midnight passed")
