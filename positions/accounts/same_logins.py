"""Log-ins at the same moment with the same name and password from the same network: the password is checked once.

A bot that starts a hundred workers logs in a hundred times at once. Checking takes a third of a second of CPU, so that
the last ones would wait for half a minute. Only a success is shared, and only while it is being worked out: each try of
the same wrong password is checked, and counted, by itself.
"""

from __future__ import annotations

import copy
import hashlib
import secrets
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Any

WAIT_SECONDS = 30.0


class SameLogins:
    """Of this process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._secret = secrets.token_bytes(32)
        self._running: dict[bytes, Future[Any]] = {}

    def check(self, credentials: Sequence[str], check: Callable[[], Any]) -> Any:
        """Return what `check` returns, a user or None; where the same check is running, its user if it finds one."""
        key = self._key(credentials)
        with self._lock:
            running = self._running.get(key)
            if running is None:
                own = self._running[key] = Future()
        if running is not None:
            try:
                user = running.result(WAIT_SECONDS)
            except TimeoutError:
                user = None
            return check() if user is None else copy.copy(user)
        user = None
        try:
            user = check()
        finally:
            with self._lock:
                del self._running[key]
            own.set_result(user)
        return user

    def _key(self, credentials: Sequence[str]) -> bytes:
        """Return a digest: a password is kept nowhere."""
        text = repr(list(credentials)).encode(errors="surrogatepass")
        return hashlib.blake2b(text, key=self._secret).digest()
