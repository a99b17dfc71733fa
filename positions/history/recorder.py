"""The task that records history, in parallel with the rounds: notes their prices, and writes them at its own pace.

A round only notes its prices in memory (`note_round`). Everything that waits for the database is in `run`, on a thread
of its own: a slow database makes history late, not the rounds.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import ParamSpec, TypeVar

from django.db import Error as DatabaseError
from django.db import close_old_connections, connections
from django.utils import timezone

from positions.books.quotes import Quote
from positions.conf import conf
from positions.errors import is_bug
from positions.history.candle_store import CandleStore
from positions.history.candles import Collector, Minutes, Row, slices
from positions.history.extremes import Extremes
from positions.history.last_quotes import OldQuotes
from positions.history.peaks import behind
from positions.history.values import ValueStore
from positions.models import Position
from positions.valkey import Unavailable

logger = logging.getLogger(__name__)

P = ParamSpec("P")
R = TypeVar("R")

ROWS_PER_STATEMENT = 1_000
PAUSE_SECONDS = 0.05
"""Between two statements, and twice as long as the last one took, if that is longer: the rounds run in the same
process, and wait for its interpreter while a thread computes."""
LONGEST_PAUSE_SECONDS = 0.25
SHORTEST_WAIT_SECONDS = 5.0
ROWS_PER_SECOND = 700
"""On average: a few tokens are written every five seconds, 20,000 (40,000 rows) once a minute."""
KEPT_IN_MEMORY = timedelta(minutes=10)
"""While the database does not answer. 20,000 tokens take 6 MB a minute."""
REMEMBERED = timedelta(minutes=3)
"""How long the market's extremes count after they were written: for positions that were locked or being opened then."""
FLUSH_SECONDS = 5.0
AGENTS_AT_ONCE = 50
PRUNED_AT_ONCE, PRUNED_ROWS = 500, 2_000
"""Tokens or agents, and rows, in one statement. A write has one for every 2,000 rows that it writes, and one more:
deletion keeps up with it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """The result of one write."""

    rows: int = 0
    """Of candles."""
    followed: int = 0
    """Positions whose highest or lowest price was moved."""
    points: int = 0
    """Of agents' values."""
    pruned: int = 0
    seconds: float = 0.0
    lag_seconds: float = 0.0
    """The age of the oldest minute that is not written; 0 where all are."""
    error: str | None = None


class Recorder:
    """Records the history of one feed. `on_write` is called with the result of each write."""

    def __init__(
        self,
        *,
        on_write: Callable[[Written], None] = lambda _: None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        now: Callable[[], datetime] = timezone.now,
    ) -> None:
        self._on_write = on_write
        self._sleep = sleep
        self._now = now
        self._collector = Collector()
        self._extremes = Extremes()
        self._candles = CandleStore()
        self._values = ValueStore()
        self._quotes = OldQuotes()
        self._values_due = datetime.min.replace(tzinfo=UTC)
        self._runs_rounds = False
        self._may_pause = True
        # One thread, and so one connection: not the one on which the rounds look up what is held.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="history")
        self._failing = False

    def note_round(self, quotes: Iterable[Quote]) -> None:
        """Note the prices of a round. Takes 20 ms for 20,000."""
        self._runs_rounds = True
        quotes = list(quotes)
        self._collector.add(quotes)
        self._extremes.add(quotes)

    async def run(self) -> None:
        """Write until cancelled; what was not written is left to `flush`."""
        rows = 0
        while True:
            await self._sleep(self._wait_seconds(rows))
            written = await self.write()
            rows = written.rows + written.followed + written.points

    async def flush(self) -> None:
        """Write what has not been written, as far as possible within a few seconds. Call it last."""
        try:
            async with asyncio.timeout(FLUSH_SECONDS):
                await self.write(is_last=True)
        except TimeoutError:
            logger.warning("history: the last prices could not be written within %g s", FLUSH_SECONDS)
        self._thread.submit(connections.close_all)
        self._thread.shutdown(wait=False)

    async def write(self, *, is_last: bool = False) -> Written:
        """Write what came since the last time, and delete some old rows. Errors are in the result.

        The last write has only what would otherwise be lost, and no pauses.
        """
        self._may_pause = not is_last
        started, error, followed, points, pruned = time.monotonic(), None, 0, 0, 0
        extra = {"outage": "database"}
        minutes: Minutes = self._collector.take()
        count = 0
        try:
            waiting = slices(minutes, size=ROWS_PER_STATEMENT)
            while some := await self._in_thread(self._write_next, waiting):
                count += some
            minutes = {}
            followed = await self._follow()
            if not is_last:
                points = await self._record_values()
                for _ in range(1 + (count + points) // PRUNED_ROWS):
                    pruned += await self._in_thread(self._prune)
        except (DatabaseError, *Unavailable) as failure:
            error = (str(failure).strip() or type(failure).__name__).splitlines()[0]
            if is_bug(failure):
                extra = {}
                if not self._failing:
                    logger.error("history cannot be written, because of a bug", exc_info=failure)
        finally:
            # Also what was written: to write it again changes nothing.
            self._collector.give_back(minutes, not_before=self._now() - KEPT_IN_MEMORY)
        self._log(error, extra)
        oldest = self._collector.oldest
        written = Written(
            rows=0 if minutes else count,
            followed=followed,
            points=points,
            pruned=pruned,
            seconds=time.monotonic() - started,
            lag_seconds=0.0 if oldest is None else (self._now() - oldest).total_seconds(),
            error=error,
        )
        self._on_write(written)
        return written

    def _write_next(self, waiting: Iterator[list[Row]]) -> int:
        """Write the next slice; return how many rows it has, 0 at the end."""
        some = next(waiting, [])
        if some:
            self._candles.write(some)
        return len(some)

    async def _follow(self) -> int:
        """Move the highest and lowest prices of open positions to where the market was."""
        started, moved = self._now(), 0
        market = self._extremes.overall()
        found = await self._in_thread(behind, market) if market else []
        for first in range(0, len(found), ROWS_PER_STATEMENT):
            wider = {}
            for each in found[first : first + ROWS_PER_STATEMENT]:
                # Only prices since it was opened count.
                extreme = self._extremes.since(each.token_address, each.created_at)
                if extreme:
                    wider[each.position_id] = each.token_address, *extreme
            if wider:
                moved += await self._in_thread(Position.objects.follow_market, wider)
        self._extremes.forget(before=started - REMEMBERED)
        return moved

    async def _record_values(self) -> int:
        """Write what each agent's positions are worth, once a minute, if this process runs the rounds."""
        if not self._runs_rounds or self._now() < self._values_due:
            return 0
        after, written = None, 0
        while True:
            after, points = await self._in_thread(
                self._values.record, self._now(), after=after, agents=AGENTS_AT_ONCE
            )
            written += points
            if after is None:
                break
        self._values_due = self._now().replace(second=0, microsecond=0) + timedelta(minutes=1)
        self._runs_rounds = False  # until the next one
        return written

    def _prune(self) -> int:
        now = self._now()
        fine_before = now - timedelta(days=conf.HISTORY_FINE_DAYS)
        before = now - timedelta(days=conf.HISTORY_DAYS)
        return (
            self._candles.prune(
                tokens=PRUNED_AT_ONCE, minutes_before=fine_before, hours_before=before, limit=PRUNED_ROWS
            )
            + self._values.prune(
                agents=PRUNED_AT_ONCE, fine_before=fine_before, before=before, limit=PRUNED_ROWS
            )
            + self._quotes.prune(tokens=PRUNED_AT_ONCE, before=before, limit=PRUNED_ROWS)
        )

    def _wait_seconds(self, rows: int) -> float:
        seconds = max(SHORTEST_WAIT_SECONDS, rows / ROWS_PER_SECOND)
        if seconds <= 30:
            return seconds
        # Right after a minute's end, so that its candle is written whole, once.
        return 60.5 - self._now().timestamp() % 60

    def _log(self, error: str | None, extra: dict[str, str]) -> None:
        """Log once when errors begin, and once when they end."""
        if error and not self._failing:
            logger.warning("history cannot be written: %s", error, extra=extra)
        elif self._failing and not error:
            logger.info("history is written again", extra=extra)
        self._failing = error is not None

    async def _in_thread(self, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Run one step on the thread, then pause."""

        def run() -> R:
            close_old_connections()  # as Django does around requests; the server may have restarted
            try:
                return function(*args, **kwargs)
            finally:
                close_old_connections()

        started = time.monotonic()
        result = await asyncio.get_running_loop().run_in_executor(self._thread, run)
        if self._may_pause:
            took = time.monotonic() - started
            await self._sleep(min(max(PAUSE_SECONDS, 2 * took), LONGEST_PAUSE_SECONDS))
        return result
