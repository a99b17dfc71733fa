"""The feed's output: a line that is rewritten in place on a terminal, log lines elsewhere."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from datetime import UTC, datetime

from positions.books.terminal import printable
from positions.prices.quotes import PriceStatus
from positions.prices.rounds import Round

SUMMARY_SECONDS = 60.0
UNRELIABLE: tuple[PriceStatus, ...] = ("stale", "thin", "gone")
CLEAR_LINE = "\r\x1b[K"


class FeedReport:
    """Lines about rounds, through `write`, which takes text with its line ends.

    On a terminal every round rewrites the last line. Elsewhere there is a line for the first round, when errors begin
    or end, and once a minute; with `every_round`, for each. Unless `stamped`, they begin without the time. Errors and
    notes have lines of their own on both, errors when they begin.
    """

    def __init__(
        self,
        write: Callable[[str], object],
        *,
        terminal: bool,
        every_round: bool = False,
        stamped: bool = True,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._write = write
        self._terminal = terminal
        self._every_round = every_round
        self._stamped = stamped
        self._clock = clock
        self._live = ""  # the terminal's last line, still without its end
        self._said_at: float | None = None  # when the last line about a round was written
        self._failing = 0  # rounds with errors, one after the other

    def say(self, sentence: str) -> None:
        """Write one line, above the live one."""
        sentence = printable(sentence)  # an error may quote what a source has sent
        if self._terminal:
            self._write(f"{CLEAR_LINE}{sentence}\n{self._live}")
        else:
            self._write(f"{_now()} {sentence}\n" if self._stamped else f"{sentence}\n")

    def end(self) -> None:
        """End the live line: what is written next starts a new one."""
        if self._live:
            self._live = ""
            self._write("\n")

    def round(self, result: Round) -> None:
        """Report a round."""
        for note in result.notes:
            self.say(note)
        begins = bool(result.errors) and not self._failing
        ends = self._failing if not result.errors else 0
        self._failing = self._failing + 1 if result.errors else 0
        if begins or (self._every_round and result.errors):
            for error in result.errors:
                self.say(f"Error: {error}")
        if ends:
            self.say(f"No more errors, after {_counted(ends, 'round')} with some.")
        if self._terminal:
            self._live = self._fitted(f"{_now()} {summary(result)}")
            self._write(f"{CLEAR_LINE}{self._live}")
        elif self._every_round or begins or ends or self._summary_is_due():
            self._said_at = self._clock()
            self.say(summary(result))

    def _summary_is_due(self) -> bool:
        return self._said_at is None or self._clock() - self._said_at >= SUMMARY_SECONDS

    def _fitted(self, line: str) -> str:
        # A line that wraps cannot be rewritten in place.
        width = shutil.get_terminal_size().columns - 1
        return line if len(line) <= width else line[: max(width - 1, 0)] + "…"


def summary(result: Round) -> str:
    """Return one round's figures."""
    age = "no price yet" if result.oldest_age_seconds is None else f"oldest {_age(result.oldest_age_seconds)}"
    tokens = _counted(result.tokens, "token")
    if result.asked is not None:
        tokens += f", {result.asked} asked for"
    figures = f"{tokens}, {result.priced} priced, {result.changed} changed, {age}"
    figures += "".join(
        f", {result.statuses[each]} {each}" for each in UNRELIABLE if result.statuses.get(each)
    )
    if not result.tokens:
        figures = "no token to price"
    return f"{figures}, {_counted(len(result.errors), 'error')}, took {result.seconds:.2f} s"


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _age(seconds: float) -> str:
    if seconds < 120:
        return f"{max(seconds, 0.0):.1f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.0f} h"


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
