"""A process's hub over a channel layer that fails in unexpected ways."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from channels.layers import InMemoryChannelLayer, channel_layers
from django.test import AsyncClient

from realtime.hub.hub import Hub, close_hub, get_hub
from realtime.protocol.messages import PRICES_GROUP
from realtime.publish.broadcast import broadcast_prices
from tests.conftest import BONK, quote
from tests.waiting import eventually


class Layer(InMemoryChannelLayer):  # type: ignore[misc]
    """Some other channel layer, which any project may have: it fails on request."""

    is_broken = False
    failures = 0

    async def group_add(self, group: str, channel: str) -> None:
        if self.is_broken:
            self.failures += 1
            raise RuntimeError("a fault of the channel layer")
        await super().group_add(group, channel)

    async def receive(self, channel: str) -> Any:
        message = await super().receive(channel)
        if message["type"] == "break.down":
            raise asyncio.CancelledError  # as of a connection's own task, which somebody has cancelled
        return message


@pytest.fixture
def layer(transactional_db, settings) -> Iterator[Layer]:
    settings.NEXGENT = {**settings.NEXGENT, "RECONCILE_SECONDS": 0.05}
    layer = Layer()
    before = channel_layers["default"]  # `set` would return None where nobody has asked for it yet
    channel_layers.set("default", layer)
    yield layer
    channel_layers.set("default", before)


@pytest.fixture
async def ended_hub() -> AsyncIterator[None]:
    yield
    await close_hub()


async def ready() -> tuple[int, dict[str, str]]:
    """Return the status of /health/ready, and what it says of each check that is not ok."""
    answer = await AsyncClient().get("/health/ready")
    return answer.status_code, {
        name: outcome for name, outcome in answer.json()["checks"].items() if outcome != "ok"
    }


async def becomes_ready() -> None:
    async def is_ready() -> bool:
        return await ready() == (200, {})

    await eventually(is_ready, "the process is ready")


async def becomes_deaf() -> None:
    """Wait until the process is not ready, since it does not listen; what depends on that may be named, too."""

    async def is_deaf() -> bool:
        status, failing = await ready()
        return status == 503 and failing["listener"] == "not working"

    await eventually(is_deaf, "the process is not ready")


async def receives(hub: Hub, price: str) -> None:
    """Send a price to all hubs, and wait until this one has it."""

    async def has_come() -> bool:
        await broadcast_prices([quote(BONK, price)])
        known = hub.prices.quote(BONK)
        return known is not None and str(known.price) == price

    await eventually(has_come, "a price reached the hub")


async def test_process_without_a_hub_yet_is_ready(layer):
    assert await ready() == (200, {})


async def test_listener_that_dies_is_started_again_and_the_process_is_not_ready_until_it_listens(
    layer, ended_hub, caplog
):
    hub = get_hub()
    await receives(hub, "0.5")
    await becomes_ready()
    layer.is_broken = True
    await layer.group_send(PRICES_GROUP, {"type": "break.down"})

    async def has_failed_again() -> bool:
        return bool(layer.failures)

    await eventually(has_failed_again, "the listener is started again")
    status, failing = await ready()
    assert (status, failing["listener"]) == (503, "not working")
    layer.is_broken = False
    await receives(hub, "0.625")
    await becomes_ready()
    assert "listener has ended; restarting in 0.2 s" in caplog.text
    assert "RuntimeError: a fault of the channel layer" in caplog.text


async def test_channel_layer_that_is_broken_from_the_beginning_is_listened_to_once_it_works(layer, ended_hub):
    layer.is_broken = True
    hub = get_hub()
    await becomes_deaf()
    layer.is_broken = False
    await receives(hub, "0.5")
    await becomes_ready()


async def test_every_task_of_the_hub_says_that_it_works(layer, ended_hub):
    hub = get_hub()
    assert hub.tasks.checks().keys() == {
        "listener",
        "subscription",
        "presence",
        "metrics",
        "price_groups",
        "reconcile_epoch",
        "reconcile_events",
        "reconcile_tokens",
        "reconcile_owners",
        "reconcile_prices",
    }
    for health in hub.tasks._health.values():
        health.fails()

    async def all_work() -> bool:
        checks = hub.tasks.checks()
        del checks["listener"]  # works until it fails
        return set(checks.values()) == {"ok"}

    await eventually(all_work, "each has done a round")
