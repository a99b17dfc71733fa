"""The channel layer's connections of this event loop, replaced where they live and do not work."""

from __future__ import annotations

import asyncio
import logging
import weakref
from typing import Any

from channels.layers import get_channel_layer

from positions import valkey
from positions.versions import is_checked, unchecked
from realtime.conf import conf
from realtime.publish import groups

logger = logging.getLogger(__name__)

RECONNECT_SECONDS = 10.0

_replaced_after: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, int] = weakref.WeakKeyDictionary()
"""By event loop: how many replicas had been met when its connections were new."""


async def channel_layer() -> Any:
    """Return the channel layer, with new connections if this process has met a read-only replica.

    After a fail-over the layer's connections may lead to a replica, too, which delivers what is published to its own
    subscribers alone, and says nothing. Raises valkey.Unavailable.
    """
    layer, loop = get_channel_layer(conf.CHANNEL_LAYER), asyncio.get_running_loop()
    met = valkey.replicas_met()
    if _replaced_after.setdefault(loop, met) < met:
        logger.warning("Redis or Valkey has become a read-only replica: the channel layer connects anew")
        await reconnect(layer)
        _replaced_after[loop] = met
    return layer


async def reconnect(layer: Any) -> None:
    """Replace the layer's connections, and subscribe anew to everything at once. Raises valkey.Unavailable.

    Of channels_redis' Pub/Sub layer (docs/private-apis.md); others keep no subscriptions.
    """
    if not is_checked("channels-redis"):
        logger.error("the channel layer does not work; restart this process: %s", unchecked("channels-redis"))
        return
    for shard in getattr(layer, "_shards", ()):
        async with asyncio.timeout(RECONNECT_SECONDS):
            await shard.flush()
            async with shard._lock:
                # Not what it was subscribed to: that is forgotten with its connections, and this may be another try.
                names = [name for name in (*layer.channels, *layer.groups) if layer._get_shard(name) is shard]
                if names:
                    await groups.subscribe(shard, names)
