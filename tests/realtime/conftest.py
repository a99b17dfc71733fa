import pytest
from asgiref.sync import sync_to_async
from channels.layers import channel_layers
from django.db import connections

from positions import valkey


@pytest.fixture(autouse=True)
async def closed_connections():
    """Each test has an event loop, and a thread for the database: what it opened there, it closes."""
    yield
    await valkey.close_async_client()
    layer = channel_layers.backends.get("default")
    if layer is not None:
        await layer.flush()
    await sync_to_async(connections.close_all)()
