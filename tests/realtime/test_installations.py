"""Two installations on one Redis or Valkey: nothing of one reaches the sockets of the other."""

from __future__ import annotations

from pathlib import Path

from asgiref.sync import sync_to_async
from channels.layers import get_channel_layer

from positions import valkey
from positions.installations import HOLDER_KEY
from positions.prices.lease import FeedLease
from realtime.protocol.messages import PRICES_GROUP
from realtime.protocol.price_envelopes import price_message
from realtime.publish.broadcast import broadcast_prices
from tests.conftest import BONK, quote
from tests.live import Client, Server, access_token, client, http, watching


async def test_prices_in_another_database_of_the_same_server_are_not_heard(
    shared_server, transactional_db, alice, agent, position
):
    """Pub/Sub knows no database numbers."""
    production = shared_server("daphne")
    staging = shared_server("daphne", REDIS_URL=f"{production.environment['REDIS_URL']}?db=1")
    async with watching(staging, alice, agent) as there, watching(production, alice, agent) as here:
        await broadcast_prices([quote(BONK, "0.000003")])
        [update] = (await here.until("price_update_batch"))["data"]["updates"]
        await there.send(type="ping")
        assert (update["tokenAddress"], (await there.receive())["type"]) == (BONK, "pong")


async def test_messages_of_another_installation_are_skipped_and_named_once(server, alice, agent, position):
    layer = get_channel_layer()
    async with watching(server, alice, agent) as socket:
        await broadcast_prices([quote(BONK, "0.000003")])
        assert await price(socket) == 0.000003
        for _ in range(2):
            foreign = price_message([quote(BONK, "0.5")]) | {"installation": "staging"}
            await layer.group_send(PRICES_GROUP, foreign)
        await broadcast_prices([quote(BONK, "0.000004")])
        assert await price(socket) == 0.000004
    assert server.log.read_text().count("messages of another installation (staging) are skipped") == 1


async def price(socket: Client) -> object:
    [update] = (await socket.until("price_update_batch"))["data"]["updates"]
    return update["price"]


async def test_server_and_feed_refuse_a_prefix_that_another_installation_holds(
    transactional_db, alice, agent, position, tmp_path: Path
):
    await valkey.async_client().set(HOLDER_KEY, "production")
    with Server("daphne", log=tmp_path / "log") as staging:
        async with client(staging, token=access_token(alice), agent=agent) as socket:
            assert (await socket.closed())[:2] == (1013, "Try again later")
        ready = await sync_to_async(http.get)(f"{staging.url}/health/ready")
        assert (ready.status_code, ready.json()["checks"]["listener"]) == (503, "not working")
        assert "another installation uses the prefix 'nexgent' there" in staging.log.read_text()
    why = await FeedLease()._try()
    assert why is not None
    assert why.startswith("No prices are broadcast: another installation uses the prefix 'nexgent' there")
