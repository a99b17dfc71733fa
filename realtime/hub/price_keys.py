"""The numbers that stand for tokens on connections with compact prices, and the rows of a round.

The numbers are the same for all connections of a process, so that each row is made once for all of them.
"""

from __future__ import annotations

import time
from collections.abc import Mapping

from realtime.hub.early_events import Event
from realtime.hub.encoded_prices import EncodedPrices
from realtime.monitoring.metrics import counts
from realtime.protocol import compact


class PriceKeys:
    """A number for each token that a client with compact prices was told of; they are never given to another token."""

    def __init__(self) -> None:
        self._by_token: dict[str, int] = {}

    def of(self, token: str) -> int:
        return self._by_token.setdefault(token, len(self._by_token) + 1)

    def rows(self, fragments: Mapping[str, str], *, has_nearly_all: bool = False) -> Rows:
        """Return the rows of these fragments, as EncodedPrices."""
        return Rows(self, fragments, has_nearly_all=has_nearly_all)

    def told(self, event: Event) -> str:
        """Return the event's message with the key of its token."""
        return event.text if event.token is None else compact.keyed_update(event.text, self.of(event.token))


class Rows(EncodedPrices):
    """In `prices`, as rows."""

    __slots__ = ("_keys",)

    def __init__(self, keys: PriceKeys, fragments: Mapping[str, str], *, has_nearly_all: bool) -> None:
        around = compact.around_rows(time.time_ns() // 1_000_000)
        super().__init__(fragments, around, has_nearly_all=has_nearly_all)
        self._keys = keys

    def __missing__(self, token: str) -> bytes:
        self[token] = piece = compact.row(self._keys.of(token), self.fragments[token]).encode()
        return piece

    def count(self) -> None:
        sent, size = self.taken()
        counts.compact_batches += sent
        counts.compact_bytes += size
