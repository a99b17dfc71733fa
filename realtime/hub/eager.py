"""Running a coroutine up to its first wait without making it a task."""

from __future__ import annotations

import asyncio
import types
from collections.abc import Awaitable, Coroutine, Generator
from typing import Any


def send_eagerly(sending: Awaitable[None]) -> asyncio.Task[None] | None:
    """Run a send until it first has to wait; return a task for the rest, None where there is no rest.

    Nearly every send ends at once (uvicorn: the transport takes the bytes; daphne: always), and a task for each
    would cost more than the send itself. Python 3.12's `Task(eager_start=True)` does the same. Raises what the send
    raises before it first waits.
    """
    coroutine: Coroutine[Any, Any, None] = sending if asyncio.iscoroutine(sending) else _awaiting(sending)
    try:
        waiting_for = coroutine.send(None)
    except StopIteration:
        return None
    return asyncio.ensure_future(_rest(coroutine, waiting_for))


async def _awaiting(sending: Awaitable[None]) -> None:
    await sending


async def _rest(coroutine: Coroutine[Any, Any, None], waiting_for: Any) -> None:
    await _resume(coroutine, waiting_for)


@types.coroutine
def _resume(coroutine: Coroutine[Any, Any, None], waiting_for: Any) -> Generator[Any, Any, None]:
    """Go on with a coroutine that has already yielded `waiting_for` to us, as its task would have."""
    while True:
        problem: BaseException | None = None
        try:
            yield waiting_for
        except BaseException as error:  # noqa: BLE001  a cancellation, too, belongs to the coroutine
            problem = error
        try:
            waiting_for = coroutine.throw(problem) if problem else coroutine.send(None)
        except StopIteration:
            return
