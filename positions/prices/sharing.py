"""What the feed does for a source with a limit: it says who holds which token, and writes what was asked for."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Collection
from datetime import UTC, datetime

from positions.prices.asked import Asked, put_asked
from positions.prices.held import owners_of
from positions.prices.quotes import PriceSource, SharedSource
from positions.valkey import Unavailable

REFRESH_SECONDS = 30.0
"""How often all owners are read: a pair for each user and token. In between, only tokens that are new are looked up."""
MOST_LOOKED_UP = 500
"""Of new tokens. For more, all are read."""
ASKED_SECONDS = 15.0
"""How often it is written what the source was asked for."""


class Sharing:
    """The turns of one source (`positions.prices.turns`). Without a limit, it is asked for everything."""

    def __init__(
        self,
        source: PriceSource,
        round_seconds: float,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._turns = source.turns if isinstance(source, SharedSource) else None
        if self._turns is not None:
            self._turns.round_seconds = round_seconds
        self._clock = clock
        self._owners: dict[str, list[int]] = {}
        self._read_at: float | None = None
        self._told_at = clock()

    async def share(self, tokens: Collection[str]) -> None:
        """Tell the source who holds these tokens: one query now and then. Raises DatabaseError.

        Turns are then shared out as before; a token that is new has the smallest part.
        """
        if self._turns is None:
            return
        now, new = self._clock(), set(tokens) - self._owners.keys()
        is_old = self._read_at is None or now - self._read_at >= REFRESH_SECONDS
        if is_old or len(new) > MOST_LOOKED_UP:
            self._owners = await owners_of(None)
            self._read_at = now
        elif new:
            self._owners |= await owners_of(new)
        else:
            return
        for token in new - self._owners.keys():  # sold meanwhile: not to be looked up in every round
            self._owners[token] = []
        self._turns.share(self._owners)

    async def tell(self) -> None:
        """Write now and then what the source was asked for: one SET. For people, so it may be missing."""
        seconds = self._clock() - self._told_at
        if self._turns is None or seconds < ASKED_SECONDS:
            return
        self._told_at += seconds
        asks, owners = self._turns.take_asks()
        now = datetime.now(UTC)
        asked = Asked(until=now, seconds=seconds, asks=asks, waits=self._turns.waits, owners=owners)
        with contextlib.suppress(*Unavailable):  # the round's own write has said so
            await put_asked(asked)

    @property
    def asked(self) -> int | None:
        """How many tokens the source was asked for in the last round. None: all."""
        return None if self._turns is None or self._turns.has_room else self._turns.asked

    @property
    def waiting(self) -> int:
        """How many tokens are asked for less often, since answers lack them."""
        return 0 if self._turns is None else len(self._turns.waits)
