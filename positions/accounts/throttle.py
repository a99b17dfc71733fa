"""A limit on token requests from one address, and the responses to a locked log-in and to requests without a token."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator
from typing import Any

from rest_framework.exceptions import AuthenticationFailed, NotAuthenticated, Throttled
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.throttling import BaseThrottle
from rest_framework.views import APIView

from positions import valkey
from positions.accounts import attempts
from positions.accounts.logins import limits_by_network, locked_seconds, networks, was_busy
from positions.accounts.request_rates import RequestThrottle, TooManyRequests, take_of_address
from positions.api.errors import handle as answer
from positions.conf import conf
from positions.signals import refused_at_bound

WINDOW_SECONDS = 60.0


class LockedOut(Throttled):
    default_detail = "Too many failed logins."
    extra_detail_singular = extra_detail_plural = "Try again in {wait} seconds."


class Busy(LockedOut):
    default_detail = "Too many logins at this moment."


class TokenThrottle(BaseThrottle):
    """Limits requests a minute from one network, across all processes."""

    _wait = 0.0

    def allow_request(self, request: Request, view: APIView) -> bool:
        limit: int = conf.TOKEN_REQUESTS_PER_MINUTE
        limits = limits_by_network(f"{valkey.KEY_PREFIX}attempts:requests:", networks(request), limit)
        self._wait = attempts.attempts.count(limits, window_seconds=WINDOW_SECONDS)
        if self._wait:
            refused_at_bound.send(sender=TokenThrottle, bound="token_requests")
        return not self._wait

    def wait(self) -> float:
        return math.ceil(self._wait)


def handle(error: Exception, context: dict[str, Any]) -> Response:
    """Answer an exception (REST framework's EXCEPTION_HANDLER). A request without a valid token counts for its address:
    nothing else has counted it."""
    view = context.get("view")
    is_counted = RequestThrottle in getattr(view, "throttle_classes", ())
    if is_counted and isinstance(error, NotAuthenticated | AuthenticationFailed):
        try:
            take_of_address(context["request"])
        except TooManyRequests as refused:
            error = refused
    return answer(error, context)


@contextlib.contextmanager
def saying_when_locked(request: Request) -> Iterator[None]:
    """Turn a log-in that fails because it is locked into 429 with the time to wait."""
    try:
        yield
    except AuthenticationFailed:
        if wait := locked_seconds(request):
            raise (Busy if was_busy(request) else LockedOut)(wait) from None
        raise
