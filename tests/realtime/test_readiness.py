"""/health/ready says what would keep a client from connecting, getting a snapshot or hearing an event."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from asgiref.sync import sync_to_async
from django.contrib.staticfiles import storage
from django.db import connection
from django.test import AsyncClient

from positions import valkey
from positions.conf import conf
from positions.models import Agent
from tests.live import free_port


async def not_ready() -> tuple[int, dict[str, str]]:
    """Return the status of /health/ready, and what it says of each check that is not ok."""
    answer = await AsyncClient().get("/health/ready")
    return answer.status_code, {
        name: outcome for name, outcome in answer.json()["checks"].items() if outcome != "ok"
    }


@pytest.mark.parametrize(
    "break_it",
    [
        lambda: valkey.client().config_set("maxmemory", 1),
        lambda: valkey.client().replicaof("127.0.0.1", free_port()),
    ],
    ids=["full", "read-only"],
)
async def test_process_whose_valkey_takes_no_writes_is_not_ready(
    transactional_db, own_valkey, break_it: Callable[[], object]
):
    assert await not_ready() == (200, {})
    break_it()
    assert valkey.client().ping()
    assert await not_ready() == (503, {"valkey": "unavailable"})


async def test_process_whose_second_shard_is_down_is_not_ready(transactional_db, settings, tmp_path: Path):
    settings.NEXGENT = {**settings.NEXGENT, "REDIS_URLS": [conf.REDIS_URL, f"unix://{tmp_path}/nobody.sock"]}
    assert await not_ready() == (503, {"valkey 2": "unavailable"})


@pytest.mark.parametrize("table", ["positions_agent", "positions_positionevent", "positions_restore"])
async def test_process_without_a_table_is_not_ready(transactional_db, table: str):
    def rename(old: str, new: str) -> None:
        with connection.schema_editor() as editor:
            editor.alter_db_table(Agent, old, new)

    await sync_to_async(rename)(table, "moved")
    try:
        assert await not_ready() == (503, {"database": "unavailable"})
    finally:
        await sync_to_async(rename)("moved", table)
    assert await not_ready() == (200, {})


async def test_process_without_collected_static_files_is_not_ready(
    transactional_db, monkeypatch, settings, tmp_path: Path
):
    settings.STATIC_ROOT = tmp_path
    monkeypatch.setattr(
        "realtime.web.readiness.staticfiles_storage", storage.ManifestStaticFilesStorage(tmp_path)
    )
    assert await not_ready() == (503, {"static files": "collectstatic has not run"})
