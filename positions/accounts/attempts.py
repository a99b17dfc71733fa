"""Counts of failed attempts and of those that are being checked, in Redis or Valkey and so across all processes.

An attempt takes a place under each of its keys before the password is checked, and gives it back after. Where failures
and places reach a limit, a further attempt waits for the outcome of those that are being checked: attempts at once
test no more wrong passwords than the limit, and a right one is not refused because of others. A place whose process
died is free after LEASE_SECONDS.

While Redis or Valkey is unavailable each process counts by itself: with n of them, at most n times as many attempts are
possible.
"""

from __future__ import annotations

import logging
import random
import threading
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from positions import valkey
from positions.accounts import counting
from positions.accounts.counting import Answer, Limits, Outcome

logger = logging.getLogger(__name__)

# Longer than a password's check takes on a server that is overloaded.
LEASE_SECONDS = 30.0
# With 10 places, some 100 checks of 0.3 s on two cores. Proxies wait for 60 s.
WAIT_SECONDS = 30.0
MOST_WAITING = 200
"""In a process: each is a thread."""
# How long Redis or Valkey is not tried again after a failure: a login must not wait for a server that hangs.
RETRY_SECONDS = 5.0


@dataclass(slots=True)
class Attempt:
    """One that has its places."""

    limits: Limits
    id: str = field(default_factory=lambda: uuid.uuid4().hex)
    shares: bool = False
    """Whether it counts under the shared key."""
    in_store: bool = False
    """Whether its places are in Redis or Valkey."""


class Refused(Exception):
    """Too many failures, or (`busy`) too many attempts that are being checked."""

    def __init__(self, wait_seconds: float, *, busy: bool) -> None:
        super().__init__(f"wait for {wait_seconds:.0f} s")
        self.wait_seconds, self.busy = wait_seconds, busy


class Attempts:
    """Counts in Redis or Valkey; in this process while that is unavailable."""

    def __init__(self, *, lease_seconds: float = LEASE_SECONDS, wait_seconds: float = WAIT_SECONDS) -> None:
        self._lease_seconds, self._wait_seconds = lease_seconds, wait_seconds
        self._here = counting.Here()
        self._waiting = threading.BoundedSemaphore(MOST_WAITING)
        self._is_unavailable = False
        self._ask_again_at = 0.0

    def begin(self, limits: Limits) -> Attempt:
        """Take a place under each key. Waits while it depends on attempts that are being checked. Raises Refused.

        One call of Redis or Valkey; every 0.05 to 0.3 s a further one while it waits.
        """
        attempt = Attempt(limits)
        answer = self._take(attempt)
        if answer.state == "busy" and self._waiting.acquire(blocking=False):
            try:
                answer = self._wait(attempt)
            finally:
                self._waiting.release()
        if answer.state == "taken":
            attempt.shares = answer.shares
            return attempt
        raise Refused(answer.wait_seconds or random.uniform(1, 2), busy=answer.state == "busy")  # noqa: S311

    def end(self, attempt: Attempt, outcome: Outcome, *, window_seconds: float, known_seconds: float) -> None:
        """Give the places back. A failure counts for `window_seconds` from the first one under each key; after a
        success the known key exists for `known_seconds`."""
        windows = [round(1000 * window_seconds), round(1000 * known_seconds)]
        keys = attempt.limits.keys
        if attempt.in_store:
            names = [*keys, attempt.limits.known, attempt.limits.forgotten]
            if (
                self._ask(counting.END, names, [attempt.id, outcome, int(attempt.shares), *windows])
                is not None
            ):
                return
        self._here.end(
            attempt.limits,
            attempt.id,
            outcome,
            shares=attempt.shares,
            window_seconds=window_seconds,
            known_seconds=known_seconds,
        )

    def count(self, limits: Mapping[str, int], *, window_seconds: float) -> float:
        """Count under each key and return 0; at one's limit, return the seconds to wait and count nothing."""
        arguments = [round(1000 * window_seconds), *limits.values()]
        wait_ms = self._ask(counting.COUNT, list(limits), arguments)
        return self._here.count(limits, window_seconds) if wait_ms is None else wait_ms / 1000

    def _wait(self, attempt: Attempt) -> Answer:
        deadline, pause = time.monotonic() + self._wait_seconds, 0.05
        while True:
            time.sleep(pause * random.uniform(0.5, 1))  # noqa: S311  not all at once
            answer = self._take(attempt)
            if answer.state != "busy" or time.monotonic() > deadline:
                return answer
            pause = min(0.3, pause * 1.5)

    def _take(self, attempt: Attempt) -> Answer:
        limits = attempt.limits
        arguments = [attempt.id, round(1000 * self._lease_seconds), limits.share, *limits.numbers]
        answer = self._ask(counting.BEGIN, [*limits.keys, limits.known], arguments)
        attempt.in_store = answer is not None
        if answer is None:
            return self._here.begin(limits, attempt.id, lease_seconds=self._lease_seconds)
        return counting.read(answer)

    def _ask(self, script: str, keys: Sequence[str], arguments: Sequence[object]) -> Any:
        """Return the script's answer, 0 where it has none; None while the server is unavailable."""
        if time.monotonic() < self._ask_again_at:
            return None
        try:
            answer: Any = valkey.client().eval(script, len(keys), *keys, *map(str, arguments))
        except valkey.Unavailable as error:
            if not self._is_unavailable:  # once an outage, not once a login
                logger.warning("login attempts are counted per process, not across processes: %s", error)
            self._is_unavailable, self._ask_again_at = True, time.monotonic() + RETRY_SECONDS
            return None
        self._is_unavailable = False
        return answer or 0


attempts = Attempts()
