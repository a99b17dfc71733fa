"""Answers together what many ask at about the same time: a thousand sockets that connect in the same second cause a few
dozen calls, not a thousand.

Who comes alone waits for nobody: a question is asked at once, and a batch is what has gathered while the one before it
was under way. Pure asyncio; knows neither the database nor Redis.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from contextvars import Context
from typing import Generic, TypeVar

Question = TypeVar("Question")
Answer = TypeVar("Answer")

MOST = 32
"""Questions in one batch: to hand out their answers takes the event loop a millisecond or two."""
GATHER_SECONDS = 0.05
"""How long a batch gathers questions in a crowd, if there are not as many as it may have: what a batch costs, whatever
its size, is a tenth of what it costs to start a socket."""
PATIENCE_SECONDS = 0.25
"""How long the next batch waits for one that is under way: one that hangs must not hold up everybody."""
AT_ONCE = 8
"""How many may be under way, where each takes longer than that."""


class Batches(Generic[Question, Answer]):
    """Asks `answer_all` for up to `most` questions at once. It returns an answer for each, or the exception to raise.

    If it raises for several questions, each is asked by itself, so that the one that caused it fails alone. Not after
    one of `outages`, which concern all: then all get the exception, once so many `tries` have failed.

    `in_crowd` returns whether many more questions are about to come.
    """

    def __init__(
        self,
        answer_all: Callable[[Sequence[Question]], Awaitable[Sequence[Answer | Exception]]],
        *,
        outages: tuple[type[BaseException], ...] = (),
        tries: int = 1,
        most: int = MOST,
        patience_seconds: float = PATIENCE_SECONDS,
        in_crowd: Callable[[], bool] = lambda: False,
    ) -> None:
        self._answer_all = answer_all
        self._outages = outages
        self._tries = tries
        self._most = most
        self._patience_seconds = patience_seconds
        self._in_crowd = in_crowd
        self._gathering: asyncio.TimerHandle | None = None
        """Until then, the next batch waits for more questions."""
        self._waiting: deque[tuple[Question, asyncio.Future[Answer]]] = deque()
        self._under_way: set[asyncio.Task[None]] = set()
        self._last: asyncio.Task[None] | None = None
        """The batch for which the next one waits, and until when."""
        self._until = 0.0

    async def ask(self, question: Question) -> Answer:
        """Return the answer, or raise what stands in its place. Safe to cancel: the others are answered."""
        answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._waiting.append((question, answer))
        if self._last is None:
            self._begin()
        return await answer

    def _begin(self) -> None:
        """Start the next batch, if anybody waits for one: of those who ask until its task runs."""
        self._last = None
        if self._waiting and not self._gathers():
            self._start()

    def _start(self) -> None:
        loop = asyncio.get_running_loop()
        # In a context of its own, not in that of the socket that happens to ask first.
        self._last = task = loop.create_task(self._serve(), context=Context())
        self._until = loop.time() + self._patience_seconds
        self._under_way.add(task)
        late = loop.call_later(self._patience_seconds, self._go_on)
        task.add_done_callback(lambda task: self._ended(task, late))

    def _gathers(self) -> bool:
        """Return whether the next batch waits for more questions: not for long, and not for more than it may have."""
        if len(self._waiting) >= self._most or not self._in_crowd():
            self._stop_gathering()
            return False
        if self._gathering is None:
            loop = asyncio.get_running_loop()
            self._gathering = loop.call_later(GATHER_SECONDS, self._gathered)
        return True

    def _gathered(self) -> None:
        self._stop_gathering()
        if self._last is None:
            self._start()

    def _stop_gathering(self) -> None:
        if self._gathering is not None:
            self._gathering.cancel()
            self._gathering = None

    def _ended(self, task: asyncio.Task[None], late: asyncio.TimerHandle) -> None:
        late.cancel()
        self._under_way.discard(task)
        if task is self._last:
            self._begin()
        else:
            self._go_on()

    def _go_on(self) -> None:
        """Start the next batch beside those that take long."""
        is_late = self._last is not None and asyncio.get_running_loop().time() >= self._until
        if is_late and len(self._under_way) < AT_ONCE:
            self._begin()

    async def _serve(self) -> None:
        batch: list[tuple[Question, asyncio.Future[Answer]]] = []
        while self._waiting and len(batch) < self._most:
            question, answer = self._waiting.popleft()
            if not answer.done():  # else who asked is gone
                batch.append((question, answer))
        if batch:
            await self._answer(batch)

    async def _answer(
        self, batch: list[tuple[Question, asyncio.Future[Answer]]], tries: int | None = None
    ) -> None:
        tries = self._tries if tries is None else tries
        try:
            found = await self._answer_all([question for question, _ in batch])
        except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001  handed to those who asked
            if tries > 1 and isinstance(error, self._outages):
                await self._answer(batch, tries - 1)
                return
            if len(batch) > 1 and isinstance(error, Exception) and not isinstance(error, self._outages):
                for each in batch:
                    await self._answer([each])
                return
            # Cancelled was something that the batch waited for, and not those who asked.
            failure = error if isinstance(error, Exception) else InterruptedError("the batch was cancelled")
            found = [failure] * len(batch)
        for (_, asked), outcome in zip(batch, found, strict=True):
            if asked.done():
                continue
            if isinstance(outcome, Exception):
                asked.set_exception(outcome)
            else:
                asked.set_result(outcome)
