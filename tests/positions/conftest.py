from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from django.conf import LazySettings

from positions import valkey
from positions.signals import position_events_committed

pytest.register_assert_rewrite("tests.positions.world")  # says what differs

from tests.positions.world import World  # noqa: E402


@pytest.fixture
def no_valkey(settings: LazySettings, tmp_path: Path) -> Iterator[None]:
    settings.NEXGENT = {**settings.NEXGENT, "REDIS_URL": f"unix://{tmp_path}/nobody.sock"}
    valkey.client.cache_clear()
    yield
    valkey.client.cache_clear()


@pytest.fixture
def world(transactional_db: None) -> Iterator[World]:
    world = World()
    position_events_committed.connect(world.receive)
    yield world
    position_events_committed.disconnect(world.receive)
