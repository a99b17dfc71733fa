"""A pytest plugin, with pytest-django and pytest-asyncio: `pytest_plugins = ["realtime.testing.fixtures"]`.

What it needs of the apps it imports in the fixtures: as a plugin it may be loaded before Django is set up.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio

if TYPE_CHECKING:
    from realtime.testing.market import FakeMarket


@pytest.fixture(scope="session")
def realtime_redis() -> Iterator[str]:
    """The URL of the Valkey of this run: its own where the extra `embedded` is installed, else that of the settings.

    Override it to use another.
    """
    from realtime.testing.own_valkey import own_valkey

    with own_valkey() as url:
        yield url


@pytest_asyncio.fixture
async def realtime_hub(transactional_db: None, realtime_redis: str) -> AsyncIterator[None]:
    """What serves the sockets of this test's event loop, and ends with it.

    Sockets query on connections of their own, which see committed rows only: hence `transactional_db`.
    """
    from realtime.testing.hub import close_connections, end_hub

    yield
    await end_hub()
    await close_connections()


@pytest.fixture
def realtime_socket(realtime_hub: None) -> Callable[..., Any]:
    """`async with realtime_socket(user, agent) as socket:` (realtime.testing.sockets.open_socket)."""
    from realtime.testing.sockets import open_socket

    return open_socket


@pytest.fixture
def fake_market(realtime_redis: str) -> Iterator[FakeMarket]:
    """Prices as the test wants them: `await fake_market.set_prices({mint: "0.0000031"})`. They are gone after it."""
    from realtime.testing.market import FakeMarket

    market = FakeMarket()
    yield market
    market.forget()


@pytest.fixture
def token_for() -> Callable[..., str]:
    """`token_for(user, read_only=True)` is an access token of that user (realtime.testing.tokens)."""
    from realtime.testing.tokens import token_for as token

    return token
