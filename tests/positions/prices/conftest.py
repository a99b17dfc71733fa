from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator

import pytest
from asgiref.sync import sync_to_async
from channels.layers import channel_layers
from django.db import connections

from positions import valkey
from positions.prices.lookup import close_lookup
from tests.positions.prices.price_api import PriceApi, serving


@pytest.fixture
def api(settings) -> Iterator[PriceApi]:
    with serving() as running:
        settings.NEXGENT = settings.NEXGENT | {
            "DEXSCREENER_URL": running.url,
            "JUPITER_URL": running.url,
            "JUPITER_API_KEY": "a-secret-key",
            "PRICE_TIMEOUT_SECONDS": 5.0,
            "PRICE_SOURCES": {},
            "POOL_FLOOR_USD": 1_000,
            "PRICE_STALE_SECONDS": 60.0,
            "PRICE_JUMP_ROUNDS": 5,
        }
        yield running


@pytest.fixture
def slept() -> list[float]:
    """What `sleep` was asked for, in seconds."""
    return []


@pytest.fixture
def sleep(slept: list[float]) -> Callable[[float], Awaitable[None]]:
    """Sleeps no time at all."""

    async def note(seconds: float) -> None:
        slept.append(seconds)

    return note


@pytest.fixture(autouse=True)
async def closed_connections():
    """Each test has an event loop, and a thread for the database: what it opened there, it closes."""
    yield
    await close_lookup()
    await valkey.close_async_client()
    layer = channel_layers.backends.get("default")
    if layer is not None:
        await layer.flush()
    await sync_to_async(connections.close_all)()
