"""Which group of the channel layer brings a token's prices, where they are sent in several (docs/adr/0018).

The answers are the same in every process and every release: who sends and who joins never ask each other. So what is
computed here must not change; a test has its figures.
"""

from __future__ import annotations

import functools
import zlib

from positions.prices.quotes import WRAPPED_SOL
from realtime.conf import conf
from realtime.protocol.messages import PRICES_GROUP

MOST_SHARDS = 1024
PLACES = 4096
"""Of the ring on which channels_redis 4.3 places groups: the lowest bits of the CRC of a name."""


def shard_of(token: str, shards: int) -> int | None:
    """Return the number of the shard with a token's price; None if it is sent to everybody, as that of SOL is."""
    return None if shards == 1 or token == WRAPPED_SOL else zlib.crc32(token.encode()) % shards


def group_of(token: str, shards: int) -> str:
    """Return the group that brings a token's price."""
    shard = shard_of(token, shards)
    return PRICES_GROUP if shard is None else shard_groups(shards)[shard]


@functools.cache
def shard_groups(shards: int) -> tuple[str, ...]:
    """Return the group of each shard, in addition to PRICES_GROUP, of which every process is a member."""
    return spread(f"{PRICES_GROUP}.{shards}", shards) if shards > 1 else ()


def spread(name: str, count: int) -> tuple[str, ...]:
    """Return so many names of groups that begin with `name` and lie evenly on the servers of the channel layer,
    however many there are.

    `prices.8.0` to `prices.8.7` would all lie on one of two servers: the CRCs of names that differ in a last digit are
    close to each other. So the ring is cut into as many parts as there are names, and each part gets one.
    """
    found: list[str] = []
    taken: set[int] = set()
    number = 0
    while len(found) < count:
        candidate = f"{name}.{number}"
        place = zlib.crc32(f"{conf.REDIS_PREFIX}__group__{candidate}".encode()) % PLACES
        if (part := place * count // PLACES) not in taken:
            taken.add(part)
            found.append(candidate)
        number += 1
    return tuple(found)
