"""How attempts are counted (`positions.accounts.attempts` says why): the same three operations as scripts of Redis or
Valkey, and in this process's memory.

Under each key: a number of failures, which begins again a fixed time after the first one, and in `KEY:now` the attempts
that are being checked, each until its lease ends.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

MOST_KEPT = 10_000
"""Keys in memory, of each kind."""

State = Literal["taken", "busy", "full"]
Outcome = Literal["failed", "succeeded", "unknown"]


@dataclass(frozen=True, slots=True)
class Limits:
    """The keys of an attempt, and how many failures each may have."""

    own: Mapping[str, int]
    """Of the client's network and of wider ones around it. The first is of the widest one and the name."""
    forgotten: str
    """The one of `own` that a success resets."""
    shared: str
    """The name's, from everywhere."""
    shared_limit: int
    share: int
    """How many failures of the first key count under the shared one, at most."""
    known: str
    """A success sets it. While it exists, the shared one neither counts nor refuses."""

    @property
    def keys(self) -> list[str]:
        return [*self.own, self.shared]

    @property
    def numbers(self) -> list[int]:
        return [*self.own.values(), self.shared_limit]


class Answer(NamedTuple):
    """To an attempt that asks for a place under each of its keys."""

    state: State
    """`full`: too many failures. `busy`: it depends on the attempts that are being checked."""
    wait_seconds: float = 0
    """Until there are no longer too many failures."""
    shares: bool = False
    """Whether it has a place under the shared key, and counts there."""


BEGIN = """
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local shared, wait, busy, used = #KEYS - 1, 0, false, {}
local known = redis.call('EXISTS', KEYS[#KEYS]) == 1
for i = 1, shared do
  local places = KEYS[i] .. ':now'
  redis.call('ZREMRANGEBYSCORE', places, '-inf', now)
  local failures, limit = tonumber(redis.call('GET', KEYS[i]) or '0'), tonumber(ARGV[3 + i])
  used[i] = failures + redis.call('ZCARD', places)
  if i < shared or not known then
    if failures >= limit then wait = math.max(wait, redis.call('PTTL', KEYS[i]), 1) end
    if used[i] >= limit then busy = true end
  end
end
if wait > 0 then return {'full', wait, 0} end
if busy then return {'busy', 0, 0} end
local shares = not known and used[1] < tonumber(ARGV[3])
for i = 1, shared do
  if i < shared or shares then
    redis.call('ZADD', KEYS[i] .. ':now', now + ARGV[2], ARGV[1])
    redis.call('PEXPIRE', KEYS[i] .. ':now', ARGV[2])
  end
end
return {'taken', 0, shares and 1 or 0}
"""
"""Keys: those of Limits, `known`. Arguments: the attempt's id, its lease in ms, `share`, the limits."""

END = """
local shared = #KEYS - 2
for i = 1, shared do
  redis.call('ZREM', KEYS[i] .. ':now', ARGV[1])
  if ARGV[2] == 'failed' and (i < shared or ARGV[3] == '1') then
    redis.call('SET', KEYS[i], '0', 'NX', 'PX', ARGV[4])
    redis.call('INCR', KEYS[i])
  end
end
if ARGV[2] == 'succeeded' then
  redis.call('SET', KEYS[#KEYS - 1], '1', 'PX', ARGV[5])
  redis.call('DEL', KEYS[#KEYS])
end
"""
"""Keys: those of Limits, `known`, `forgotten`. Arguments: id, outcome, `shares`, for how many ms a failure counts and a
network is known."""

COUNT = """
local wait = 0
for i, key in ipairs(KEYS) do
  if tonumber(redis.call('GET', key) or '0') >= tonumber(ARGV[i + 1]) then
    wait = math.max(wait, redis.call('PTTL', key), 1)
  end
end
if wait > 0 then return wait end
for _, key in ipairs(KEYS) do
  redis.call('SET', key, '0', 'NX', 'PX', ARGV[1])
  redis.call('INCR', key)
end
return 0
"""
"""Arguments: the window in ms, the limits. Returns the ms to wait."""


def read(answer: Sequence[Any]) -> Answer:
    """Return what BEGIN has answered."""
    state, wait_ms, shares = answer
    return Answer(state.decode(), wait_ms / 1000, bool(shares))


class Here:
    """The same in memory. Drops what has expired, then the oldest."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._failures: dict[str, tuple[int, float]] = {}
        self._places: dict[str, dict[str, float]] = {}
        self._known: dict[str, float] = {}

    def begin(self, limits: Limits, attempt: str, *, lease_seconds: float) -> Answer:
        now = time.monotonic()
        with self._lock:
            self._drop(now)
            known = limits.known in self._known
            used = [self._count(key) + len(self._places.get(key, ())) for key in limits.keys]
            judged = list(zip(limits.keys, limits.numbers, used, strict=True))[: -1 if known else None]
            full = [key for key, limit, _ in judged if self._count(key) >= limit]
            if full:
                return Answer("full", max(self._failures[key][1] - now for key in full))
            if any(number >= limit for _, limit, number in judged):
                return Answer("busy")
            shares = not known and used[0] < limits.share
            for key in limits.keys if shares else limits.own:
                self._places.setdefault(key, {})[attempt] = now + lease_seconds
        return Answer("taken", shares=shares)

    def end(
        self,
        limits: Limits,
        attempt: str,
        outcome: Outcome,
        *,
        shares: bool,
        window_seconds: float,
        known_seconds: float,
    ) -> None:
        now = time.monotonic()
        with self._lock:
            self._drop(now)
            for key in limits.keys:
                self._places.get(key, {}).pop(attempt, None)
                if outcome == "failed" and (shares or key != limits.shared):
                    self._add(key, now + window_seconds)
            if outcome == "succeeded":
                self._known[limits.known] = now + known_seconds
                self._failures.pop(limits.forgotten, None)

    def count(self, limits: Mapping[str, int], window_seconds: float) -> float:
        now = time.monotonic()
        with self._lock:
            self._drop(now)
            if full := [key for key, limit in limits.items() if self._count(key) >= limit]:
                return max(self._failures[key][1] - now for key in full)
            for key in limits:
                self._add(key, now + window_seconds)
        return 0.0

    def _count(self, key: str) -> int:
        return self._failures.get(key, (0, 0))[0]

    def _add(self, key: str, until: float) -> None:
        count, until = self._failures.get(key, (0, until))
        self._failures[key] = (count + 1, until)

    def _drop(self, now: float) -> None:
        self._failures = {key: each for key, each in self._failures.items() if each[1] > now}
        self._known = {key: until for key, until in self._known.items() if until > now}
        checked = {
            key: {attempt: until for attempt, until in places.items() if until > now}
            for key, places in self._places.items()
        }
        self._places = {key: places for key, places in checked.items() if places}
        kept: tuple[dict[str, Any], ...] = (self._failures, self._known, self._places)
        for entries in kept:
            while len(entries) >= MOST_KEPT:
                del entries[next(iter(entries))]
