"""Receives what a channel layer is subscribed to: what has arrived together is read together.

redis-py takes each message of Pub/Sub through a retry, a time-out and a dozen coroutines, 0.1 ms of CPU. A socket that
starts causes two: that its group is joined, and its claim. So the first message of those that have arrived is left to
redis-py, with everything that it does for the connection, and the others are taken from its buffer here.

Of channels_redis' Pub/Sub layer, and of redis-py (docs/private-apis.md).
"""

from __future__ import annotations

import asyncio
import logging
import re
from functools import partial
from typing import Any

from positions.versions import is_checked

POLL_SECONDS = 0.1  # channels_redis' own, as is the next
RETRY_SECONDS = 1.0
RESP2 = "_AsyncRESP2Parser"
"""The parser of redis-py that leaves in the reader what it has not parsed."""
MOST_BYTES = 64 * 1024
"""Taken at a time. A longer message is left to redis-py."""

logger = logging.getLogger("channels_redis.pubsub")

# A message, or the news that a channel is joined; then the length of the channel's name.
_BEGIN = re.compile(rb"\*3\r\n\$(?:7\r\n(message)|9\r\nsubscribe)\r\n\$([0-9]+)\r\n")
_LENGTH = re.compile(rb"\r\n\$([0-9]+)\r\n")
_COUNT = re.compile(rb"\r\n:[0-9]+\r\n")


def install(layer: Any) -> None:
    """Have the layer receive in this way from its first subscription on."""
    if is_checked("channels-redis", "redis"):
        for shard in getattr(layer, "_shards", ()):
            shard._do_receiving = partial(_receive, shard)


async def _receive(shard: Any) -> None:
    """Do what `_do_receiving` of the shard does, and end although redis-py may swallow a cancellation.

    It sends commands in `asyncio.wait_for`, which does before Python 3.12 (python/cpython#86296).
    """
    task = asyncio.current_task()
    while task is None or not task.cancelling():
        try:
            if shard._pubsub and shard._pubsub.subscribed:
                message = await shard._pubsub.get_message(
                    ignore_subscribe_messages=True, timeout=POLL_SECONDS
                )
                shard._receive_message(message)
                for channel, data in await arrived(shard._pubsub.connection):
                    shard._receive_message({"channel": channel, "data": data})
            else:
                await asyncio.sleep(POLL_SECONDS)
        except (asyncio.CancelledError, TimeoutError, GeneratorExit):
            raise
        except BaseException:
            logger.exception("Unexpected exception in receive task")
            await asyncio.sleep(RETRY_SECONDS)


async def arrived(connection: Any) -> list[tuple[bytes, bytes]]:
    """Take the messages that have arrived as a whole; what follows them is left to redis-py's parser."""
    reader: Any = None if connection is None else connection._reader
    buffer = getattr(reader, "_buffer", None)
    if not buffer or type(parser := connection._parser).__name__ != RESP2:
        return []
    if parser._chunks or parser._buffer:  # of a message whose rest comes first
        return []
    found, end = split(bytes(buffer[:MOST_BYTES]))
    if end:
        await reader.readexactly(end)  # which are there
    return found


def split(data: bytes) -> tuple[list[tuple[bytes, bytes]], int]:
    """Return the messages that `data` begins with, each with its channel, and where what is no whole one begins.

    Before that may be the news of channels that have been joined; there begins whatever else there is (RESP2).
    """
    found: list[tuple[bytes, bytes]] = []
    end = 0
    while begin := _BEGIN.match(data, end):
        after = begin.end() + int(begin[2])
        rest = (_LENGTH if begin[1] else _COUNT).match(data, after)
        if rest is None:
            break
        if not begin[1]:
            end = rest.end()
            continue
        whole = rest.end() + int(rest[1])
        if data[whole : whole + 2] != b"\r\n":
            break
        found.append((data[begin.end() : after], data[rest.end() : whole]))
        end = whole + 2
    return found, end
