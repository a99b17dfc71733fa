"""One user's requests are answered a few at a time, so that others need not wait for all of them."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

import pytest

from realtime.conf import conf
from realtime.servers.requests_at_once import MOST_WAITING, RequestsAtOnce
from tests.live import access_token

AT_ONCE: int = conf.REQUESTS_AT_ONCE
ANSWER = [
    {"type": "http.response.start", "status": 200, "headers": []},
    {"type": "http.response.body", "body": b""},
]


class Slow:
    """An application that answers when it may, and counts whom it is answering."""

    def __init__(self) -> None:
        self.working: Counter[str] = Counter()
        self.may_answer, self.may_end = asyncio.Event(), asyncio.Event()
        self.may_end.set()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.working[scope["who"]] += 1
        await self.may_answer.wait()
        await send(ANSWER[0])
        self.working[scope["who"]] -= 1
        await self.may_end.wait()
        await send(ANSWER[1])


class Requests:
    def __init__(self, application: Slow) -> None:
        self._application = RequestsAtOnce(application)
        self.statuses: Counter[int] = Counter()
        self.tasks: list[asyncio.Task[None]] = []

    async def send(self, count: int, who: str, *, token: str = "", path: str = "/api/agents/") -> None:
        headers = [(b"authorization", f"Bearer {token}".encode())] if token else []
        scope = {"type": "http", "path": path, "headers": headers, "client": ("192.0.2.1", 1), "who": who}

        async def note(message: Any) -> None:
            if message["type"] == "http.response.start":
                self.statuses[message["status"]] += 1

        self.tasks += [asyncio.create_task(self._application(scope, None, note)) for _ in range(count)]  # type: ignore[arg-type]
        for _ in range(3):
            await asyncio.sleep(0)  # they have come as far as they get


@pytest.fixture
async def slow() -> Slow:
    return Slow()


@pytest.fixture
async def requests(slow: Slow, transactional_db):
    made = Requests(slow)
    yield made
    slow.may_answer.set()
    slow.may_end.set()
    await asyncio.gather(*made.tasks)


async def test_one_users_requests_take_turns_whatever_their_tokens_and_others_do_not_wait(
    slow: Slow, requests: Requests, alice, bob
):
    for _ in range(3):
        await requests.send(AT_ONCE, "alice", token=access_token(alice))
    await requests.send(1, "bob", token=access_token(bob))
    assert slow.working == {"alice": AT_ONCE, "bob": 1}
    slow.may_answer.set()
    await asyncio.gather(*requests.tasks)
    assert requests.statuses == {200: 3 * AT_ONCE + 1}


async def test_requests_without_a_valid_token_share_the_bound_of_their_address(
    slow: Slow, requests: Requests, alice
):
    for token in ("", "x", access_token(alice)[:-2]):
        await requests.send(AT_ONCE, "strangers", token=token)
    await requests.send(1, "alice", token=access_token(alice))
    assert slow.working == {"strangers": AT_ONCE, "alice": 1}


async def test_client_that_reads_its_answer_slowly_keeps_no_turn(slow: Slow, requests: Requests, alice):
    slow.may_end.clear()
    slow.may_answer.set()
    await requests.send(3 * AT_ONCE, "alice", token=access_token(alice))
    assert requests.statuses == {200: 3 * AT_ONCE}


async def test_too_many_that_wait_are_refused_and_probes_are_not(slow: Slow, requests: Requests, alice):
    token = access_token(alice)
    await requests.send(AT_ONCE + MOST_WAITING, "alice", token=token)
    await requests.send(2, "alice", token=token)
    await requests.send(1, "probe", token=token, path="/health/ready")
    assert requests.statuses == {429: 2}
    await requests.send(1, "alice", token=token, path="/health/ready-or-not")
    assert requests.statuses == {429: 3}
    assert slow.working == {"alice": AT_ONCE, "probe": 1}


async def test_request_that_is_given_up_while_it_waits_leaves_its_turn_to_the_next(
    slow: Slow, requests: Requests, alice
):
    await requests.send(AT_ONCE + 2, "alice", token=access_token(alice))
    requests.tasks.pop().cancel()
    slow.may_answer.set()
    await asyncio.gather(*requests.tasks)
    assert requests.statuses == {200: AT_ONCE + 1}
