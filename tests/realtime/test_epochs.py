"""What a process knows of the database's epoch, where several look at the same time."""

from __future__ import annotations

import asyncio

import pytest

from realtime.hub import epochs
from realtime.hub.epochs import Epochs


class Looks:
    """Looks of one process, whose answers come when a test says so."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.changes = 0
        self.epochs = Epochs(self._changed)
        self._answers: list[asyncio.Future[str]] = []
        monkeypatch.setattr(epochs, "_read", self._read)

    def _changed(self) -> None:
        self.changes += 1

    async def _read(self) -> str:
        answer = asyncio.get_running_loop().create_future()
        self._answers.append(answer)
        return str(await answer)

    async def begin(self, count: int) -> list[tuple[asyncio.Task[str], asyncio.Future[str]]]:
        """Begin so many looks; return each with its answer, to be set."""
        before = len(self._answers)
        looks = [asyncio.create_task(self.epochs.look()) for _ in range(count)]
        await asyncio.sleep(0)
        return list(zip(looks, self._answers[before:], strict=True))


@pytest.fixture
async def looks(monkeypatch: pytest.MonkeyPatch) -> Looks:
    looks = Looks(monkeypatch)
    ((first, answer),) = await looks.begin(1)
    answer.set_result("before")
    assert await first == "before"
    return looks


async def test_answer_that_is_late_takes_nothing_back(looks: Looks):
    (slow, late), (quick, answer) = await looks.begin(2)
    answer.set_result("after")
    assert await quick == "after"
    late.set_result("before")
    assert await slow == await looks.epochs.known() == "after"
    ((again, answer),) = await looks.begin(1)
    answer.set_result("after")
    assert await again == "after"
    assert looks.changes == 1  # else every client would get a second snapshot


async def test_change_that_several_looks_see_is_told_once(looks: Looks):
    seen = await looks.begin(3)
    for _, answer in seen:
        answer.set_result("after")
    assert [await look for look, _ in seen] == ["after"] * 3
    assert looks.changes == 1
