from __future__ import annotations

import asyncio
import socket
from contextlib import aclosing, suppress
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from email.utils import format_datetime

import pytest

from positions.prices.http import JsonApi, retry_after
from positions.prices.quotes import SourceError
from positions.prices.rate_limit import RateLimit, RateLimitError
from tests.live import PATIENCE_SECONDS
from tests.positions.prices.clock import Clock
from tests.positions.prices.price_api import Answer


@pytest.fixture
def get(api, sleep):
    async def ask(base_url: str | None = None) -> object:
        client = JsonApi(name="The API", base_url=base_url or api.url, per_minute=600, sleep=sleep)
        async with aclosing(client):
            return await client.get("/x")

    return ask


async def test_get_numbers_are_decimals_digit_for_digit(api, get):
    api.respond = lambda _: Answer(b'{"a": 0.1000000000000000055511151231257827, "b": 7}')
    assert await get() == {"a": Decimal("0.1000000000000000055511151231257827"), "b": Decimal(7)}


@pytest.mark.parametrize("status", [500, 502, 503, 504])
async def test_get_server_error_then_good_is_tried_again(api, get, slept, status):
    api.script = [Answer(status=status), Answer(status=status)]
    api.respond = lambda _: Answer({"good": True})
    assert await get() == {"good": True}
    assert len(api.requests) == 3
    assert 0 <= slept[0] <= 0.25
    assert 0 <= slept[1] <= 0.5


async def test_get_server_error_three_times_fails(api, get):
    api.respond = lambda _: Answer(status=503)
    with pytest.raises(SourceError, match=r"^The API answered 503, 3 times in a row\.$"):
        await get()
    assert len(api.requests) == 3


async def test_get_too_many_requests_waits_as_long_as_it_says(api, get, slept):
    api.script = [Answer(status=429, headers={"Retry-After": "2"})]
    api.respond = lambda _: Answer([])
    assert await get() == []
    [waited] = slept
    assert 1.5 < waited <= 2


async def test_get_too_many_requests_without_a_time_waits_with_jitter(api, get, slept):
    api.script = [Answer(status=429)]
    api.respond = lambda _: Answer([])
    assert await get() == []
    assert all(0 <= seconds <= 0.25 for seconds in slept)


async def test_get_too_many_requests_for_long_asks_no_more_until_then(api, sleep, slept):
    api.respond = lambda _: Answer(status=429, headers={"Retry-After": "86400"})
    client = JsonApi(name="The API", base_url=api.url, per_minute=600, sleep=sleep)
    async with aclosing(client):
        for _ in range(2):
            with pytest.raises(
                SourceError, match=r"^The API's rate limit allows no request for (60|59) s\.$"
            ):
                await client.get("/x")
    assert len(api.requests) == 1
    assert slept == []


async def test_get_client_error_is_not_tried_again(api, get):
    api.respond = lambda _: Answer(status=404)
    with pytest.raises(SourceError, match=r"^The API answered 404\.$"):
        await get()
    assert len(api.requests) == 1


async def test_get_hanging_server_is_given_up(api, get, settings):
    settings.NEXGENT = settings.NEXGENT | {"PRICE_TIMEOUT_SECONDS": 0.2}
    api.respond = lambda _: Answer(hang=True)
    with pytest.raises(SourceError, match=r"^The API did not answer within 0\.2 s\.$"):
        await get()
    assert len(api.requests) == 1


async def test_get_server_that_drips_is_given_up(get, settings):
    """Each byte comes in time, also on a slow machine; the whole never does."""
    settings.NEXGENT = settings.NEXGENT | {"PRICE_TIMEOUT_SECONDS": 1.0}

    async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
        try:
            while True:
                writer.write(b" ")
                await writer.drain()
                await asyncio.sleep(0.01)
        except OSError:
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()
            gone.set()

    gone = asyncio.Event()
    server = await asyncio.start_server(drip, "127.0.0.1", 0)
    async with server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        with pytest.raises(SourceError, match=r"^The API did not send a complete answer within 3 s\.$"):
            await get(url)
        await asyncio.wait_for(gone.wait(), PATIENCE_SECONDS)


async def test_get_connection_refused_is_tried_again_and_fails(get, slept):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound, not listening
        with pytest.raises(
            SourceError,
            match=r"^The API cannot be reached: All connection attempts failed, 3 times in a row\.$",
        ):
            await get(f"http://127.0.0.1:{taken.getsockname()[1]}")
    assert len(slept) == 2


async def test_get_answer_cut_off_is_tried_again(api, get):
    api.script = [Answer(b"[1", missing_bytes=10)]
    api.respond = lambda _: Answer([])
    assert await get() == []
    assert len(api.requests) == 2


async def test_get_answer_without_end_is_refused(api, get, monkeypatch):
    monkeypatch.setattr("positions.prices.http.MAX_BODY_BYTES", 2**20)
    api.respond = lambda _: Answer(b" " * (2**20 + 1))
    with pytest.raises(SourceError, match=r"^The API answered with more than 1 MiB\.$"):
        await get()


@pytest.mark.parametrize("url", ["not a url", "ftp://127.0.0.1", "http://[::1", ""])
async def test_get_wrong_base_url_fails_with_a_sentence(get, url, api):
    client = JsonApi(name="The API", base_url=url, per_minute=600)
    async with aclosing(client):
        with pytest.raises(SourceError, match=r"^The API cannot be reached: .*\.$"):
            await client.get("/x")


async def test_get_error_never_holds_the_key(api, sleep):
    api.respond = lambda _: Answer(status=500)
    client = JsonApi(
        name="The API", base_url=api.url, per_minute=600, headers={"x-api-key": "a-secret-key"}, sleep=sleep
    )
    async with aclosing(client):
        with pytest.raises(SourceError) as caught:
            await client.get("/x")
    assert "a-secret-key" not in str(caught.value)
    assert api.requests[0].headers["x-api-key"] == "a-secret-key"


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, None),
        ("7", 7.0),
        (" 7 ", 7.0),
        ("soon", None),
        ("-7", None),
        ("Wed, 21 Oct 2015 07:28:00 GMT", 0.0),
    ],
)
def test_retry_after_header_is_read(header, seconds):
    assert retry_after(header) == seconds


def test_retry_after_date_is_read():
    moment = datetime.now(UTC) + timedelta(hours=1)
    assert 3500 < (retry_after(format_datetime(moment, usegmt=True)) or 0) <= 3600


async def test_rate_limit_never_allows_more_in_any_minute():
    clock = Clock()
    limit = RateLimit(60, clock=clock, sleep=clock.sleep)
    turns = []
    for _ in range(300):
        await limit.acquire(1000)
        turns.append(clock.now)
    assert turns[0] == turns[5] == 100.0
    busiest = max(sum(start <= turn < start + 60 for turn in turns) for start in turns)
    assert 59 <= busiest <= 60


async def test_rate_limit_turn_too_far_off_is_refused_and_costs_nothing():
    clock = Clock()
    limit = RateLimit(60, clock=clock, sleep=clock.sleep)
    for _ in range(6):
        await limit.acquire(0.5)
    for _ in range(100):
        with pytest.raises(RateLimitError) as caught:
            await limit.acquire(0.5)
        assert caught.value.args[0] == pytest.approx(1 / 0.9)
    clock.now += 1.2
    await limit.acquire(0.5)


async def test_rate_limit_cancelled_wait_gives_its_turn_back():
    clock = Clock()
    asleep = asyncio.Event()

    async def sleep(seconds: float) -> None:
        asleep.set()
        await asyncio.Event().wait()

    limit = RateLimit(60, clock=clock, sleep=sleep)
    for _ in range(6):
        await limit.acquire(5)
    for _ in range(3):
        asleep.clear()
        waiting = asyncio.create_task(limit.acquire(5))
        await asyncio.wait_for(asleep.wait(), PATIENCE_SECONDS)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
    with pytest.raises(RateLimitError) as caught:
        await limit.acquire(0)
    assert caught.value.args[0] == pytest.approx(1 / 0.9)
