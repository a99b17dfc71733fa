"""A send that is begun eagerly is a task of its own: cancelling it does not affect the caller."""

from __future__ import annotations

import asyncio
import contextlib
from contextvars import ContextVar
from typing import Any

import pytest

from realtime.hub.eager import send_eagerly

variable: ContextVar[str] = ContextVar("variable", default="the caller's")


async def settled() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_send_that_need_not_wait_has_ended_and_leaves_no_task():
    sent = []

    async def send():
        sent.append("at once")

    assert send_eagerly(send()) is None
    assert sent == ["at once"]
    await settled()
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_timeout_in_a_send_cancels_the_send_and_not_its_caller():
    ended = []

    async def send():
        try:
            async with asyncio.timeout(0.01):
                await asyncio.Event().wait()
        except TimeoutError:
            ended.append("timeout")

    caller = asyncio.current_task()
    task = send_eagerly(send())
    assert task is not None
    await asyncio.wait([task])
    await settled()
    assert ended == ["timeout"]
    assert caller is not None
    assert caller.cancelling() == 0


async def test_timeout_that_has_run_out_before_the_first_wait_cancels_the_send():
    async def send():
        async with asyncio.timeout(-1):
            await asyncio.Event().wait()

    task = send_eagerly(send())
    assert task is not None
    await asyncio.wait([task])
    assert repr(task.exception()) == "TimeoutError()"


async def test_send_is_in_one_task_from_its_beginning_to_its_end():
    seen: list[Any] = []

    async def send():
        seen.append(asyncio.current_task())
        await asyncio.sleep(0)
        seen.append(asyncio.current_task())

    caller = asyncio.current_task()
    task = send_eagerly(send())
    assert asyncio.current_task() is caller
    assert task is not None
    await task
    assert seen == [task, task]


@pytest.mark.parametrize("error", [OSError("gone"), asyncio.CancelledError()])
async def test_send_that_fails_at_once_raises_and_the_caller_is_the_current_task_again(error):
    async def send():
        raise error

    caller = asyncio.current_task()
    with pytest.raises(type(error)):
        send_eagerly(send())
    assert asyncio.current_task() is caller
    await settled()  # a task that ended with an exception which nobody asked for would say so now


async def test_send_outside_any_task_works():
    loop = asyncio.get_running_loop()
    seen: list[Any] = []
    done = loop.create_future()

    async def send():
        seen.append(asyncio.current_task())

    def callback():
        seen.append(send_eagerly(send()))
        seen.append(asyncio.current_task())
        done.set_result(None)

    loop.call_soon(callback)
    await done
    assert isinstance(seen[0], asyncio.Task)
    assert seen[1:] == [None, None]


async def test_context_variable_that_a_send_sets_stays_the_callers_own():
    seen = []

    async def send():
        variable.set("the send's")
        await asyncio.sleep(0)
        seen.append(variable.get())

    task = send_eagerly(send())
    assert variable.get() == "the caller's"
    assert task is not None
    await task
    assert seen == ["the send's"]


@pytest.mark.parametrize("turns", [0, 5])
async def test_cancellation_reaches_the_waiting_send(turns):
    ended = []

    async def send():
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            ended.append("cancelled")
            raise

    task = send_eagerly(send())
    assert task is not None
    for _ in range(turns):
        await asyncio.sleep(0)
    task.cancel()
    await settled()
    assert ended == ["cancelled"]
    assert task.cancelled()


async def test_send_that_cancels_its_own_task_is_cancelled_where_it_waits():
    async def send():
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        await asyncio.Event().wait()

    task = send_eagerly(send())
    assert task is not None
    await settled()
    assert task.cancelled()


async def test_send_that_cancels_its_own_task_and_ends_leaves_its_caller_alone():
    async def send():
        task = asyncio.current_task()
        assert task is not None
        task.cancel()

    caller = asyncio.current_task()
    with contextlib.suppress(asyncio.CancelledError):  # since 3.12
        send_eagerly(send())
    await settled()
    assert caller is not None
    assert caller.cancelling() == 0


async def test_send_may_wait_more_than_once_and_its_task_has_what_it_raised():
    first, second = asyncio.Event(), asyncio.Event()

    async def send():
        await first.wait()
        await second.wait()
        raise ValueError("at last")

    task = send_eagerly(send())
    first.set()
    await settled()
    second.set()
    await settled()
    assert task is not None
    assert repr(task.exception()) == "ValueError('at last')"


async def test_awaitable_that_is_no_coroutine_is_sent_too():
    future = asyncio.get_running_loop().create_future()
    task = send_eagerly(future)
    assert task is not None
    future.set_result(None)
    await task
