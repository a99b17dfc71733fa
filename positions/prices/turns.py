"""Whose turn it is: what a source with a limit is asked for when it cannot be asked for every token at once.

Pure: keeps what it is given, makes no requests. One user who holds thousands of tokens must not make the prices of the
others old, so turns are shared out between owners, not between tokens:

- Each owner has one share, split evenly between its tokens. A token of several owners has a part of each one's share,
  and is asked for once.
- A token's claim is its part of the shares times how long it has waited. The highest claims get the turns: each owner
  gets the same number of them, and an owner who needs fewer has each of its tokens asked for in every round.
- A token that answers lack is asked for less and less often, up to LONGEST_WAIT_SECONDS; like any other again as soon
  as an answer has it.
"""

from __future__ import annotations

import heapq
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

NEW_SECONDS = 60.0
"""A token that was never asked for has waited this long: it comes before its owner's others, not before everybody's."""
PATIENT_SECONDS = 120.0
"""For how long a token that answers lack is asked for like any other: a launch takes moments to be listed."""
FIRST_WAIT_SECONDS = 3.0
"""How long it waits after that. Each further answer without it doubles this."""
LONGEST_WAIT_SECONDS = 600.0

Owners = Mapping[str, Collection[int]]
"""By token, the keys of the users who hold it."""


@dataclass(slots=True)
class _Turn:
    due_at: float
    """When it may be asked for; its claim grows from then on."""
    missing_since: float | None = None
    """When the first of the latest answers came that all lacked it."""
    wait_seconds: float = 0.0
    """How long it is left out after each of them; 0: not at all."""


class Turns:
    """The tokens that one source is asked for. Without `share`, all have the same share."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.round_seconds = 1.5
        """How long a round lasts, and so how long its requests may wait for the source's limit."""
        self.asked = 0
        """How many tokens the last round asked for."""
        self.has_room = True
        """Whether that was all of them."""
        self._clock = clock
        self._turns: dict[str, _Turn] = {}
        self._owners: Owners = {}
        self._parts: dict[str, float] = {}
        self._asks: Counter[str] = Counter()

    def share(self, owners: Owners) -> None:
        """Share turns out between these owners from now on."""
        waiting = {token for token, turn in self._turns.items() if turn.wait_seconds}
        held: Counter[int] = Counter()
        asked_often: Counter[int] = Counter()
        for token, of_token in owners.items():
            held.update(of_token)
            if token not in waiting:
                asked_often.update(of_token)
        self._owners = owners
        # Those that wait count apart: they cost hardly anything, and must not make the others' parts small.
        self._parts = {
            token: sum(1 / (held if token in waiting else asked_often)[owner] for owner in of_token)
            for token, of_token in owners.items()
        }

    def choose(self, tokens: Sequence[str], room: int) -> list[str]:
        """Return those of the tokens to ask for now, at most `room`: all, as they come, where there is room for all.

        Tokens that are not among these are forgotten. Takes time for each of the tokens: 20 ms for 20,000.
        """
        now, turns = self._clock(), self._turns
        for token in turns.keys() - set(tokens):
            del turns[token]
        for token in tokens:
            if token not in turns:
                turns[token] = _Turn(now - NEW_SECONDS)
        chosen = list(tokens)
        self.has_room = len(chosen) <= room
        if not self.has_room:
            chosen = [token for token in tokens if turns[token].due_at <= now]
        if len(chosen) > room:
            claims = ((self.claim(token, now - turns[token].due_at), token) for token in chosen)
            chosen = [token for _, token in heapq.nlargest(room, claims)]
        for token in chosen:
            turns[token].due_at = now
        self.asked = len(chosen)
        self._asks.update(chosen)
        return chosen

    def claim(self, token: str, seconds: float) -> float:
        """Return how strong a token's claim is that has waited this long, compared with others'."""
        if not self._parts:
            return seconds
        return seconds * self._parts.get(token, 1 / len(self._parts))

    def answered(self, *, known: Iterable[str], unknown: Iterable[str]) -> None:
        """Note which tokens the answers had, and which they lacked. Those whose request failed are neither."""
        now = self._clock()
        for token in known:
            turn = self._turns[token]
            if turn.missing_since is not None:
                turn.missing_since, turn.wait_seconds = None, 0.0
        for token in unknown:
            turn = self._turns[token]
            if turn.missing_since is None:
                turn.missing_since = now
            elif now - turn.missing_since > PATIENT_SECONDS:
                doubled = max(FIRST_WAIT_SECONDS, 2 * turn.wait_seconds)
                turn.wait_seconds = min(doubled, LONGEST_WAIT_SECONDS)
                turn.due_at = now + turn.wait_seconds

    @property
    def waits(self) -> dict[str, float]:
        """The tokens that are asked for less often, and the seconds between two requests."""
        if self.has_room:  # for all, in every round
            return {}
        return {token: turn.wait_seconds for token, turn in self._turns.items() if turn.wait_seconds}

    def take_asks(self) -> tuple[dict[str, int], dict[int | str, float]]:
        """Return how often each token has been asked for since the last call, and each owner's part of it."""
        asks, self._asks = self._asks, Counter()
        parts: dict[int | str, float] = {}
        for token, number in asks.items():
            of_token = self._owners.get(token, ())
            for owner in of_token:
                parts[owner] = parts.get(owner, 0.0) + number / len(of_token)
        return dict(asks), parts
