"""Snapshots that were encoded a moment ago, for other sockets of the same agent: its owner and its watchers come back
together, and what they are sent differs in nothing.
"""

from __future__ import annotations

import time
from decimal import Decimal
from typing import NamedTuple

from realtime.hub.latest_prices import LatestPrices

SECONDS = 1.0
"""How old a snapshot may be: its timestamp says when it was made."""
MOST, LARGEST_BYTES = 64, 64 * 1024
"""How many are kept, the newest, and how large each may be."""


class Moment(NamedTuple):
    """What a snapshot depends on, beside its agent."""

    seq: int
    prices: int
    """LatestPrices.version."""
    sol_usd: Decimal | None
    is_compact: bool
    """Whether it has the keys of compact prices, which are the same for all clients of a process."""


class SharedSnapshots:
    """The newest snapshots of a process, by agent."""

    def __init__(self, prices: LatestPrices) -> None:
        self._prices = prices
        self._encoded: dict[str, tuple[Moment, float, bytes]] = {}

    def moment(self, seq: int, *, is_compact: bool) -> Moment:
        """Return what a snapshot as of event `seq` depends on now."""
        return Moment(seq, self._prices.version, self._prices.sol_usd, is_compact)

    def find(self, agent_id: str, moment: Moment) -> bytes | None:
        """Return the agent's `initial_data`, if it has just been made and nothing has changed."""
        known = self._encoded.get(agent_id)
        if known is None or known[0] != moment or time.monotonic() - known[1] > SECONDS:
            return None
        return known[2]

    def keep(self, agent_id: str, moment: Moment, encoded: bytes) -> None:
        """Keep a snapshot, unless something has changed while it was made."""
        is_current = moment == self.moment(moment.seq, is_compact=moment.is_compact)
        if not is_current or len(encoded) > LARGEST_BYTES:
            return
        self._encoded.pop(agent_id, None)  # so that it is the newest
        self._encoded[agent_id] = moment, time.monotonic(), encoded
        if len(self._encoded) > MOST:
            del self._encoded[next(iter(self._encoded))]
