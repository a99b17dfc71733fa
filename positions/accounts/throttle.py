"""A limit on token requests from one address, and the response to a locked log-in."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator

from django.conf import settings
from rest_framework.exceptions import AuthenticationFailed, Throttled
from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle
from rest_framework.views import APIView

from positions import valkey
from positions.accounts import logins
from positions.accounts.logins import client_address, locked_seconds

WINDOW_SECONDS = 60.0


class LockedOut(Throttled):
    default_detail = "Too many failed logins."
    extra_detail_singular = extra_detail_plural = "Try again in {wait} seconds."


class TokenThrottle(BaseThrottle):
    """Limits requests a minute from one address, across all processes."""

    _wait = 0.0

    def allow_request(self, request: Request, view: APIView) -> bool:
        limit: int = settings.LOGINS["TOKEN_REQUESTS_PER_MINUTE"]
        key = f"{valkey.KEY_PREFIX}attempts:requests:{client_address(request)}"
        self._wait = logins.attempts.take({key: limit}, window_seconds=WINDOW_SECONDS)
        return not self._wait

    def wait(self) -> float:
        return math.ceil(self._wait)


@contextlib.contextmanager
def saying_when_locked(request: Request) -> Iterator[None]:
    """Turn a log-in that fails because it is locked into 429 with the time to wait."""
    try:
        yield
    except AuthenticationFailed:
        if wait := locked_seconds(request):
            raise LockedOut(wait) from None
        raise
