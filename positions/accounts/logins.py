"""Lock-out after failed logins, counted in Redis or Valkey and so across all processes.

Three counts, each in a fixed window: for a name from one address, for an address, for a name from everywhere. An
attempt is counted before the password is checked, so that concurrent attempts cannot get around the limit, and
uncounted when it succeeds. A name that does not exist counts like one that does.

While Redis or Valkey is unavailable each process counts by itself: with n of them, at most n times as many attempts are
possible. `LockingBackend` is in AUTHENTICATION_BACKENDS, so REST, the admin and every other form that calls
`authenticate` share the counts.
"""

from __future__ import annotations

import hashlib
import ipaddress
import logging
import threading
import time
from collections.abc import Mapping, Sequence
from typing import Any, cast

from asgiref.sync import sync_to_async
from django.conf import settings
from django.contrib.auth.backends import ModelBackend
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest

from positions import valkey
from positions.demo_login import DEMO_PASSWORD

logger = logging.getLogger(__name__)

# An address may be an office, and a name may be tried from many addresses in order to lock its owner out: both have a
# higher limit than the pair.
ADDRESS_FACTOR = 5
NAME_FACTOR = 10
# How long Redis or Valkey is not tried again after a failure: a login must not wait for a server that hangs.
RETRY_SECONDS = 5.0
MOST_KEPT = 10_000
_PREFIX = f"{valkey.KEY_PREFIX}attempts:"

# Refuses where a key has reached its limit, and counts all keys otherwise, in one step. Returns the wait, in ms.
_TAKE = """
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
_GIVE_BACK = """
redis.call('DEL', KEYS[1])
for i = 2, #KEYS do
  if tonumber(redis.call('GET', KEYS[i]) or '0') > 0 then redis.call('DECR', KEYS[i]) end
end
"""


class _Here:
    """The same two operations in this process's memory. Drops expired counts, then the oldest."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: dict[str, tuple[int, float]] = {}

    def take(self, limits: Mapping[str, int], window_seconds: float) -> float:
        now = time.monotonic()
        with self._lock:
            self._counts = {key: entry for key, entry in self._counts.items() if entry[1] > now}
            full = [key for key, limit in limits.items() if self._counts.get(key, (0, now))[0] >= limit]
            if full:
                return max(self._counts[key][1] - now for key in full)
            for key in limits:
                count, until = self._counts.get(key, (0, now + window_seconds))
                self._counts[key] = (count + 1, until)
            while len(self._counts) > MOST_KEPT:
                del self._counts[next(iter(self._counts))]
        return 0.0

    def give_back(self, keys: Sequence[str]) -> None:
        with self._lock:
            self._counts.pop(keys[0], None)
            for key in keys[1:]:
                if key in self._counts:
                    count, until = self._counts[key]
                    self._counts[key] = (max(0, count - 1), until)


class Attempts:
    """Counts in Redis or Valkey; in this process while that is unavailable."""

    def __init__(self) -> None:
        self._here = _Here()
        self._is_unavailable = False
        self._ask_again_at = 0.0

    def take(self, limits: Mapping[str, int], *, window_seconds: float) -> float:
        """Count one attempt under each key and return 0; over a limit, return the seconds to wait and count nothing."""
        arguments = [str(round(1000 * window_seconds)), *map(str, limits.values())]
        wait_ms = self._ask(_TAKE, list(limits), arguments)
        return self._here.take(limits, window_seconds) if wait_ms is None else wait_ms / 1000

    def give_back(self, keys: Sequence[str]) -> None:
        """Reset the first key's count, and subtract one attempt from each other key's."""
        self._here.give_back(keys)
        self._ask(_GIVE_BACK, keys, [])

    def _ask(self, script: str, keys: Sequence[str], arguments: Sequence[str]) -> int | None:
        """Return the script's answer, 0 where it has none; None while the server is unavailable."""
        if time.monotonic() < self._ask_again_at:
            return None
        try:
            answer = cast("int | None", valkey.client().eval(script, len(keys), *keys, *arguments))
        except valkey.Unavailable as error:
            if not self._is_unavailable:  # once an outage, not once a login
                logger.warning("login attempts are counted per process, not across processes: %s", error)
            self._is_unavailable, self._ask_again_at = True, time.monotonic() + RETRY_SECONDS
            return None
        self._is_unavailable = False
        return answer or 0


attempts = Attempts()


def client_address(request: HttpRequest) -> str:
    """Return the client's address; for IPv6 its /64 network, which one customer has.

    Behind a proxy that is the last entry of X-Forwarded-For, which our own proxy has written.
    """
    address = request.META.get("REMOTE_ADDR") or ""
    if settings.BEHIND_PROXY:
        address = request.META.get("HTTP_X_FORWARDED_FOR", "").rsplit(",", 1)[-1].strip() or address
    try:
        known = ipaddress.ip_address(address)
    except ValueError:
        return "unknown"  # a Unix socket without a proxy
    if isinstance(known, ipaddress.IPv6Address):
        known = known.ipv4_mapped or ipaddress.ip_network((known, 64), strict=False).network_address
    return str(known)


def locked_seconds(request: Any) -> int:
    """Return for how long the login that this request tried is locked; 0 where it only failed."""
    return int(getattr(request, "login_locked_seconds", 0))


class LockingBackend(ModelBackend):
    """Django's own backend, which refuses names and addresses with too many failures before it checks the password.
    Two calls of Redis or Valkey a login."""

    def authenticate(
        self, request: Any, username: str | None = None, password: str | None = None, **kwargs: Any
    ) -> Any:
        if request is None or username is None:  # a shell, or another backend's credentials
            return super().authenticate(request, username=username, password=password, **kwargs)
        limits = _limits(username, client_address(request))
        wait = attempts.take(limits, window_seconds=settings.LOGINS["LOCK_SECONDS"])
        if wait:
            request.login_locked_seconds = max(1, round(wait))
            # The address only: passwords are typed into the name's field by mistake.
            logger.warning("a login from %s is locked for %.0f s", client_address(request), wait)
            raise PermissionDenied
        if password == DEMO_PASSWORD and not settings.DEBUG:
            return None  # it is public, and the demo's user may still be there from a trial
        user = super().authenticate(request, username=username, password=password, **kwargs)
        if user is not None:
            attempts.give_back(list(limits))
        return user

    async def aauthenticate(self, request: Any, *args: Any, **kwargs: Any) -> Any:
        return await sync_to_async(self.authenticate)(request, *args, **kwargs)


def _limits(name: str, address: str) -> dict[str, int]:
    failures: int = settings.LOGINS["FAILURES"]
    name = _digest(name.casefold())
    return {
        f"{_PREFIX}pair:{name}:{address}": failures,
        f"{_PREFIX}address:{address}": ADDRESS_FACTOR * failures,
        f"{_PREFIX}name:{name}": NAME_FACTOR * failures,
    }


def _digest(text: str) -> str:
    """Return a key's part, of bounded length, from which the name cannot be read."""
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()[:24]
