from __future__ import annotations

from collections.abc import Iterator

import pytest

from positions.signals import position_events_committed

pytest.register_assert_rewrite("tests.positions.world")  # says what differs

from tests.positions.world import World  # noqa: E402


@pytest.fixture
def world(transactional_db: None) -> Iterator[World]:
    world = World()
    position_events_committed.connect(world.receive)
    yield world
    position_events_committed.disconnect(world.receive)
