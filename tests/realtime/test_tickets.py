"""A socket opened with a ticket: once, as what the access token said that bought it."""

from __future__ import annotations

import asyncio
import json
import time
from datetime import UTC, datetime
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth.models import User
from django.test import Client

from positions import valkey
from positions.accounts import tickets
from positions.accounts.families import Ending, end
from positions.books.snapshots import timestamp
from positions.models import TokenFamily
from realtime.socket.routing import websocket_application
from realtime.testing.sockets import Communicator
from tests.contract import check_from_server
from tests.live import PATIENCE_SECONDS, access_token, client
from tests.waiting import eventually


@pytest.fixture
def buy(settings):
    """Return a ticket for an access token, which lasts for as long as a slow machine needs to use it."""
    settings.NEXGENT = {**settings.NEXGENT, "SOCKET_TICKET_SECONDS": 3600.0}

    @sync_to_async
    def ask(token: str) -> str:
        answer = Client(headers={"Authorization": f"Bearer {token}"}).post("/api/socket-ticket/")
        return str(answer.json()["ticket"])

    return ask


class Socket(Communicator):
    def __init__(self, query: str, **headers: str) -> None:
        sent = [(name.encode(), value.encode()) for name, value in headers.items()]
        super().__init__(websocket_application(), f"/ws?{query}", headers=sent)

    async def receive(self) -> dict[str, Any]:
        message: dict[str, Any] = json.loads(await self.receive_from(PATIENCE_SECONDS))
        check_from_server(message)
        return message

    async def begin(self) -> str:
        """Connect and disconnect again; return the first message's type, or the refusal's sentence and close."""
        await self.connect(PATIENCE_SECONDS)
        first = await self.receive()
        if first["type"] == "error":
            await self.receive()
            close = await self.receive_output(PATIENCE_SECONDS)
            first["type"] = f"{close['code']} {close['reason']}: {first['data']['message']}"
        await self.disconnect(timeout=PATIENCE_SECONDS)
        return str(first["type"])


pytestmark = pytest.mark.usefixtures("hub")
USED = "1008 Authentication failed: the ticket is unknown, expired or used: each opens one socket, once"


async def test_ticket_opens_a_socket_that_ends_with_its_token(alice, agent, position, buy):
    expires = int(time.time()) + 300
    ticket = await buy(access_token(alice, exp=expires))
    socket = Socket(f"ticket={ticket}&agentId={agent.pk}&lastSeq=1")
    await socket.connect(PATIENCE_SECONDS)
    connected = await socket.receive()
    assert connected["type"] == "connected"
    assert connected["data"]["tokenExpiresAt"] == timestamp(datetime.fromtimestamp(expires, UTC))
    assert (await socket.receive())["data"]["recovered"] is True
    newer = access_token(alice, exp=expires + 60)
    await socket.send_to(json.dumps({"type": "refresh", "data": {"token": newer}}))
    while (message := await socket.receive())["type"] != "refreshed":
        pass
    assert message["data"]["tokenExpiresAt"] == timestamp(datetime.fromtimestamp(expires + 60, UTC))
    await socket.disconnect(timeout=PATIENCE_SECONDS)


async def test_ticket_opens_one_socket_whichever_process_serves_it(
    shared_server, alice, agent, position, buy
):
    ticket = await buy(access_token(alice))
    query = {"ticket": ticket, "agentId": str(agent.pk)}
    async with client(shared_server("uvicorn"), query=query) as socket:
        await socket.expect("connected")
    assert await Socket(f"ticket={ticket}&agentId={agent.pk}").begin() == USED


async def test_ticket_of_two_sockets_at_once_opens_one(alice, agent, position, buy):
    ticket = await buy(access_token(alice))
    both = await asyncio.gather(*(Socket(f"ticket={ticket}&agentId={agent.pk}").begin() for _ in range(2)))
    assert sorted(both) == [USED, "connected"]


@pytest.mark.parametrize(
    "ticket", ["nonsense", "ticket_", "ticket_" + "A" * 32, "ticket_" + "A" * 5000, "%ff%00"]
)
async def test_made_up_ticket_opens_none(agent, ticket):
    assert await Socket(f"ticket={ticket}&agentId={agent.pk}").begin() == USED


async def test_expired_ticket_opens_none(alice, agent, buy, settings):
    settings.NEXGENT = {**settings.NEXGENT, "SOCKET_TICKET_SECONDS": 0.001}
    ticket = await buy(access_token(alice))

    async def is_gone() -> bool:
        return not await valkey.async_client().exists(tickets.key_of(ticket))

    await eventually(is_gone, "the ticket expires")
    assert await Socket(f"ticket={ticket}&agentId={agent.pk}").begin() == USED


@pytest.mark.parametrize("where", ["query", "header"])
async def test_ticket_and_token_together_are_refused_by_name(alice, agent, buy, where):
    token = access_token(alice)
    query = f"ticket={await buy(token)}&agentId={agent.pk}"
    socket = (
        Socket(f"{query}&token={token}")
        if where == "query"
        else Socket(query, authorization=f"Bearer {token}")
    )
    assert "not both" in await socket.begin()


async def test_ticket_of_a_user_who_was_deactivated_since_opens_none(alice, agent, buy):
    ticket = await buy(access_token(alice))
    await User.objects.filter(pk=alice.pk).aupdate(is_active=False)
    assert (await Socket(f"ticket={ticket}&agentId={agent.pk}").begin()).startswith(
        "1008 Authentication failed"
    )


async def test_ticket_of_a_login_that_has_ended_since_opens_none(alice, agent, buy):
    ticket = await buy(access_token(alice))
    await sync_to_async(end)(TokenFamily.objects.filter(user=alice), Ending.LOGGED_OUT)
    assert (await Socket(f"ticket={ticket}&agentId={agent.pk}").begin()).startswith(
        "1008 Authentication failed"
    )


async def test_ticket_of_a_read_only_token_watches(alice, agent, position, buy):
    ticket = await buy(access_token(alice, read_only=True))
    owner = Socket(f"token={access_token(alice)}&agentId={agent.pk}")
    await owner.connect(PATIENCE_SECONDS)
    assert [(await owner.receive())["type"] for _ in range(2)] == ["connected", "initial_data"]
    reader = Socket(f"ticket={ticket}&agentId={agent.pk}")
    await reader.connect(PATIENCE_SECONDS)
    assert (await reader.receive())["data"]["mode"] == "watch"
    await reader.disconnect(timeout=PATIENCE_SECONDS)
    await owner.send_to('{"type": "ping"}')
    assert (await owner.receive())["type"] == "pong"
    await owner.disconnect(timeout=PATIENCE_SECONDS)


async def test_ticket_that_somebody_wrote_into_redis_opens_none(alice, agent, buy):
    """What another ticket stands for, in the place of one that the writer knows."""
    theirs, own = await buy(access_token(alice)), "ticket_" + "A" * 32
    stored: Any = await valkey.async_client().get(tickets.key_of(theirs))
    await valkey.async_client().set(tickets.key_of(own), stored)
    assert await Socket(f"ticket={own}&agentId={agent.pk}").begin() == USED
    assert await Socket(f"ticket={theirs}&agentId={agent.pk}").begin() == "connected"


async def test_ticket_of_another_user_opens_no_agent(bob, agent, buy):
    ticket = await buy(access_token(bob))
    assert (await Socket(f"ticket={ticket}&agentId={agent.pk}").begin()).startswith("1008 Agent not found")


async def test_ticket_while_redis_is_unavailable_is_to_be_tried_again(alice, agent, buy, settings, tmp_path):
    ticket = await buy(access_token(alice))
    settings.NEXGENT = {**settings.NEXGENT, "REDIS_URL": f"unix://{tmp_path}/nobody-listens"}
    answer = await Socket(f"ticket={ticket}&agentId={agent.pk}").begin()
    assert answer.startswith("1013 Try again later")
