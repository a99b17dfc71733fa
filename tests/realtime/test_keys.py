"""Clocks that differ a little, and keys that are replaced: for REST and for sockets."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.test import Client

from positions.books.snapshots import timestamp
from realtime.socket import timers
from tests.live import PATIENCE_SECONDS, access_token, refresh_token
from tests.realtime.test_tickets import Socket

pytestmark = pytest.mark.usefixtures("hub")
OLD, NEW = "the-old-key-" + "a" * 50, "the-new-key-" + "b" * 50


async def accepted(token: str, agent: Any) -> tuple[bool, bool]:
    """Return whether REST takes the token, and whether a socket does."""
    client = Client(headers={"Authorization": f"Bearer {token}"})
    answer = await sync_to_async(client.get)("/api/agents/")
    first = await Socket(f"token={token}&agentId={agent.pk}").begin()
    assert (answer.status_code, first[:4]) in {(200, "conn"), (401, "1008")}
    return answer.status_code == 200, first == "connected"


@pytest.fixture
def allow(settings):
    def allow(seconds: float) -> None:
        settings.SIMPLE_JWT = {**settings.SIMPLE_JWT, "LEEWAY": seconds}

    return allow


@pytest.mark.parametrize(("claim", "seconds"), [("exp", -2000), ("nbf", 2000), ("iat", 2000)])
async def test_clocks_may_differ_by_the_leeway_and_no_more(alice, agent, allow, claim, seconds):
    token = access_token(alice, **{claim: int(time.time()) + seconds})
    allow(3600)
    assert await accepted(token, agent) == (True, True)
    allow(5)
    assert await accepted(token, agent) == (False, False)


class InAnHour(datetime):
    """The clock of a process in which a token that lasts for an hour has just expired."""

    @classmethod
    def now(cls, tz: tzinfo | None = None) -> Any:
        return datetime.now(tz) + timedelta(hours=1)


async def test_socket_stays_for_the_leeway_and_is_told_the_expiry_itself(
    alice, agent, position, allow, monkeypatch
):
    """As long as a new one would be accepted: else its client would be closed, and let in again at once.

    A token that has expired would have to be presented within the leeway: only the clock of the timer runs ahead.
    """
    allow(3)
    monkeypatch.setattr(timers, "datetime", InAnHour)
    expires = int(time.time()) + 3600
    socket = Socket(f"token={access_token(alice, exp=expires)}&agentId={agent.pk}")
    await socket.connect(PATIENCE_SECONDS)
    connected = await socket.receive()
    assert connected["data"]["tokenExpiresAt"] == timestamp(datetime.fromtimestamp(expires, UTC))
    assert (await socket.receive())["type"] == "initial_data"
    while (message := await socket.receive())["type"] != "closing":
        pass
    assert message["data"]["reason"] == "Token expired"
    assert InAnHour.now(UTC).timestamp() >= expires + 3
    await socket.disconnect(timeout=PATIENCE_SECONDS)


async def test_key_is_replaced_without_ending_what_the_old_one_signed(alice, agent, position, settings):
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = OLD, [NEW]  # every process learns the new one first
    old = access_token(alice)
    socket = Socket(f"token={old}&agentId={agent.pk}")
    await socket.connect(PATIENCE_SECONDS)
    assert [(await socket.receive())["type"] for _ in range(2)] == ["connected", "initial_data"]
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = NEW, [OLD]
    new = access_token(alice)
    await socket.send_to(json.dumps({"type": "refresh", "data": {"token": old}}))
    assert (await socket.receive())["type"] == "refreshed"
    await socket.send_to(json.dumps({"type": "refresh", "data": {"token": new}}))
    assert (await socket.receive())["type"] == "refreshed"
    await socket.disconnect(timeout=PATIENCE_SECONDS)
    assert await accepted(old, agent) == await accepted(new, agent) == (True, True)
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = OLD, [NEW]  # by a process that is not restarted yet
    assert await accepted(new, agent) == (True, True)
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = NEW, []
    assert await accepted(old, agent) == (False, False)
    assert await accepted(new, agent) == (True, True)


async def test_expiry_that_is_no_time_is_refused(alice, agent):
    for exp in (2**62, -(2**62), 1e300, "soon", None, [1]):
        assert await accepted(access_token(alice, exp=exp), agent) == (False, False), exp


@pytest.mark.parametrize("of", ["expired", "refresh", "stranger"])
async def test_old_key_makes_nothing_valid_but_what_it_signed(alice, agent, settings, of):
    settings.SECRET_KEY = "c" * 60 if of == "stranger" else OLD
    token = {
        "expired": access_token(alice, exp=int(time.time()) - 60),
        "refresh": refresh_token(alice),
        "stranger": access_token(alice),
    }[of]
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = NEW, [OLD]
    assert await accepted(token, agent) == (False, False)


async def test_browser_session_outlives_the_key_that_began_it(alice, settings):
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = OLD, []
    browser = Client()
    post = sync_to_async(browser.post)
    body = json.dumps({"username": "alice", "password": "alice-has-a-password"})
    assert (await post("/api/session/", body, content_type="application/json")).status_code == 200
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = NEW, [OLD]
    assert (await post("/api/session/refresh/")).status_code == 200
    settings.SECRET_KEY_FALLBACKS = []
    assert (await post("/api/session/refresh/")).status_code == 401
