from collections.abc import AsyncIterator

import pytest

from realtime.testing.hub import close_connections


@pytest.fixture(autouse=True)
async def closed_connections() -> AsyncIterator[None]:
    """Each test has an event loop, and a thread for the database: what it opened there, it closes."""
    yield
    await close_connections()


@pytest.fixture
def hub(realtime_hub: None) -> None:
    """Ends with the test, by the fixture that other projects use, too."""
