"""How many REST requests a second one user may make, or, without a valid token, one address and the /48 around it.

Sales have a bucket of their own: who reads too much can still sell.

A request that takes more CPU time than one is allowed counts as several: what it has cost is known when its answer is
written, and taken with the user's next request to this process.
"""

from __future__ import annotations

import math
import threading
import time
from typing import Any

from rest_framework.exceptions import Throttled
from rest_framework.throttling import BaseThrottle

from positions.accounts.buckets import buckets
from positions.accounts.logins import limits_by_network, networks
from positions.conf import conf
from positions.services.quotas import limits_of
from positions.signals import refused_at_bound

SALES = {"close", "take_profit", "stop_loss", "transfer_out"}
"""Actions of a view that give away what is held, or prepare it."""


class TooManyRequests(Throttled):
    default_detail = "Too many requests."
    extra_detail_singular = extra_detail_plural = "Try again in {wait} s."


class RequestThrottle(BaseThrottle):
    """REST framework's hook: after authentication, before the view. Raises TooManyRequests.

    Of all views, unless they name others: `rest_framework.views` imports this module, so it cannot import that.
    """

    def allow_request(self, request: Any, view: Any) -> bool:
        user_id = getattr(request.user, "pk", None)  # UNAUTHENTICATED_USER of a project may be None
        if user_id is None:
            take_of_address(request)
            return True
        per_second = limits_of(request.user).requests_per_second
        name = f"user:{user_id}"
        if getattr(view, "action", None) in SALES:
            name += ":sales"
        elif per_second:
            request.settle = _Cost(name).settle
        _take("user_requests", name, per_second, conf.USER_REQUEST_BURST, user_id)
        return True


class _Cost:
    """What a request costs from here on, in CPU time of its thread; what the database does for it is not known."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._thread = threading.get_ident()
        self._began = time.thread_time()

    def settle(self) -> None:
        allowed: float = conf.REQUEST_CPU_SECONDS
        if allowed and threading.get_ident() == self._thread:
            buckets.charge(self._name, (time.thread_time() - self._began) / allowed - 1)


def take_of_address(request: Any) -> None:
    """Take one request from the bucket of the client's address, and from that of a wider network around it. Raises
    TooManyRequests."""
    for network, factor in reversed(limits_by_network("address:", networks(request), 1).items()):
        per_second = factor * conf.ADDRESS_REQUESTS_PER_SECOND
        _take("address_requests", network, per_second, factor * conf.ADDRESS_REQUEST_BURST)


def _take(bound: str, name: str, per_second: float, burst: int, user_id: object = "") -> None:
    if not per_second:
        return
    wait = buckets.take(name, per_second=per_second, burst=burst, user_id=user_id)
    if wait:
        refused_at_bound.send(sender=RequestThrottle, bound=bound)
        raise TooManyRequests(math.ceil(wait))
