"""Tasks that run as long as their process: restarted when they end, reported as not working, stopped."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Callable

import pytest

from realtime.monitoring import tasks as tasks_module
from realtime.monitoring.tasks import Health, Tasks
from tests.live import PATIENCE_SECONDS
from tests.waiting import eventually


@pytest.fixture
async def tasks(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Tasks]:
    monkeypatch.setattr(tasks_module, "RESTART_SECONDS", (0.001,))
    tasks = Tasks()
    yield tasks
    await tasks.stop(tasks.checks())


class Work:
    """Calls `end`, which ends it, the given number of times; then it works until it is cancelled."""

    def __init__(self, end: Callable[[], None], *, times: int = 1) -> None:
        self.end, self.times, self.starts = end, times, 0
        self.go_on = asyncio.Event()

    async def __call__(self, health: Health) -> None:
        self.starts += 1
        if self.starts <= self.times:
            self.end()
            return
        await self.go_on.wait()
        health.works()
        await asyncio.Event().wait()


def fail() -> None:
    raise ValueError("a fault")


def be_cancelled_by_what_it_waits_for() -> None:
    raise asyncio.CancelledError


@pytest.mark.parametrize("end", [fail, be_cancelled_by_what_it_waits_for, lambda: None])
async def test_task_that_ends_is_started_again_and_does_not_work_until_it_says_so(tasks: Tasks, caplog, end):
    work = Work(end, times=3)
    tasks.keep_running("worker", work, grace_seconds=1000)
    assert tasks.checks() == {"worker": "ok"}  # it has just been started

    async def started_again() -> bool:
        return work.starts == 4

    await eventually(started_again, "the task was started again")
    assert tasks.checks() == {"worker": "not working"}
    work.go_on.set()

    async def works() -> bool:
        return tasks.checks() == {"worker": "ok"}

    await eventually(works, "the task works")
    assert [record.getMessage() for record in caplog.records] == 3 * [
        "worker has ended; restarting in 0.001 s"
    ]
    assert ("ValueError: a fault" in caplog.text) == (end is fail)


async def test_task_that_hangs_does_not_work_once_its_time_is_over(tasks: Tasks):
    async def hang(health: Health) -> None:
        health.works(for_seconds=0.0)
        await asyncio.Event().wait()

    tasks.keep_running("worker", hang, grace_seconds=1000)

    async def noticed() -> bool:
        return tasks.checks() == {"worker": "not working"}

    await eventually(noticed, "that it hangs is noticed")


async def test_task_that_never_begins_to_work_does_not_work_once_its_grace_is_over(tasks: Tasks):
    tasks.keep_running("worker", Work(fail, times=0), grace_seconds=0.0)
    assert tasks.checks() == {"worker": "not working"}


async def test_task_that_is_stopped_ends_and_is_not_started_again(tasks: Tasks, caplog):
    work = Work(fail, times=0)
    tasks.keep_running("worker", work, grace_seconds=0.0)
    await asyncio.sleep(0)
    await tasks.stop(["worker"])
    assert asyncio.all_tasks() == {asyncio.current_task()}
    assert work.starts == 1
    assert tasks.checks() == {}
    assert caplog.records == []


class Stubborn:
    """Swallows the given number of cancellations, as a library may; `end` ends it."""

    def __init__(self, swallows: float) -> None:
        self.swallows = swallows
        self.end, self.ended = asyncio.Event(), False

    async def __call__(self, health: Health) -> None:
        while not self.end.is_set():
            try:
                await self.end.wait()
            except asyncio.CancelledError:
                self.swallows -= 1
                if self.swallows < 0:
                    self.ended = True
                    raise


async def test_task_that_swallows_a_cancellation_is_cancelled_again_and_named(
    tasks: Tasks, caplog, monkeypatch
):
    monkeypatch.setattr(tasks_module, "STOP_SECONDS", 0.01)
    work = Stubborn(1)
    tasks.keep_running("worker", work, grace_seconds=1000)
    tasks.keep_running("other", Work(fail, times=0), grace_seconds=1000)
    await asyncio.sleep(0)
    await tasks.stop(["worker", "other"])
    assert work.ended
    assert [record.getMessage() for record in caplog.records] == [
        "worker has not ended 0.01 s after its cancellation; cancelling it again"
    ]


async def test_task_that_swallows_every_cancellation_holds_up_nobody(tasks: Tasks, caplog, monkeypatch):
    monkeypatch.setattr(tasks_module, "STOP_SECONDS", 0.01)
    work = Stubborn(math.inf)
    tasks.keep_running("worker", work, grace_seconds=1000)
    await asyncio.sleep(0)
    async with asyncio.timeout(PATIENCE_SECONDS):
        await tasks.stop(["worker"])
    assert tasks.checks() == {}
    assert caplog.records[-1].getMessage() == "worker does not end: it has swallowed 3 cancellations"
    work.end.set()
    await until_it_is_the_only_task()


@pytest.mark.parametrize("fails", [False, True])
async def test_task_that_ends_otherwise_when_it_is_stopped_is_not_started_again(
    tasks: Tasks, caplog, fails: bool
):
    starts = 0

    async def work(health: Health) -> None:
        nonlocal starts
        starts += 1
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            if fails:
                raise ValueError("a fault") from None

    tasks.keep_running("worker", work, grace_seconds=1000)
    await asyncio.sleep(0)
    await tasks.stop(["worker"])
    await until_it_is_the_only_task()
    assert starts == 1
    assert [record.getMessage() for record in caplog.records] == fails * [
        "worker failed while it was stopped"
    ]
    assert ("ValueError: a fault" in caplog.text) == fails


async def until_it_is_the_only_task() -> None:
    async def is_alone() -> bool:
        return asyncio.all_tasks() == {asyncio.current_task()}

    await eventually(is_alone, "the task has ended")


async def test_task_beside_others_that_fails_is_logged(tasks: Tasks, caplog):
    async def work() -> None:
        raise ValueError("a fault")

    tasks.spawn(work())
    await tasks.spawned()
    await asyncio.sleep(0)
    assert [record.getMessage() for record in caplog.records] == ["a task failed"]
    assert "ValueError: a fault" in caplog.text
