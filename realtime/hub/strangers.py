"""Bounds the connects of clients without a valid token, for each address and for all: they take nothing from users."""

from __future__ import annotations

import time

from realtime.conf import conf
from realtime.hub.guard import Refused
from realtime.hub.token_bucket import TokenBucket
from realtime.monitoring.metrics import counts
from realtime.protocol.messages import CloseReason, ErrorCode

MOST_ADDRESSES = 10_000
"""Of which connects are counted; those of further ones are counted together only."""
TOO_MANY = "too many connects without a valid token"


class Strangers:
    """Those of one process."""

    def __init__(self) -> None:
        self._all = TokenBucket(conf.STRANGER_CONNECTS_PER_SECOND, conf.STRANGER_CONNECT_BURST)
        self._by_address: dict[str, TokenBucket] = {}

    def admit(self, address: str) -> None:
        """Count a connect. Raises Refused if there are too many. One address's own bound comes first."""
        now = time.monotonic()
        bucket = self._by_address.get(address)
        if bucket is None and len(self._by_address) < MOST_ADDRESSES:
            bucket = TokenBucket(conf.ADDRESS_CONNECTS_PER_SECOND, conf.ADDRESS_CONNECT_BURST)
            self._by_address[address] = bucket
        if bucket is not None and not bucket.take(now):
            raise _refused("address_connects")
        if not self._all.take(now):
            raise _refused("stranger_connects")

    def forget_unused(self) -> None:
        """Drop what is as new. To be called now and then."""
        now = time.monotonic()
        self._by_address = {
            address: bucket for address, bucket in self._by_address.items() if not bucket.is_full(now)
        }


def _refused(bound: str) -> Refused:
    counts.refusals[bound] += 1
    return Refused(CloseReason.TRY_LATER, ErrorCode.TRY_LATER, TOO_MANY)
