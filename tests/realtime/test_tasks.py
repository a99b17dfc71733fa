"""Tasks that run as long as their process: what becomes of one that ends, and who is told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest

from realtime.monitoring import tasks as tasks_module
from realtime.monitoring.tasks import Health, Tasks
from tests.waiting import eventually


@pytest.fixture
async def tasks(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Tasks]:
    monkeypatch.setattr(tasks_module, "RESTART_SECONDS", (0.001,))
    tasks = Tasks()
    yield tasks
    await tasks.stop(tasks.checks())


class Work:
    """Ends as told, the given number of times; then it works until it is cancelled."""

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


async def test_task_beside_others_that_fails_is_logged(tasks: Tasks, caplog):
    async def work() -> None:
        raise ValueError("a fault")

    tasks.spawn(work())
    await tasks.spawned()
    await asyncio.sleep(0)
    assert [record.getMessage() for record in caplog.records] == ["a task failed"]
    assert "ValueError: a fault" in caplog.text
