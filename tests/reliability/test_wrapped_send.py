"""Something that wraps ASGI's `send` (error trackers, tracers) costs time, not bounds: on daphne and on uvicorn."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from realtime.publish.broadcast import broadcast_prices
from tests.live import Server, access_token, watching
from tests.realtime.conftest import closed_connections  # noqa: F401  a fixture of every test
from tests.reliability.fleet import addresses, change, connection_count, fleet, open_sockets, prices
from tests.reliability.raw_client import RawClient
from tests.waiting import eventually

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks at server processes through /proc")

WRAPPED = "tests.realtime.applications:wrapped"
UNKNOWN, OUTSIDE = (
    "the sockets were not checked with this server",
    "wraps ASGI's send outside GracefulShutdown",
)


@pytest.fixture(params=["daphne", "uvicorn"])
def wrapped_server(request, transactional_db, tmp_path) -> Iterator[Server]:
    with _server(request.param, tmp_path) as running:
        yield running


def _server(kind: str, folder: Path, **environment: str) -> Server:
    bounds = {"NEXGENT_CLOSE_SECONDS": "0.5", "NEXGENT_MAX_UNSENT_EVENTS": "10"}
    return Server(kind, log=folder / "log", application=WRAPPED, **bounds, **environment)


async def test_client_that_does_not_read_is_cut_off_behind_a_wrapped_send(wrapped_server, alice):
    tokens = addresses(50)
    agent, other = await fleet(alice, size=2, tokens=tokens)
    async with watching(wrapped_server, alice, other) as fast:
        slow = await RawClient.connect(wrapped_server, access_token(alice), agent)
        await slow.until("initial_data")

        async def are_two() -> bool:  # the request that waited for its start may still be ending
            return open_sockets(wrapped_server) == 2

        await eventually(are_two, "the two are all that is connected")
        await flood(fast, tokens)
        for number in range(12):
            await change(agent, number)

        async def alone() -> bool:
            return open_sockets(wrapped_server) == 1 and await connection_count(wrapped_server) == 1

        await eventually(alone, "the slow client is cut off")
        slow.abandon()
    log = wrapped_server.log.read_text()
    assert log.count(OUTSIDE) == 1, log
    assert "traced_send" in log
    assert UNKNOWN not in log


async def test_client_that_does_not_read_is_given_up_under_a_server_that_is_not_known(
    transactional_db, tmp_path, alice
):
    """uvicorn of a version that was not checked: its connection is left to it, the socket's memory is not."""
    metadata = tmp_path / "other/uvicorn-0.99.0.dist-info/METADATA"
    metadata.parent.mkdir(parents=True)
    metadata.write_text("Metadata-Version: 2.1\nName: uvicorn\nVersion: 0.99.0\n")
    tokens = addresses(200)
    agent, other = await fleet(alice, size=2, tokens=tokens)
    with _server("uvicorn", tmp_path, PYTHONPATH=str(tmp_path / "other")) as server:
        numbers = itertools.count()
        async with watching(server, alice, other, compression=None) as fast:
            slow = await RawClient.connect(server, access_token(alice), agent)
            await slow.until("initial_data")

            async def given_up() -> bool:
                # Megabytes: here the kernel takes what it likes.
                await flood(fast, tokens)
                for _ in range(6):
                    await change(agent, next(numbers))
                return server.log.read_text().count("socket closed") == 1

            await eventually(given_up, "the slow client is given up")
            slow.abandon()
        log = server.log.read_text()
        assert log.count(UNKNOWN) == 1, log
        assert "Traceback" not in log


async def flood(fast, tokens) -> None:
    """Send more prices than a client that does not read has room for."""
    for number in range(1, 21):
        await broadcast_prices(prices(tokens, number))
        await fast.until("price_update_batch")
