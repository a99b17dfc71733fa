"""How often the feed asks its source for each token, and for whose sake: written now and then, for people to read."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import cast

import msgspec

from positions.valkey import KEY_PREFIX, async_client, client

KEY = f"{KEY_PREFIX}feed:asked"
KEPT_FOR = timedelta(minutes=10)


class Asked(msgspec.Struct, kw_only=True):
    """What a source with a limit was asked for during some seconds."""

    until: datetime
    seconds: float
    asks: dict[str, int]
    """By token."""
    waits: dict[str, float]
    """The tokens that answers lack: in how many seconds each is asked for again, longer every time."""
    owners: Mapping[int | str, float]
    """By user (a number, or another key as a text): how many of all asks were for its tokens. One for a token of
    several users is split between them."""

    def share(self, owner: object) -> float:
        """Return the user's part of all, from 0 to 1."""
        total = sum(self.asks.values())
        key = owner if isinstance(owner, int) else str(owner)  # a UUID, say
        return self.owners.get(key, 0.0) / total if total else 0.0


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Asked).decode


async def put_asked(asked: Asked) -> None:
    """Write it: one SET. Raises valkey.Unavailable."""
    await async_client().set(KEY, _encode(asked), ex=int(KEPT_FOR.total_seconds()))


def get_asked() -> Asked | None:
    """Return what was written last; None where no source with a limit has been asked for minutes: one GET.

    Raises valkey.Unavailable.
    """
    value = cast("bytes | None", client().get(KEY))
    return _decode(value) if value else None
