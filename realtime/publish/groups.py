"""What the channel layer does for one group at a time, for many at once: one command to the server for all of them.

Of channels_redis' Pub/Sub layer (docs/private-apis.md); with another layer or version, one after the other.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import redis

from positions.versions import is_checked

MOST_BYTES = 64 * 1024
"""Of messages in one script, which copies them, and holds up everybody else meanwhile."""

_PUBLISH = """
for number = 1, #ARGV, 2 do
  redis.call('PUBLISH', ARGV[number], ARGV[number + 1])
end
"""


async def join(layer: Any, groups: Collection[str], channel: str) -> None:
    """Add the channel to these groups. Raises what the layer raises."""
    if not _is_known(layer):
        for group in groups:
            await layer.group_add(group, channel)
        return
    if channel not in layer.channels:
        raise RuntimeError(f"the channel {channel} does not exist in this process")
    names = [layer._get_group_channel_name(group) for group in groups]
    for name in names:
        layer.groups.setdefault(name, set()).add(channel)
    for shard, of_shard in _by_shard(layer, names):
        async with shard._lock:
            # Unless it was left meanwhile: while another shard was waited for, the turn may have been another's here.
            new = [name for name in of_shard if name not in shard._subscribed_to and name in layer.groups]
            if new:
                await subscribe(shard, new)


async def leave(layer: Any, groups: Collection[str], channel: str) -> None:
    """Remove the channel from these groups. Raises what the layer raises."""
    if not _is_known(layer):
        for group in groups:
            await layer.group_discard(group, channel)
        return
    left = []
    for name in map(layer._get_group_channel_name, groups):
        members = layer.groups.get(name, set())
        if channel in members:
            members.remove(channel)
            if not members:
                del layer.groups[name]
                left.append(name)
    for shard, of_shard in _by_shard(layer, left):
        async with shard._lock:
            # Unless it was joined again meanwhile, which found it subscribed.
            old = [name for name in of_shard if name in shard._subscribed_to and name not in layer.groups]
            if old:
                shard._ensure_redis()
                shard._ensure_receiver()
                with _closed_is_lost():
                    await shard._pubsub.unsubscribe(*old)
                shard._subscribed_to.difference_update(old)


async def subscribe(shard: Any, names: Collection[str]) -> None:
    """Subscribe a server of the layer, whose lock is held, to these channels. Raises redis.RedisError."""
    shard._ensure_redis()
    shard._ensure_receiver()
    with _closed_is_lost():
        await shard._pubsub.subscribe(*names)
    shard._subscribed_to.update(names)


@contextmanager
def _closed_is_lost() -> Iterator[None]:
    """Raise redis.ConnectionError for a connection that the receiver, which reads from it, closes during a command.

    redis-py 8.1 raises what it meets then: "'NoneType' object has no attribute 'writelines'", or that another
    coroutine reads already. That is an outage like others: a client is told to try again, not of a bug.
    """
    try:
        yield
    except (AttributeError, RuntimeError) as error:
        raise redis.ConnectionError(f"the connection was closed during a command: {error}") from error


async def send(layer: Any, messages: Sequence[tuple[str, Mapping[str, Any]]]) -> None:
    """Send each group its message: on one server of the layer in this order, on several side by side.

    Raises what the layer raises, once everything was tried: a server that is away does not stop what others carry.
    """
    if not _is_known(layer) or len(messages) == 1:
        for group, message in messages:
            await layer.group_send(group, message)
        return
    encoded: dict[str, list[bytes]] = {}
    for group, message in messages:
        encoded.setdefault(layer._get_group_channel_name(group), []).append(
            layer.channel_layer.serialize(message)
        )
    sending = [_publish(shard, names, encoded) for shard, names in _by_shard(layer, encoded)]
    if len(sending) == 1:
        await sending[0]
        return
    for outcome in await asyncio.gather(*sending, return_exceptions=True):
        if outcome is not None:
            raise outcome


async def _publish(shard: Any, names: Sequence[str], encoded: Mapping[str, Sequence[bytes]]) -> None:
    """Send in one turn: each that is waited for may take long on a machine that has too much to do."""
    each = [(name, text) for name in names for text in encoded[name]]
    async with shard._lock:
        shard._ensure_redis()
        if sum(len(text) for _, text in each) <= MOST_BYTES:
            await shard._redis.eval(_PUBLISH, 0, *(part for pair in each for part in pair))
            return
        async with shard._redis.pipeline(transaction=False) as pipeline:
            for name, text in each:
                pipeline.publish(name, text)
            await pipeline.execute()


def _is_known(layer: Any) -> bool:
    return is_checked("channels-redis") and hasattr(layer, "_shards")


def _by_shard(layer: Any, names: Collection[str]) -> list[tuple[Any, list[str]]]:
    found: dict[int, tuple[Any, list[str]]] = {}
    for name in names:
        shard = layer._get_shard(name)
        found.setdefault(id(shard), (shard, []))[1].append(name)
    return list(found.values())
