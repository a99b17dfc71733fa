"""An unavailable database closes a socket with 1013; a bug closes it with 1011, and is logged with a traceback."""

from __future__ import annotations

import json
import uuid
from typing import Any

import django.db
import pytest
from asgiref.sync import sync_to_async
from django.db import connection

from positions.books.snapshots import snapshot
from positions.models import Agent, PositionEvent
from realtime.hub.guard import guarded
from realtime.hub.latest_prices import LatestPrices
from realtime.hub.outbox import Outbox
from realtime.hub.position_events import PositionEvents
from realtime.hub.price_fan_out import PriceFanOut
from realtime.hub.sockets import Sockets
from realtime.hub.token_index import TokenIndex
from realtime.monitoring.tasks import Tasks
from realtime.testing.sockets import connect

UNAVAILABLE = (1013, "Try again later", "positions are unavailable right now")
BUG = (1011, "Internal server error", "something went wrong on the server")


class Stream(Outbox):
    """A stream that keeps what it sends."""

    def __init__(self, agent_id: str) -> None:
        self.sent: list[dict[str, Any]] = []

        async def send(message: dict[str, Any]) -> None:
            self.sent.append(message)

        super().__init__(
            send,
            lambda text: False,
            user_id=1,
            agent_id=agent_id,
            index=TokenIndex[Outbox](),
            max_unsent=5,
            retry_after_seconds=1.0,
            on_gap=lambda outbox: None,
            on_lost=lambda outbox: None,
            on_close=lambda outbox: None,
            on_new_token=lambda outbox, tokens: None,
        )

    def end(self) -> tuple[int, str, str]:
        """Return the code and reason of the close, and the error before it."""
        error, _, close = self.sent
        return close["code"], close["reason"], json.loads(error["text"])["data"]["message"]


@pytest.mark.parametrize(
    ("kind", "end"),
    [
        ("OperationalError", UNAVAILABLE),
        ("InterfaceError", UNAVAILABLE),
        ("ProgrammingError", BUG),
        ("DataError", BUG),
        ("IntegrityError", BUG),
        ("NotSupportedError", BUG),
    ],
)
async def test_database_error_is_an_outage_or_a_bug_by_its_kind(caplog, kind: str, end: tuple[int, str, str]):
    async def work() -> None:
        raise getattr(django.db, kind)("what the driver says")

    stream = Stream(str(uuid.uuid4()))
    await guarded(stream, work())
    assert stream.end() == end
    assert ("Traceback" in caplog.text) == (end == BUG)
    assert "what the driver says" in caplog.text


async def test_stored_event_that_cannot_be_sent_closes_the_stream_with_1011(
    transactional_db, caplog, position
):
    await PositionEvent.objects.all().aupdate(position={**snapshot(position), "purchase_price": None})
    stream = Stream(str(position.agent_id))
    stream.start([], 0, [])
    tasks, index, latest, sockets = Tasks(), TokenIndex[Outbox](), LatestPrices(), Sockets()
    sockets.add(stream)
    events = PositionEvents(sockets, index, latest, PriceFanOut(latest, index), spawn=tasks.spawn)
    events.catch_up(stream, upto=1)
    await tasks.spawned()
    assert stream.end() == BUG
    assert "TypeError: conversion from NoneType to Decimal is not supported" in caplog.text


@pytest.mark.postgresql  # SQLite reports a missing table as it reports an outage
async def test_token_that_cannot_be_looked_up_because_of_a_bug_closes_with_1011(
    hub: None,
    caplog,
    alice,
    token_for,
    agent: Agent,
):
    token = await sync_to_async(token_for)(alice)

    def rename(old: str, new: str) -> None:
        with connection.cursor() as cursor:
            cursor.execute(f"ALTER TABLE {old} RENAME TO {new}")

    await sync_to_async(rename)("positions_tokenfamily", "renamed")
    try:
        async with connect(token=token, agentId=agent.pk) as socket:
            assert (await socket.expect("error"))["data"]["message"] == BUG[2]
            closing = (await socket.expect("closing"))["data"]
    finally:
        await sync_to_async(rename)("renamed", "positions_tokenfamily")
    assert (closing["code"], closing["reason"]) == BUG[:2]
    assert 'ProgrammingError: relation "positions_tokenfamily" does not exist' in caplog.text
