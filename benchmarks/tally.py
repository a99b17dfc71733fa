"""What the clients of a load generator received, and the problems: all clients add to one tally."""

from __future__ import annotations

import asyncio

MOST_PROBLEMS = 5


class Tally:
    """Counts the rounds that reached a socket, against those that each of `counted_clients` should get."""

    def __init__(self) -> None:
        self.timed = False
        """Whether to record when each round arrived."""
        self.fixed = False
        """Whether every message is of the first round."""
        self.rounds = 0
        self.last_round = 0
        self.received = 0
        self.received_bytes = 0
        self.repeated = 0
        """Messages with a part of a round, or with a repeated round."""
        self.marks: list[tuple[str, int, float]] = []
        """Position events: whose, which, and when."""
        self.all_done = asyncio.Event()
        self._problems: list[str] = []
        self._unfinished = 0

    def expect(self, *, clients: int, rounds: int, first_round: int, fixed: bool, timed: bool) -> None:
        """Start at zero: this many rounds for each of this many clients, from this round on."""
        self.fixed, self.timed = fixed, timed
        self.received = self.received_bytes = self.repeated = 0
        self.rounds, self.last_round = rounds, first_round + rounds - 1
        self._unfinished = clients
        self.all_done.clear()

    def count(self, size_bytes: int, *, done: bool) -> None:
        """Add a round that reached a client; `done` where it was the last for it."""
        self.received += 1
        self.received_bytes += size_bytes
        if done:
            self._unfinished -= 1
            if not self._unfinished:
                self.all_done.set()

    def problem(self, text: str) -> None:
        if len(self._problems) < MOST_PROBLEMS:
            self._problems.append(text)

    def take_problems(self) -> list[str]:
        problems, self._problems = self._problems, []
        return problems
