"""A server is killed while it books: the repeat books what was lost, and only that."""

from __future__ import annotations

import json
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from django.contrib.auth.models import User
from django.db import transaction

from positions.models import Agent, Position, PositionEvent, StoredAnswer
from tests.live import PATIENCE_SECONDS, Server, access_token, http
from tests.positions.threads import is_blocked
from tests.waiting import until

BODY = {"tokens": "250000", "proceedsSol": "1", "transactionId": "tx-1"}


@pytest.fixture
def server(transactional_db: None, tmp_path: Path) -> Iterator[Server]:
    with Server("daphne", log=tmp_path / "log") as server:
        yield server


def headers(user: User, key: str | None = "sale-1") -> dict[str, str]:
    return {"Authorization": f"Bearer {access_token(user)}"} | ({"Idempotency-Key": key} if key else {})


def send_unread(server: Server, path: str, sent: dict[str, str]) -> socket.socket:
    """Send the request and read nothing: whatever the server answers is lost."""
    body = json.dumps(BODY).encode()
    head = {"Host": "127.0.0.1", "Content-Type": "application/json", "Content-Length": str(len(body))}
    lines = [f"POST {path} HTTP/1.1", *(f"{name}: {value}" for name, value in (head | sent).items())]
    client = socket.create_connection(("127.0.0.1", server.port), PATIENCE_SECONDS)
    client.sendall("\r\n".join([*lines, "", ""]).encode() + body)
    return client


def repeat(server: Server, user: User, path: str, key: str | None = "sale-1") -> httpx.Response:
    return http.post(server.url + path, json=BODY, headers=headers(user, key), timeout=2 * PATIENCE_SECONDS)


def test_server_killed_after_the_commit_has_booked_and_the_repeat_gets_the_answer(
    server: Server, alice: User, position: Position
):
    path = f"/api/positions/{position.pk}/take-profit/"
    with send_unread(server, path, headers(alice)):
        until(lambda: StoredAnswer.objects.exists(), "the sale is committed")
        server.stop(signal.SIGKILL)
    server.start()
    answers = [repeat(server, alice, path, key) for key in ("sale-1", None, "sale-1")]
    assert {(answer.status_code, answer.text) for answer in answers} == {
        (200, StoredAnswer.objects.get().body)
    }
    assert answers[0].json()["remainingAmount"] == 750_000
    assert PositionEvent.objects.count() == 2


@pytest.mark.postgresql
def test_server_killed_before_the_commit_has_booked_nothing_and_the_repeat_does(
    server: Server, alice: User, agent: Agent, position: Position
):
    path = f"/api/positions/{position.pk}/take-profit/"
    sent = headers(alice)
    with transaction.atomic():
        Agent.objects.select_for_update().get(pk=agent.pk)
        with send_unread(server, path, sent):
            until(is_blocked, "the server waits for the agent's lock")
            server.stop(signal.SIGKILL)
    assert not StoredAnswer.objects.exists()
    server.start()
    answer = repeat(server, alice, path)
    assert (answer.status_code, answer.json()["remainingAmount"]) == (200, 750_000)
    assert PositionEvent.objects.count() == 2
