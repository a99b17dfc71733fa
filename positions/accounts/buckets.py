"""Buckets of requests, by user or address: how full each is, in Redis or Valkey for all processes.

A token bucket in one number, the time when it is full again (the generic cell rate algorithm). One call takes a request
and counts it for the admin. While Redis or Valkey is unavailable, each process counts by itself.

Who makes many requests and is far from the limit costs less than a call for each: a process then takes a few in advance
(`most_ahead`), and what it has not used within KEPT_SECONDS is lost. So over time no more requests get through than
with a call for each; at once, as many more as processes have in advance. Close to the limit nobody has any.
"""

from __future__ import annotations

import logging
import threading
import time
from typing import Any, cast

from django.contrib.auth import get_user_model

from positions import valkey

logger = logging.getLogger(__name__)

RETRY_SECONDS = 5.0
"""How long Redis or Valkey is not tried again after a failure."""
AHEAD_SECONDS = 0.25
"""For how long what is taken in advance lasts, at the pace of the last second."""
KEPT_SECONDS = 1.0
"""For how long it may be used."""
MOST_KEPT = 10_000
_BUCKETS = f"{valkey.KEY_PREFIX}requests:"
_COUNTS = f"{valkey.KEY_PREFIX}requests-of-minute:"

# KEYS: the bucket, and where it is counted. ARGV: microseconds for what is taken, for a whole burst, and for what is
# taken in advance if the bucket then is still half full; the field under which requests are counted, "" for not, and
# how many. Returns the microseconds to wait; 0, or -1 if some were taken in advance.
_TAKE = """
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local burst, ahead = tonumber(ARGV[2]), tonumber(ARGV[3])
local full_at = math.max(tonumber(redis.call('GET', KEYS[1]) or '0'), now) + tonumber(ARGV[1])
if ARGV[4] ~= '' and redis.call('HINCRBY', KEYS[2], ARGV[4], ARGV[5]) == tonumber(ARGV[5]) then
  redis.call('EXPIRE', KEYS[2], 180)
end
local wait = full_at - now - burst
if wait > 0 then return math.ceil(wait) end
if full_at + ahead - now > burst / 2 then ahead = 0 end
full_at = full_at + ahead
redis.call('SET', KEYS[1], string.format('%.0f', full_at), 'PX', math.ceil((full_at - now) / 1000))
return ahead > 0 and -1 or 0
"""


def most_ahead(per_second: float, burst: int) -> int:
    """Return how many requests a process has in advance at most: as many as come back in a tenth of a second, and a
    fiftieth of the burst."""
    return int(min(per_second / 10, burst / 50))


class _Advance:
    """What a process has taken from one bucket in advance."""

    def __init__(self, kept_seconds: float) -> None:
        self._kept_seconds = kept_seconds
        self._taken_at = 0.0
        self._left = 0.0
        self._made = 0
        """Requests since then, which nobody has counted for the admin."""
        self._recent = 0.0
        """About how many requests were made within a second before then."""

    def pay(self, requests: float, now: float) -> float:
        """Count one request, which costs so many; return for how many of them there is no advance."""
        self._made += 1
        left = self._left if now - self._taken_at < self._kept_seconds else 0.0
        self._left = max(0.0, left - requests)
        return max(0.0, requests - left)

    def take(self, now: float, most: int) -> tuple[int, int]:
        """Return how many to take in advance, and how many requests are to be counted."""
        made, self._made = self._made, 0
        self._recent = self._recent * max(0.0, 1 - (now - self._taken_at)) + made
        self._taken_at = now
        return min(int(self._recent * AHEAD_SECONDS), most), made

    def add(self, size: int, most: int) -> None:
        self._left = min(self._left + size, most)  # of two threads at once, both may have taken some


class Buckets:
    """The buckets of all users and addresses."""

    def __init__(self, kept_seconds: float = KEPT_SECONDS) -> None:
        self._lock = threading.Lock()
        self._kept_seconds = kept_seconds
        self._full_at: dict[str, float] = {}
        self._owed: dict[str, float] = {}
        self._advances: dict[str, _Advance] = {}
        self._is_unavailable = False
        self._ask_again_at = 0.0

    def take(self, name: str, *, per_second: float, burst: int, user_id: object = "") -> float:
        """Take one request from this bucket, and what is owed; return how many seconds to wait where that is too much,
        else 0."""
        now, most = time.monotonic(), most_ahead(per_second, burst)
        with self._lock:
            owed = min(self._owed.pop(name, 0.0), burst - 1.0)
            advance = self._advances.pop(name, None) or _Advance(self._kept_seconds)
            self._advances[name] = advance  # the newest, last
            _shorten(self._advances)
            missing = advance.pay(1 + owed, now)
            if not missing:
                return 0.0
            ahead, made = advance.take(now, most)
        if now < self._ask_again_at:
            wait = self._take_here(name, missing, per_second, burst)
        else:
            try:
                answer = _take(name, missing, ahead, made, per_second, burst, user_id)
            except valkey.Unavailable as error:
                if not self._is_unavailable:  # once an outage
                    logger.warning("requests are counted per process, not across processes: %s", error)
                self._is_unavailable, self._ask_again_at = True, time.monotonic() + RETRY_SECONDS
                wait = self._take_here(name, missing, per_second, burst)
            else:
                self._is_unavailable = False
                if answer < 0:
                    with self._lock:
                        advance.add(ahead, most)
                wait = max(0.0, answer / 1e6)
        if wait:
            self.charge(name, owed)
        return wait

    def charge(self, name: str, requests: float) -> None:
        """Have so many requests more taken with the next one."""
        if requests <= 0:
            return
        with self._lock:
            self._owed[name] = self._owed.pop(name, 0.0) + requests
            _shorten(self._owed)

    def forget(self) -> None:
        """Forget what this process has counted, and that the server was unavailable."""
        self._full_at.clear()
        self._owed.clear()
        self._advances.clear()
        self._ask_again_at = 0.0

    def _take_here(self, name: str, requests: float, per_second: float, burst: int) -> float:
        now = time.monotonic()
        with self._lock:
            before = max(self._full_at.pop(name, now), now)
            full_at = before + requests / per_second
            wait = full_at - now - burst / per_second
            self._full_at[name] = before if wait > 0 else full_at  # the newest, last
            _shorten(self._full_at)
        return max(0.0, wait)


def _take(
    name: str, requests: float, ahead: int, made: int, per_second: float, burst: int, user_id: object
) -> int:
    minute = f"{_COUNTS}{int(time.time() // 60)}"
    times_us = [str(round(1e6 * number / per_second)) for number in (requests, burst, ahead)]
    answer = valkey.client().eval(_TAKE, 2, f"{_BUCKETS}{name}", minute, *times_us, str(user_id), str(made))
    return cast("int", answer)


def _shorten(kept: dict[str, Any]) -> None:
    while len(kept) > MOST_KEPT:
        del kept[next(iter(kept))]


buckets = Buckets()


def requests_within_a_minute() -> dict[Any, int]:
    """Return, by the users' keys, how many requests each has made within about the last minute.

    Raises valkey.Unavailable.
    """
    now = time.time()
    minute, part = int(now // 60), now % 60 / 60
    with valkey.client().pipeline(transaction=False) as pipeline:
        for each in (minute - 1, minute):
            pipeline.hgetall(f"{_COUNTS}{each}")
        before, current = pipeline.execute()
    found: dict[bytes, int] = {user: round(int(number) * (1 - part)) for user, number in before.items()}
    for user, number in current.items():
        found[user] = found.get(user, 0) + int(number)
    key = get_user_model()._meta.pk
    return {key.to_python(user.decode()): number for user, number in found.items()}
