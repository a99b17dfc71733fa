"""Sockets of one agent that start together are sent the same snapshot, encoded once, as long as nothing changes."""

from __future__ import annotations

import pytest
from asgiref.sync import sync_to_async

from realtime.hub import shared_snapshots
from realtime.hub.holdings import holdings
from realtime.hub.hub import get_hub
from realtime.hub.latest_prices import LatestPrices
from realtime.hub.shared_snapshots import SharedSnapshots
from realtime.protocol.price_envelopes import price_message
from realtime.socket.stream_content import build_snapshot
from realtime.testing.sockets import open_socket
from tests.conftest import quote
from tests.realtime.test_outbox import Connection, stream


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """However slow the machine is."""
    monkeypatch.setattr(shared_snapshots, "SECONDS", 600.0)


async def test_owner_and_watchers_share_a_snapshot_until_a_price_or_an_event_changes_it(
    hub, alice, agent, position
):
    hub = get_hub()
    await hub.fan_out.batch(price_message([quote(position.token_address, "0.5")]))
    async with (
        open_socket(alice, agent) as owner,
        open_socket(alice, agent, mode="watch") as first,
    ):
        assert first.raw == owner.raw  # its timestamp, too
        await hub.fan_out.batch(price_message([quote(position.token_address, "0.25")]))
        for socket in (owner, first):
            assert (await socket.expect("price_update_batch"))["data"]["updates"][0]["price"] is not None
        async with open_socket(alice, agent, mode="watch") as second:
            assert str(second.initial["positions"][0]["currentPrice"]) == "0.25"
        position.dca_count += 1
        await sync_to_async(position.save)()
        async with open_socket(alice, agent, mode="watch") as third:
            assert third.initial["seq"] == second.initial["seq"] + 1
            assert third.initial["positions"][0]["dcaCount"] == position.dca_count
            await hub.fan_out.batch(price_message([quote(position.token_address, "0.125")]))
            assert str((await third.until("price_update_batch"))["data"]["updates"][0]["price"]) == "0.125"


async def test_socket_that_is_gone_by_then_holds_nothing_of_a_shared_snapshot(hub, alice, agent, position):
    async with open_socket(alice, agent):
        hub = get_hub()
        gone = stream(Connection(), index=hub.index, max_unsent=100)
        gone.agent_id = str(agent.pk)
        gone.abandon()
        held = await holdings(gone.agent_id, alice.pk)
        assert held is not None
        await build_snapshot(hub, gone, held)
        assert gone not in hub.index.everyone()
        assert len(hub.index.everyone()) == 1


def test_only_small_and_new_snapshots_of_the_same_moment_are_found(monkeypatch):
    snapshots = SharedSnapshots(prices := LatestPrices())
    moment = snapshots.moment(7, is_compact=False)
    snapshots.keep("a", moment, b"snapshot")
    assert snapshots.find("a", moment) == b"snapshot"
    for other in (moment._replace(seq=8), moment._replace(is_compact=True), moment._replace(prices=1)):
        assert snapshots.find("a", other) is None
    assert snapshots.find("b", moment) is None
    prices.version += 1  # while one was made
    snapshots.keep("b", moment, b"old")
    assert snapshots.find("b", moment) is None
    moment = snapshots.moment(7, is_compact=False)
    snapshots.keep("c", moment, bytes(shared_snapshots.LARGEST_BYTES + 1))
    assert snapshots.find("c", moment) is None
    for number in range(shared_snapshots.MOST):
        snapshots.keep(str(number), moment, b"snapshot")
    assert snapshots.find("a", moment) is None
    assert snapshots.find("0", moment) == b"snapshot"
    monkeypatch.setattr(shared_snapshots, "SECONDS", -1.0)
    assert snapshots.find("0", moment) is None
