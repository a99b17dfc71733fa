"""An outage is logged in one line, not in a flood."""

from __future__ import annotations

import logging
import os
import subprocess
import sys

import pytest
from redis.exceptions import ConnectionError as Refused

from realtime.monitoring import outage_logs
from tests.live import PATIENCE_SECONDS, ROOT, database_url

CHANNEL_LAYER = logging.getLogger("channels_redis.pubsub")


def fail(text: str = "Connection refused.") -> None:
    """Log as channels_redis 4.3.0 does, every second while its server is away."""
    try:
        raise Refused(text)
    except Refused:
        CHANNEL_LAYER.exception("Unexpected exception in receive task")


@pytest.fixture
def clock(monkeypatch) -> list[float]:
    """The filter's clock, in seconds, and a filter that has seen no outage yet."""
    now = [1000.0]
    monkeypatch.setattr(outage_logs, "monotonic", lambda: now[0])
    monkeypatch.setattr(CHANNEL_LAYER, "filters", [outage_logs.OncePerOutage()])
    return now


def test_filter_is_in_place():
    assert [type(known) for known in CHANNEL_LAYER.filters] == [outage_logs.OncePerOutage]


def test_channel_layer_unavailable_is_one_line_without_traceback(caplog, clock):
    for _ in range(60):
        clock[0] += 1.0
        fail()
    (record,) = caplog.records
    assert record.getMessage() == "the channel layer's server is unavailable; retrying: Connection refused."
    assert record.levelname == "WARNING"
    assert record.exc_info is None
    assert "Traceback" not in caplog.text


def test_channel_layer_unavailable_a_second_time_is_a_line_again(caplog, clock):
    fail("first")
    clock[0] += 60.0
    fail("second")
    assert [record.getMessage().rsplit(" ", 1)[1] for record in caplog.records] == ["first", "second"]


def test_other_exceptions_of_the_channel_layer_keep_their_traceback(caplog, clock):
    for _ in range(2):
        try:
            raise KeyError("channel")
        except KeyError:
            CHANNEL_LAYER.exception("Unexpected exception in receive task")
    assert caplog.text.count("Traceback") == 2


@pytest.mark.django_db(transaction=True)
def test_writes_without_a_channel_layer_are_one_line(position, tmp_path):
    write = (
        "from positions import services; from decimal import Decimal;"
        f"[services.move_stop_loss(position_id='{position.pk}', percentage=Decimal(-n)) for n in range(1, 9)]"
    )
    redis_url = f"unix://{tmp_path}/nobody.sock"
    done = subprocess.run(
        [sys.executable, "manage.py", "shell", "-v", "0", "-c", write],
        env={**os.environ, "DATABASE_URL": database_url(), "REDIS_URL": redis_url},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=3 * PATIENCE_SECONDS,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("not sent, left to reconciliation") == 1, done.stderr
