"""What sockets that start at the same time ask the database for is one statement for all, and each gets its own."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from typing import Any
from uuid import UUID, uuid4

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth.models import User
from django.db import connection
from django.utils import timezone
from rest_framework_simplejwt.tokens import AccessToken

from positions import services
from positions.accounts.families import issue
from positions.accounts.identity import Refused
from positions.books.snapshots import snapshot
from positions.models import Agent, Position, PositionEvent, TokenFamily, Wallet
from positions.models.guard import unguarded
from positions.services import open_position
from realtime.hub import holdings as reading
from realtime.hub.arrivals import Newcomer, admit
from realtime.hub.holdings import Asked, TooMany, read_few, read_holdings
from realtime.hub.hub import get_hub
from realtime.hub.missed import Gap, decoded, read_events
from realtime.hub.turns import MOST
from realtime.protocol.envelopes import EventMessage, to_event
from realtime.socket.routing import websocket_application
from realtime.testing.sockets import Communicator
from tests.conftest import BONK, WIF
from tests.live import PATIENCE_SECONDS, access_token


def new_agent(owner: User, *tokens: str) -> Agent:
    """Return an agent with a position in each of these tokens."""
    agent = Agent.objects.create(owner=owner, name=f"agent {uuid4()}")
    wallet = Wallet.objects.create(agent=agent, address=f"W{agent.pk.hex}".replace("0", "z"))
    for token in tokens:
        open_position(wallet=wallet, token_address=token, tokens=Decimal(5), spent_sol=Decimal(1))
    return agent


def family_of(user: User, *, has_ended: bool = False) -> UUID:
    family_id = UUID(issue(user, lifetime=timedelta(minutes=5))["sid"])
    if has_ended:
        TokenFamily.objects.filter(pk=family_id).update(ended_at=timezone.now(), ended_because="revoked")
    return family_id


@pytest.fixture
def inactive(db: None) -> User:
    return User.objects.create(username="inactive", is_active=False)


def test_holdings_of_many_are_those_of_each_in_one_statement(
    alice, bob, inactive, django_assert_num_queries, monkeypatch
):
    monkeypatch.setattr(reading, "FEW", 2)
    reading._sql.cache_clear()
    mine, none, much = new_agent(alice, BONK, WIF), new_agent(alice), new_agent(alice, BONK, WIF, "W1f2")
    asked = [
        Asked(str(agent.pk), user.pk, family_id)
        for agent, user, family_id in [
            (mine, alice, None),
            (mine, bob, None),
            (new_agent(inactive, BONK), inactive, None),
            (none, alice, family_of(alice)),
            (much, alice, None),
            (mine, alice, family_of(alice, has_ended=True)),
            (mine, alice, family_of(alice)),  # an agent may be asked for twice
        ]
    ]
    asked.append(Asked(str(uuid4()), alice.pk, None))
    with django_assert_num_queries(1):
        found = read_few(asked)
    reading._sql.cache_clear()
    alone = [read_holdings(*each) for each in asked]
    assert isinstance(found[4], TooMany)
    assert alone[4] is not None
    assert len(alone[4].rows) == 3
    del found[4], alone[4]
    assert found == alone
    assert [None if held is None else (held.seq, len(held.rows)) for held in alone] == [
        (2, 2), None, None, (0, 0), None, (2, 2), None,
    ]  # fmt: skip


def test_snapshot_of_a_row_is_that_of_the_position(alice):
    agent = new_agent(alice, BONK, WIF)
    for position in Position.objects.filter(agent=agent, token_address=BONK):
        services.move_stop_loss(position_id=position.pk, percentage=Decimal(-5))
        with unguarded():
            Position.objects.filter(pk=position.pk).update(
                created_at=datetime(7, 12, 31, 23, 59, 59, 999_999, UTC),
                last_dca_time=datetime(2026, 1, 31, 12, tzinfo=UTC),
                dca_transaction_ids=["first", 7],
                realized_profit_sol=Decimal("-0.000000001"),
                moon_bag_amount=Decimal("1200"),
            )
    held = read_holdings(str(agent.pk), alice.pk)
    assert held is not None
    tokens = [*held.tokens()]
    positions = Position.objects.filter(agent=agent).order_by("created_at", "id")
    assert tokens == [(position.token_address, str(position.pk)) for position in positions]
    assert [*held.positions()] == [snapshot(position) for position in positions]


def test_many_are_admitted_as_each_alone(alice, bob, django_assert_num_queries):
    mine, his = new_agent(alice), new_agent(bob)

    def claims(user: User, **other: Any) -> dict[str, Any]:
        verified = AccessToken(access_token(user))  # type: ignore[arg-type]
        return {**verified.payload, **other}

    carol = User.objects.create(username="carol")
    inactive = claims(carol)
    User.objects.filter(pk=carol.pk).update(is_active=False)
    ended = claims(alice, sid=str(family_of(alice, has_ended=True)))
    newcomers = [
        Newcomer(claims(alice), mine.pk),
        Newcomer(claims(alice), his.pk),
        Newcomer(claims(bob), his.pk),
        Newcomer(ended, mine.pk),
        Newcomer(inactive, mine.pk),
        Newcomer(claims(bob, user_id=str(alice.pk)), mine.pk),
        Newcomer(claims(alice, sid="nonsense"), mine.pk),
        Newcomer(claims(alice), None),
        Newcomer(claims(alice), uuid4()),
    ]
    with django_assert_num_queries(2):
        found = admit(newcomers)
    alone = [admit([each])[0] for each in newcomers]

    def told(each: Any) -> Any:
        return str(each) if isinstance(each, Refused) else (each.identity.user, each.may_watch)

    assert [told(each) for each in found] == [told(each) for each in alone]
    dead, unknown = "The user is inactive.", "This token is not known here any more: log in again."
    assert [told(each) for each in found] == [
        (alice, True), (alice, False), (bob, True), "This session has ended: revoked.", dead, unknown,
        unknown, (alice, False), (alice, False),
    ]  # fmt: skip


def test_events_of_many_are_each_ones_own_and_unreadable_ones_are_missing(
    alice, bob, django_assert_num_queries
):
    mine, his = new_agent(alice, BONK), new_agent(bob, WIF)
    for agent in (mine, his):
        for percentage in (-5, -6, -7):
            position = Position.objects.get(agent=agent)
            services.move_stop_loss(position_id=position.pk, percentage=Decimal(percentage))
    services.close_position(
        position_id=Position.objects.get(agent=his).pk, proceeds_sol=Decimal(1), reason="test"
    )
    with unguarded(), connection.cursor() as cursor:
        cursor.execute("UPDATE positions_positionevent SET position = '7' WHERE seq = 3 AND agent_id = %s", [
            PositionEvent._meta.get_field("agent_id").get_db_prep_value(mine.pk, connection)
        ])  # fmt: skip
    gaps = [Gap(str(mine.pk), 1, 4), Gap(str(his.pk), 2, 5), Gap(str(his.pk), 0, 1), Gap(str(uuid4()), 0, 9)]
    with django_assert_num_queries(1):
        stored = read_events(gaps)
    found: list[list[EventMessage]] = [[] for _ in gaps]
    for gap, rows, events in zip(gaps, stored, found, strict=True):
        assert list(decoded(gap.agent_id, rows, events)) == [None] * len(rows)
    assert [[event.seq for event in events] for events in found] == [[2, 4], [3, 4, 5], [1], []]
    for gap, events in zip(gaps, found, strict=True):
        readable = PositionEvent.objects.filter(
            agent_id=gap.agent_id, seq__in=[event.seq for event in events]
        )
        assert events == [to_event(event) for event in readable.order_by("seq")]


async def heard(communicator: Communicator, count: int) -> list[Any]:
    """Return the types of so many messages, or of fewer and the code of the close."""
    types: list[Any] = []
    while len(types) < count or types[-1] in ("error", "closing"):
        message = await communicator.receive_output(PATIENCE_SECONDS)
        if message["type"] == "websocket.close":
            return [*types, message["code"]]
        types.append(json.loads(message["text"])["type"])
    return types


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", ["connected", "initial_data"]),
        ("&lastSeq=0", ["connected", "subscribed", "position_update", "position_update"]),
    ],
)
async def test_many_connect_at_once_and_only_the_one_whose_row_cannot_be_read_fails(
    hub, alice, query, expected
):
    agents = [await sync_to_async(new_agent)(alice, BONK, WIF) for _ in range(12)]

    @sync_to_async
    def damage() -> None:
        too_long = "[" + 5_000 * "1" + "]"  # Python converts at most 4,300 digits
        with unguarded(), connection.cursor() as cursor:
            cursor.execute(
                "UPDATE positions_position SET dca_transaction_ids = %s WHERE agent_id = %s",
                [too_long, Agent._meta.pk.get_db_prep_value(agents[7].pk, connection)],
            )

    await damage()
    token = await sync_to_async(access_token)(alice)
    sockets = [
        Communicator(websocket_application(), f"/ws?token={token}&agentId={agent.pk}{query}")
        for agent in agents
    ]
    await asyncio.gather(*(socket.connect(PATIENCE_SECONDS) for socket in sockets))
    outcomes = [await heard(socket, len(expected)) for socket in sockets]
    failed = outcomes.pop(7)
    assert failed == ["connected", "error", "closing", 1011]
    assert outcomes == [expected] * 11
    for socket in sockets:
        await socket.disconnect(timeout=PATIENCE_SECONDS)


async def test_many_leave_at_once_and_a_few_of_them_in_each_turn_of_the_event_loop(hub, alice):
    agents = [await sync_to_async(new_agent)(alice) for _ in range(5 * MOST)]
    token = await sync_to_async(access_token)(alice)
    sockets = [
        Communicator(websocket_application(), f"/ws?token={token}&agentId={agent.pk}") for agent in agents
    ]
    await asyncio.gather(*(socket.connect(PATIENCE_SECONDS) for socket in sockets))
    for socket in sockets:
        assert await heard(socket, 2) == ["connected", "initial_data"]
    served = get_hub()
    while served.turns.is_crowded:  # noqa: ASYNC110  every turn of the loop brings it nearer
        await asyncio.sleep(0)
    for socket in sockets:
        await socket.send_input({"type": "websocket.disconnect", "code": 1001})
    open_sockets = [len(served.shares.sockets)]
    while open_sockets[-1]:
        await asyncio.sleep(0)
        open_sockets.append(len(served.shares.sockets))
    left = [before - after for before, after in pairwise(open_sockets)]
    assert sum(left) == len(sockets)
    assert max(left) <= MOST
    for socket in sockets:
        await socket.wait(PATIENCE_SECONDS)
