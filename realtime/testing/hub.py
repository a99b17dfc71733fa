"""What a test's event loop has opened for sockets, and how it is closed."""

from __future__ import annotations

import asyncio
import threading

from asgiref.sync import sync_to_async
from channels.layers import channel_layers
from django.db import connections

from positions import valkey
from realtime.conf import conf
from realtime.hub.database import in_database_thread
from realtime.hub.hub import close_hub
from realtime.testing import PATIENCE_SECONDS


async def end_hub() -> None:
    """End the running event loop's hub, and close the connections of its database threads.

    With CONN_MAX_AGE they stay open after a query, and would be lost to a test that deletes its database.
    """
    await asyncio.wait_for(close_hub(), PATIENCE_SECONDS)
    count = conf.DATABASE_THREADS
    all_threads = threading.Barrier(count)

    def close() -> None:
        all_threads.wait(PATIENCE_SECONDS)
        connections.close_all()

    await asyncio.gather(*(in_database_thread(close)() for _ in range(count)))


async def close_connections() -> None:
    """Close the other connections of the running event loop: to Valkey, of the channel layer, of `sync_to_async`."""
    await valkey.close_async_client()
    layer = channel_layers.backends.get(conf.CHANNEL_LAYER)
    if layer is not None:
        await layer.flush()
    await sync_to_async(connections.close_all)()
