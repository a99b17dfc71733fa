"""A process to which more comes than it handles at once: it serves everybody else meanwhile, and hears itself late."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from typing import Any

import pytest
from channels.layers import InMemoryChannelLayer, channel_layers

from realtime.hub.listener import Listener
from realtime.hub.probe import Probe
from realtime.hub.turns import SLICE_SECONDS
from realtime.monitoring.tasks import Health
from tests.waiting import eventually

MESSAGES = 60


@pytest.fixture
def layer(running_valkey, transactional_db, settings):
    settings.NEXGENT = {**settings.NEXGENT, "PRESENCE_SECONDS": 0.05}
    layer = InMemoryChannelLayer(capacity=2 * MESSAGES)
    before = channel_layers["default"]  # `set` would return None where nobody has asked for it yet
    channel_layers.set("default", layer)
    yield layer
    channel_layers.set("default", before)


class CountingProbe(Probe):
    rounds = 0

    def heard(self, message: Mapping[str, Any]) -> None:
        super().heard(message)
        self.rounds += 1


class Backlog:
    """A listener, and so many messages for it, each of which keeps the process busy for 10 ms."""

    def __init__(self) -> None:
        self.handled = 0
        self.probe = CountingProbe()
        self.health = Health(grace_seconds=60)
        self._listener = Listener({"position.event": self._work}, groups=lambda: ["work"], probe=self.probe)

    async def _work(self, message: Mapping[str, Any]) -> None:
        time.sleep(0.01)  # noqa: ASYNC251  the event loop is to wait
        self.handled += 1

    async def handle(self, layer: InMemoryChannelLayer) -> None:
        tasks = [asyncio.create_task(self._listener.run(self.health))]
        try:
            await self._listener.ready()  # before that, the probe would hear nothing
            tasks.append(asyncio.create_task(self.probe.run(Health(grace_seconds=60))))
            (channel,) = layer.groups["work"]
            for _ in range(
                MESSAGES
            ):  # without a turn for anyone in between, as they come from a socket's buffer
                await layer.send(channel, {"type": "position.event"})

            rounds = self.probe.rounds

            async def all_are_handled() -> bool:
                return self.handled == MESSAGES and self.probe.rounds >= rounds + 3

            await eventually(all_are_handled, "every message is handled, and the probe is heard again")
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


async def test_messages_that_wait_take_turns_with_everybody_else(layer):
    backlog, seen = Backlog(), set()

    async def somebody_else() -> None:
        while backlog.handled < MESSAGES:
            seen.add(backlog.handled)
            await asyncio.sleep(0)

    await asyncio.gather(backlog.handle(layer), somebody_else())
    assert len(seen) > MESSAGES / 2


async def test_message_right_behind_a_short_one_waits_for_nobody_else(layer):
    """Prices behind a claim: in a storm of connects, a turn of everybody else is long."""
    turn, handled = 0, list[int]()

    async def handle(message: Mapping[str, Any]) -> None:
        handled.append(turn)

    listener = Listener({"position.event": handle}, groups=lambda: ["work"], probe=CountingProbe())
    running = asyncio.create_task(listener.run(Health(grace_seconds=60)))
    try:
        await listener.ready()
        (channel,) = layer.groups["work"]
        for pair in range(5):
            await asyncio.sleep(2 * SLICE_SECONDS)
            for _ in range(2):
                await layer.send(channel, {"type": "position.event"})
            while len(handled) < 2 * (pair + 1):
                turn += 1
                await asyncio.sleep(0)
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    assert handled[::2] == handled[1::2]


async def test_process_that_hears_its_probe_late_does_not_connect_anew_while_other_messages_arrive(
    layer, caplog
):
    backlog = Backlog()
    await backlog.handle(layer)
    assert "reconnecting" not in caplog.text


async def test_process_that_hears_nothing_connects_anew(layer, caplog):
    backlog = Backlog()
    probing = asyncio.create_task(backlog.probe.run(Health(grace_seconds=60)))

    async def it_does() -> bool:
        return "nothing arrives from the channel layer" in caplog.text

    try:
        await eventually(it_does, "the channel layer connects anew")
    finally:
        probing.cancel()
        await asyncio.gather(probing, return_exceptions=True)
