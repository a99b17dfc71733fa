"""Messages between processes of two releases: what the first one sends and reads, and messages that are too new."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec
import pytest
from asgiref.sync import sync_to_async
from channels.layers import get_channel_layer
from django.db import connection, transaction
from django.utils import timezone

from positions import services
from positions.models import Position, PositionEvent
from positions.prices.cache import put_prices
from positions.prices.quotes import WRAPPED_SOL, Quote
from realtime.protocol import envelopes, price_envelopes
from realtime.protocol.envelopes import VERSIONS, read_event, unreadable
from realtime.protocol.messages import PRICES_GROUP, agent_group
from realtime.protocol.price_envelopes import decoded, read_prices
from tests.conftest import BONK, WIF, quote
from tests.live import Server, watching
from tests.positions.old_events import OLD_EVENTS
from tests.waiting import eventually

OLD_MESSAGES: dict[str, list[dict[str, Any]]] = json.loads(
    Path(__file__).with_name("old_messages.json").read_text(encoding="utf-8")
)
"""By type, what the first release that has it sends for OLD_EVENTS and two prices: never generated again."""
AGENT = UUID(OLD_EVENTS[0]["agent_id"])
QUOTES = [
    Quote(
        BONK,
        Decimal("0.000002345678901234"),
        Decimal("0.0004691357802468"),
        datetime.fromisoformat("2026-11-25T21:30:00.123456+00:00"),
    ),
    Quote(WIF, Decimal("0.0125"), None, datetime.fromisoformat("2026-11-25T21:28:00.123456+00:00")),
]


def for_all() -> price_envelopes.PriceMessage:
    message = price_envelopes.PriceMessage()
    message.add([Quote(WRAPPED_SOL, Decimal(1), Decimal("187.42"), QUOTES[0].as_of)])
    return message


NEW_MESSAGES = {
    "position.event": [
        envelopes.event_message(
            PositionEvent(**{**row, "created_at": datetime.fromisoformat(row["created_at"])})
        )
        for row in OLD_EVENTS
    ],
    "price.batch": [price_envelopes.price_message(QUOTES)],
    "price.layout": [
        price_envelopes.layout_message(for_all(), shards=4, number=1_795_700_000_000_000_000, sent=[0, 3])
    ],
    "price.joined": [envelopes.joined_message("prices.4.11", "5f0c")],
    "socket.claimed": [envelopes.claim_message(str(AGENT), 7)],
    "access.changed": [envelopes.access_message(AGENT)],
    "socket.disconnect": [envelopes.disconnect_message(AGENT)],
    "watchers.disconnect": [envelopes.disconnect_message(AGENT, watchers=True)],
}


def quotes_in(message: dict[str, Any]) -> list[Quote]:
    return [
        decoded(token, digits, priced.as_of)
        for priced in read_prices(message)
        for token, digits in zip(priced.fragments, priced.digits, strict=True)
    ]


def lacking(old: Any, new: Any, path: str = "") -> Iterator[str]:
    """Yield what the first release reads in its message `old` and does not find, the same, in `new`."""
    if isinstance(old, dict):
        for name, value in old.items():
            yield from lacking(value, new.get(name), f"{path}.{name}")
    elif isinstance(old, list):
        for number, value in enumerate(old):
            yield from lacking(value, new[number], f"{path}.{number}")
    elif old != new:
        yield f"{path}: {new!r} instead of {old!r}"


def test_every_type_has_a_version_and_an_old_message():
    assert VERSIONS.keys() == OLD_MESSAGES.keys() == NEW_MESSAGES.keys()


@pytest.mark.parametrize("kind", VERSIONS)
def test_what_the_first_release_reads_is_still_sent(kind: str):
    for old, new in zip(OLD_MESSAGES[kind], NEW_MESSAGES[kind], strict=True):
        packed = msgspec.msgpack.decode(msgspec.msgpack.encode(new))
        assert list(lacking(old, packed)) == []
        assert packed["version"] == VERSIONS[kind]


@pytest.mark.parametrize("kind", VERSIONS)
def test_messages_of_the_first_release_are_known(kind: str):
    assert {unreadable(message) for message in OLD_MESSAGES[kind] + NEW_MESSAGES[kind]} == {None}


def test_event_of_the_first_release_is_read_like_one_of_this():
    old = [read_event(message) for message in OLD_MESSAGES["position.event"]]
    assert old == [read_event(message) for message in NEW_MESSAGES["position.event"]]
    assert [event.seq for event in old] == [1, 2, 3, 4, 5, 6]


def test_prices_of_either_release_are_read_digit_for_digit():
    assert quotes_in(OLD_MESSAGES["price.batch"][0]) == QUOTES
    assert quotes_in(NEW_MESSAGES["price.batch"][0]) == QUOTES


@pytest.mark.parametrize(
    ("message", "name"),
    [
        ({"type": "access.changed", "version": 2}, "type 'access.changed' and version 2"),
        ({"type": "access.changed", "version": "1"}, "type 'access.changed' and version '1'"),
        ({"type": "orders.new"}, "type 'orders.new'"),
        ({"type": ["price.batch"]}, "type ['price.batch']"),
        ({}, "type None"),
    ],
)
def test_message_that_this_release_does_not_know_is_named(message: dict[str, Any], name: str):
    assert unreadable(message) == name


# Over a server


@pytest.fixture(params=["daphne", "uvicorn"])
def own_server(request, transactional_db, tmp_path) -> Iterator[Server]:
    with Server(request.param, log=tmp_path / "log", NEXGENT_RECONCILE_SECONDS="0.2") as running:
        yield running


def move_silently(position: Position, percentage: int) -> PositionEvent:
    """Move the stop loss in a process whose messages are lost; return the event."""
    with transaction.atomic():
        services.move_stop_loss(position_id=position.pk, percentage=Decimal(percentage))
        connection.run_on_commit.clear()
    return PositionEvent.objects.order_by("seq").last()  # type: ignore[return-value]


async def test_messages_of_the_first_release_reach_sockets(server, alice, agent, position):
    layer = get_channel_layer()
    async with watching(server, alice, agent) as socket:
        event = envelopes.event_message(await sync_to_async(move_silently)(position, -1))
        del event["version"], event["position"]["version"]
        await layer.group_send(agent_group(agent.pk), event)
        assert (await socket.expect("position_update"))["data"]["seq"] == 2
        prices = OLD_MESSAGES["price.batch"][0]["priced"][0] | {"as_of": timezone.now().isoformat()}
        await layer.group_send(PRICES_GROUP, {"type": "price.batch", "priced": [prices]})
        updates = (await socket.expect("price_update_batch"))["data"]["updates"]
        assert [update["tokenAddress"] for update in updates] == [BONK]
        # The digits, too, have been understood: the next event is priced with them.
        await sync_to_async(services.move_stop_loss)(position_id=position.pk, percentage=Decimal(-2))
        update = (await socket.expect("position_update"))["data"]["position"]
        assert (update["currentPrice"], update["priceSource"]) == (2.345678901234e-06, "live")


async def test_newer_messages_are_skipped_and_their_content_is_read(own_server, alice, agent, position):
    layer = get_channel_layer()
    async with watching(own_server, alice, agent) as socket:
        for seq in (2, 3):
            event = envelopes.event_message(await sync_to_async(move_silently)(position, -seq))
            await layer.group_send(agent_group(agent.pk), event | {"version": 99, "position": "elsewhere"})
            assert (await socket.expect("position_update"))["data"]["seq"] == seq
        await put_prices([quote(BONK, "0.5")])
        await layer.group_send(PRICES_GROUP, {"type": "price.batch", "version": 99, "priced": "elsewhere"})
        assert (await socket.expect("price_update_batch"))["data"]["updates"][0]["price"] == 0.5
        for kind in ("position.event", "price.batch"):  # which may come after what the reconciler has read
            said = f"messages of type '{kind}' and version 99 are skipped"

            async def is_said(said: str = said) -> bool:
                return said in own_server.log.read_text()

            await eventually(is_said, f"{kind} is skipped")
    log = own_server.log.read_text()
    for kind in ("position.event", "price.batch"):
        assert log.count(f"messages of type '{kind}' and version 99 are skipped") == 1, log
    assert "Traceback" not in log
