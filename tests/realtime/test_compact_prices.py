"""Compact prices: a client that offers the subprotocol gets rows with numbers for tokens; nobody else notices."""

from __future__ import annotations

import itertools
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from websockets.typing import Subprotocol

from positions import services
from positions.models import Agent, Wallet
from positions.prices.quotes import Market
from realtime.hub.encoded_prices import PlainPrices
from realtime.hub.price_keys import PriceKeys
from realtime.protocol import compact, messages
from realtime.protocol.compact import SUBPROTOCOL
from realtime.protocol.price_envelopes import encoded
from realtime.publish.broadcast import broadcast_prices
from realtime.socket.routing import websocket_application
from realtime.testing.sockets import Communicator
from tests.conftest import BONK, WIF, fresh_token, quote
from tests.contract import check_from_server
from tests.live import PATIENCE_SECONDS, Server, access_token, client
from tests.realtime.test_resume import move

in_thread = sync_to_async


def update(key_of: dict[int, str], row: list[Any]) -> dict[str, Any]:
    """Return the update that a row stands for, as docs/protocol.md says."""
    found = {"tokenAddress": key_of[row[0]], "price": row[1], "priceUsd": row[2]}
    if len(row) > 3 and row[3] is not None:
        found["priceStatus"] = row[3]
    if len(row) > 4:
        found |= {"poolTokens": row[4], "poolSol": row[5]}
    return found


class Socket(Communicator):
    """A socket in this process that offers compact prices, and learns keys as a client does."""

    def __init__(self, user: Any, agent: Agent, subprotocols: list[str], query: str = "") -> None:
        path = f"/ws?token={access_token(user)}&agentId={agent.pk}{query}"
        super().__init__(websocket_application(), path, subprotocols=subprotocols)
        self.tokens: dict[int, str] = {}

    async def next(self) -> dict[str, Any]:
        message: dict[str, Any] = await self.receive_json_from(PATIENCE_SECONDS)
        check_from_server(message)
        data = message.get("data", {})
        for position in [*data.get("positions", ()), *filter(None, [data.get("position")])]:
            self.tokens[position["priceKey"]] = position["tokenAddress"]
        return message

    async def expect(self, kind: str) -> dict[str, Any]:
        message = await self.next()
        assert message["type"] == kind, message
        return message

    async def prices(self) -> list[dict[str, Any]]:
        return [update(self.tokens, row) for row in (await self.expect("prices"))["u"]]


@asynccontextmanager
async def opened(user: Any, agent: Agent, *subprotocols: str, query: str = "") -> AsyncIterator[Socket]:
    """Open a socket, by default with compact prices, and pass `connected`."""
    socket = Socket(user, agent, list(subprotocols) or [SUBPROTOCOL], query)
    accepted, subprotocol = await socket.connect(PATIENCE_SECONDS)
    assert (accepted, subprotocol) == (True, SUBPROTOCOL)
    await socket.expect("connected")
    yield socket
    await socket.disconnect(timeout=PATIENCE_SECONDS)


def buy(wallet: Wallet, token: str) -> Any:
    return services.open_position(
        wallet=wallet, token_address=token, token_symbol="X", tokens=Decimal(5), spent_sol=Decimal(1)
    )


async def test_keys_come_before_the_rows_that_use_them_and_rows_say_what_updates_say(
    hub,
    alice,
    agent,
    position,
):
    async with opened(alice, agent) as socket:
        await socket.expect("initial_data")
        assert list(socket.tokens.values()) == [BONK]
        await broadcast_prices([quote(BONK, "0.000000000000000123", "0.25")])
        (first,) = await socket.prices()
        assert (first["price"], first["priceUsd"]) == (1.23e-16, 0.25)
        assert first["priceStatus"] == "live"  # it had none before
        await in_thread(buy)(await Wallet.objects.aget(agent=agent), WIF)
        created = await socket.expect("position_update")
        assert set(socket.tokens.values()) == {BONK, WIF}
        assert created["data"]["position"]["priceKey"] in socket.tokens
        pool = Market("thin", Decimal(900), Decimal(3), Decimal("0.4"))
        await broadcast_prices([quote(BONK, "0.5"), replace(quote(WIF, "3.5"), market=pool)])
        bonk, wif = sorted(await socket.prices(), key=lambda each: each["price"])
        assert bonk == {"tokenAddress": BONK, "price": 0.5, "priceUsd": None}
        assert wif == {
            "tokenAddress": WIF,
            "price": 3.5,
            "priceUsd": None,
            "priceStatus": "thin",
            "poolTokens": 3,
            "poolSol": 0.4,
        }


async def test_plain_and_compact_sockets_of_one_agent_get_the_same_each_in_its_form(
    hub,
    alice,
    agent,
    position,
):
    plain = Socket(alice, agent, ["something.else.v1"])
    assert await plain.connect(PATIENCE_SECONDS) == (True, None)  # and it stands
    for kind in ("connected", "initial_data"):
        raw = await plain.receive_from(PATIENCE_SECONDS)
        assert raw.startswith(f'{{"type":"{kind}"')
        assert "priceKey" not in raw
    async with opened(alice, agent, "something.else.v1", SUBPROTOCOL, query="&mode=watch") as socket:
        await socket.expect("initial_data")
        await in_thread(move)(position, 5)
        sent = await plain.receive_from(PATIENCE_SECONDS)
        compacted = await socket.expect("position_update")
        del compacted["data"]["position"]["priceKey"]
        assert json.loads(sent) == compacted
        await broadcast_prices([quote(BONK, "0.25", "47.5")])
        (row,) = await socket.prices()
        batch = json.loads(await plain.receive_from(PATIENCE_SECONDS))
        assert batch["type"] == "price_update_batch"
        assert batch["data"]["updates"] == [row]
    await plain.disconnect(timeout=PATIENCE_SECONDS)


async def test_connection_that_resumes_gets_what_it_missed_and_then_the_keys(
    hub,
    alice,
    agent,
    position,
):
    await in_thread(move)(position, 5, 6)
    async with opened(alice, agent, query="&lastSeq=1") as socket:
        assert (await socket.expect("subscribed"))["data"]["recovered"]
        assert [(await socket.expect("position_update"))["data"]["seq"] for _ in range(2)] == [2, 3]
        assert (await socket.expect("initial_data"))["data"]["seq"] == 3
        await broadcast_prices([quote(BONK, "0.5")])
        assert (await socket.prices())[0]["price"] == 0.5
        # On a connection that has them all, what was missed is all that comes.
        await socket.send_to(json.dumps({"type": "subscribe", "agentId": str(agent.pk), "lastSeq": 2}))
        await socket.expect("subscribed")
        assert (await socket.expect("position_update"))["data"]["seq"] == 3
        assert (await socket.prices())[0]["price"] == 0.5
        other = await Agent.objects.acreate(owner=alice, name="beta")
        await in_thread(buy)(await Wallet.objects.acreate(agent=other, address="Beta1"), WIF)
        await socket.send_to(json.dumps({"type": "subscribe", "agentId": str(other.pk), "lastSeq": 1}))
        await socket.expect("subscribed")
        await socket.expect("initial_data")
        assert WIF in socket.tokens.values()


async def test_both_servers_accept_what_they_know_of_what_is_offered(server: Server, alice, agent, position):
    offers = {
        ("unknown.v1", SUBPROTOCOL): SUBPROTOCOL,
        ("unknown.v1", "nexgent.compact.v2"): None,
        (): None,
    }
    for offered, accepted in offers.items():
        subprotocols = [Subprotocol(each) for each in offered] or None
        async with client(
            server, token=access_token(alice), agent=agent, subprotocols=subprotocols
        ) as socket:
            assert socket.connection.subprotocol == accepted
            await socket.expect("connected")
            initial = await socket.expect("initial_data")
            assert ("priceKey" in initial["data"]["positions"][0]) == bool(accepted)
            await broadcast_prices([quote(BONK, f"0.{len(offered) + 1}")])
            await socket.expect("prices" if accepted else "price_update_batch")


# Rows and fragments

QUOTED = (
    '{"tokenAddress":"A","price":0.5,"priceUsd":null}',
    '{"tokenAddress":"A","price":0.000000000000000000000000000001,"priceUsd":90.10}',
    '{"tokenAddress":"A","price":0.5,"priceUsd":90,"priceStatus":"thin"}',
    '{"tokenAddress":"A","price":0.5,"priceUsd":91,"poolTokens":8,"poolSol":0.2}',
    '{"tokenAddress":"A","price":0.5,"priceUsd":92,"priceStatus":"gone","poolTokens":null,"poolSol":null}',
)


@pytest.mark.parametrize(("older", "newer"), list(itertools.product(QUOTED, QUOTED)))
def test_row_says_what_its_fragment_says_also_after_another_was_missed(older: str, newer: str):
    row = compact.row(7, newer)
    exact = json.JSONDecoder(parse_float=Decimal).decode
    assert update({7: "A"}, exact(row)) == exact(newer)
    both = messages.followed_by(older, newer)
    assert update({7: "A"}, exact(compact.row(7, both))) == exact(both)


def test_update_in_a_batch_of_ten_takes_at_most_45_bytes_and_a_third_of_the_plain_one():
    """Of the last of 300 tokens, with as many digits as real prices have."""
    keys, tokens = PriceKeys(), [fresh_token() for _ in range(300)]
    for token in tokens:
        keys.of(token)
    quotes = [quote(token, "0.01000123457", "1.8743143874") for token in tokens[-10:]]
    fragments = {each.token_address: encoded(each).fragment for each in quotes}
    rows, updates = keys.rows(fragments), PlainPrices(fragments, messages.now())
    text = rows.message([rows[token] for token in fragments])
    plain = updates.message([updates[token] for token in fragments])
    assert len(text) / 10 <= 45
    assert len(text) <= len(plain) / 3


def test_key_is_never_given_to_another_token():
    keys = PriceKeys()
    assert [keys.of(token) for token in (BONK, WIF, BONK)] == [1, 2, 1]
