"""What a write and a round of prices cost the channel layer, and what happens if it is unavailable."""

from __future__ import annotations

import os
import subprocess
import sys
from decimal import Decimal

import pytest
from asgiref.sync import async_to_sync

from positions import services, valkey
from positions.models import PositionEvent
from realtime.publish import broadcast
from tests.conftest import BONK, WIF, quote
from tests.live import PATIENCE_SECONDS, ROOT, database_url, watching


def published() -> int:
    """Return how many messages this Valkey has been given so far."""
    return int(valkey.client().info("commandstats").get("cmdstat_publish", {"calls": 0})["calls"])


@pytest.mark.django_db(transaction=True)
def test_many_writes_of_a_process_share_one_set_of_connections(position):
    services.move_stop_loss(position_id=position.pk, percentage=Decimal(-1))
    assert broadcast.flush(PATIENCE_SECONDS)
    connections = len(valkey.client().client_list())
    for percentage in range(2, 60):
        services.move_stop_loss(position_id=position.pk, percentage=Decimal(-percentage))
    assert broadcast.flush(PATIENCE_SECONDS)
    assert len(valkey.client().client_list()) == connections


@pytest.mark.django_db(transaction=True)
def test_events_are_published_once_each(position):
    assert broadcast.flush(PATIENCE_SECONDS)
    before = published()
    for percentage in range(1, 11):
        services.move_stop_loss(position_id=position.pk, percentage=Decimal(-percentage))
    assert broadcast.flush(PATIENCE_SECONDS)
    assert published() == before + 10


async def test_round_of_prices_is_one_message_however_many_watch(
    daphne_server, uvicorn_server, transactional_db, alice, agent, position
):
    async with watching(daphne_server, alice, agent) as socket:
        before = published()
        await broadcast.broadcast_prices(
            [quote(BONK, "0.5"), *(quote(f"{WIF[:-1]}{n}", "1") for n in range(1, 9))]
        )
        await socket.expect("price_update_batch")
        assert published() == before + 1


def test_round_without_changes_sends_nothing():
    before = published()
    async_to_sync(broadcast.broadcast_prices)([])
    assert published() == before


@pytest.mark.django_db(transaction=True)
def test_write_without_a_channel_layer_succeeds_and_keeps_its_event(position, tmp_path):
    write = (
        "from positions import services; from decimal import Decimal;"
        f"services.move_stop_loss(position_id='{position.pk}', percentage=Decimal(-7)); print('written')"
    )
    environment = {
        **os.environ,
        "DATABASE_URL": database_url(),
        "REDIS_URL": f"unix://{tmp_path}/nobody.sock",
    }
    done = subprocess.run(
        [sys.executable, "manage.py", "shell", "-v", "0", "-c", write],
        env=environment,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=3 * PATIENCE_SECONDS,
    )
    assert (done.returncode, done.stdout) == (0, "written\n"), done.stderr
    assert f"events of agent {position.agent_id} not sent, left to reconciliation" in done.stderr
    assert "Traceback" not in done.stderr
    kept = PositionEvent.objects.get(seq=2).position
    assert kept is not None
    assert kept["current_stop_loss_percentage"] == "-7"
