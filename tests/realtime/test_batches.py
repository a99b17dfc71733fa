"""Questions that are answered together: nobody waits alone, and nobody fails for another."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from realtime.hub import batches as module
from realtime.hub.batches import AT_ONCE, Batches


class Outage(Exception):
    """Concerns all questions."""


class Source:
    """Answers with ten times the number, when it is told to; a negative number is one that it cannot answer."""

    def __init__(self) -> None:
        self.asked: list[list[int]] = []
        self.may_answer = asyncio.Event()
        self.fails_with: type[Exception] | None = None

    async def answer_all(self, numbers: Sequence[int]) -> list[int | Exception]:
        self.asked.append(list(numbers))
        if not self.may_answer.is_set():
            await self.may_answer.wait()
        if self.fails_with is not None:
            raise self.fails_with
        if any(number < 0 for number in numbers):
            raise ValueError(f"cannot answer {numbers}")
        return [LookupError("zero") if number == 0 else 10 * number for number in numbers]


def batches(source: Source, *, most: int = 100, patience_seconds: float = 600.0) -> Batches[int, int]:
    return Batches(source.answer_all, outages=(Outage,), most=most, patience_seconds=patience_seconds)


async def asked(all_batches: Batches[int, int], *numbers: int) -> list[asyncio.Task[int]]:
    """Ask, and return once each question is waiting or under way."""
    tasks = [asyncio.ensure_future(all_batches.ask(number)) for number in numbers]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    return tasks


async def test_a_question_that_comes_alone_is_asked_at_once() -> None:
    source = Source()
    source.may_answer.set()
    some = batches(source)
    assert [await some.ask(number) for number in (1, 2)] == [10, 20]
    assert source.asked == [[1], [2]]


async def test_questions_that_gather_meanwhile_are_asked_together_within_the_bound() -> None:
    source = Source()
    some = batches(source, most=3)
    tasks = [*await asked(some, 1), *await asked(some, 2, 3, 4, 5)]
    assert source.asked == [[1]]
    source.may_answer.set()
    assert await asyncio.gather(*tasks) == [10, 20, 30, 40, 50]
    assert source.asked == [[1], [2, 3, 4], [5]]


async def test_in_a_crowd_a_batch_gathers_as_many_as_it_may_have_but_not_for_long(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    source, crowded = Source(), True
    some: Batches[int, int] = Batches(source.answer_all, most=3, in_crowd=lambda: crowded)
    monkeypatch.setattr(module, "GATHER_SECONDS", 3600.0)
    tasks = await asked(some, 1, 2)
    assert source.asked == []
    tasks += await asked(some, 3, 4)
    assert source.asked == [[1, 2, 3]]
    monkeypatch.setattr(module, "GATHER_SECONDS", 0.01)
    source.may_answer.set()
    assert await asyncio.gather(*tasks) == [10, 20, 30, 40]  # the last one after a moment
    monkeypatch.setattr(module, "GATHER_SECONDS", 3600.0)
    late = await asked(some, 5)
    crowded = False
    assert await asyncio.gather(*late, some.ask(6), some.ask(7)) == [50, 60, 70]
    assert source.asked == [[1, 2, 3], [4], [5, 6, 7]]
    assert await some.ask(8) == 80
    assert source.asked[3:] == [[8]]


async def test_a_question_that_makes_all_fail_fails_alone() -> None:
    source = Source()
    some = batches(source)
    tasks = [*await asked(some, 1), *await asked(some, 2, -3, 0, 4)]
    source.may_answer.set()
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    assert [str(outcome) for outcome in outcomes] == ["10", "20", "cannot answer [-3]", "zero", "40"]
    assert source.asked == [[1], [2, -3, 0, 4], [2], [-3], [0], [4]]


async def test_an_outage_is_everybodys_and_asked_about_once() -> None:
    source = Source()
    some = batches(source)
    tasks = [*await asked(some, 1), *await asked(some, 2, 3)]
    source.fails_with = Outage
    source.may_answer.set()
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [Outage] * 3
    assert source.asked == [[1], [2, 3]]
    source.fails_with = None
    assert await some.ask(4) == 40


async def test_an_outage_that_is_over_at_the_second_try_is_nobodys():
    asked: list[list[int]] = []

    async def answer_all(numbers: Sequence[int]) -> list[int]:
        asked.append(list(numbers))
        if len(asked) == 1:
            raise Outage
        return [10 * number for number in numbers]

    some: Batches[int, int] = Batches(answer_all, outages=(Outage,), tries=2)
    assert [*await asyncio.gather(some.ask(1), some.ask(2))] == [10, 20]
    assert asked == [[1, 2], [1, 2]]


async def test_whoever_is_gone_is_not_asked_for_and_the_others_are_answered() -> None:
    source = Source()
    some = batches(source)
    first, second, third = *await asked(some, 1), *await asked(some, 2, 3)
    first.cancel()
    second.cancel()
    await asyncio.wait([first, second])
    source.may_answer.set()
    assert await third == 30
    assert source.asked == [[1], [3]]
    assert await some.ask(4) == 40


async def test_a_batch_that_hangs_holds_up_the_next_one_for_a_moment_only() -> None:
    source = Source()
    some = batches(source, patience_seconds=0.001)
    tasks: list[asyncio.Task[int]] = []
    for number in range(AT_ONCE + 3):
        tasks += await asked(some, number + 1)
        while len(source.asked) < min(number + 1, AT_ONCE):  # noqa: ASYNC110  a timer of the event loop decides
            await asyncio.sleep(0)
    assert source.asked == [[number + 1] for number in range(AT_ONCE)]
    source.may_answer.set()
    assert await asyncio.gather(*tasks) == [10 * (number + 1) for number in range(AT_ONCE + 3)]
    assert [number for numbers in source.asked for number in numbers] == [
        number + 1 for number in range(AT_ONCE + 3)
    ]


async def test_an_interrupted_batch_is_an_error_and_cancels_nobody() -> None:
    async def interrupted(numbers: Sequence[int]) -> list[int]:
        raise asyncio.CancelledError

    some: Batches[int, int] = Batches(interrupted)
    with pytest.raises(InterruptedError):
        await some.ask(1)
