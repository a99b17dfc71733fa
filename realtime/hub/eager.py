"""Starts a coroutine immediately, in a task of its own, instead of in the event loop's next iteration."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Coroutine
from contextvars import copy_context
from typing import Any


def send_eagerly(sending: Awaitable[None]) -> asyncio.Task[None] | None:
    """Run a send until it first has to wait; return its task, or None where it has ended already.

    Nearly every send ends at once: uvicorn's transport takes the bytes, daphne's always does. The send is in
    a task of its own from its first step: an `asyncio.timeout` in a server's code cancels that task and not the
    caller's. Raises what the send raises before it first waits, also a CancelledError.
    """
    coroutine: Coroutine[Any, Any, None] = sending if asyncio.iscoroutine(sending) else _awaiting(sending)
    return _begin(coroutine, asyncio.get_running_loop())


async def _awaiting(sending: Awaitable[None]) -> None:
    await sending


if sys.version_info >= (3, 12):

    def _begin(
        coroutine: Coroutine[Any, Any, None], loop: asyncio.AbstractEventLoop
    ) -> asyncio.Task[None] | None:
        task = asyncio.Task(coroutine, loop=loop, eager_start=True)
        if not task.done():
            return task
        task.result()
        return None

else:

    def _begin(
        coroutine: Coroutine[Any, Any, None], loop: asyncio.AbstractEventLoop
    ) -> asyncio.Task[None] | None:
        """Do what `eager_start` does, with what asyncio documents for other implementations of tasks ("Extending").

        The task takes its first step in the loop's next iteration, and finds it already made. That costs 4 µs a send,
        where `eager_start` costs 1 (CPython 3.11.7 and 3.13.0, 2026-11).
        """
        begun = _Begun(coroutine)
        context = copy_context()
        task = asyncio.Task(begun, loop=loop, context=context)
        caller = asyncio.current_task(loop)
        if caller is not None:
            asyncio.tasks._leave_task(loop, caller)
        asyncio.tasks._enter_task(loop, task)
        try:
            begun.waiting_for = context.run(coroutine.send, None)
        except StopIteration:
            return None
        finally:
            asyncio.tasks._leave_task(loop, task)
            if caller is not None:
                asyncio.tasks._enter_task(loop, caller)
        begun.has_ended = False
        return task


class _Begun(Coroutine[Any, Any, None]):
    """A coroutine whose first step has been made before its task makes it."""

    __slots__ = ("_coroutine", "has_ended", "waiting_for")

    def __init__(self, coroutine: Coroutine[Any, Any, None]) -> None:
        self._coroutine = coroutine
        self.has_ended = True
        """Whether it ended in its first step."""
        self.waiting_for: Any = _NOTHING
        """What it waits for after its first step, until the task has taken that."""

    def send(self, value: Any) -> Any:
        if self.has_ended:
            raise StopIteration
        if self.waiting_for is _NOTHING:
            return self._coroutine.send(value)
        waiting_for, self.waiting_for = self.waiting_for, _NOTHING
        return waiting_for

    def throw(self, typ: Any, val: Any = None, tb: Any = None) -> Any:
        # A task gives an exception and nothing else: it was cancelled.
        if self.has_ended:
            raise typ
        self.waiting_for = _NOTHING
        return self._coroutine.throw(typ)

    def close(self) -> None:
        self._coroutine.close()

    def __await__(self) -> Any:
        raise NotImplementedError("a task runs it")


_NOTHING = object()
