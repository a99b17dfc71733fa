"""An outage is logged in one line, not in a flood."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.db import OperationalError
from redis.exceptions import ConnectionError as Refused

from realtime.monitoring import library_logs, outages
from testbed import forkserver
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
    """The filter's clock, in seconds, and filters that have seen no outage yet."""
    now = [1000.0]
    monkeypatch.setattr(outages, "monotonic", lambda: now[0])
    monkeypatch.setattr(CHANNEL_LAYER, "filters", [library_logs.WithoutTraceback(), outages.OncePerOutage()])
    return now


def test_filters_are_in_place():
    assert [type(known) for known in CHANNEL_LAYER.filters] == [
        library_logs.WithoutTraceback,
        outages.OncePerOutage,
    ]


def test_channel_layer_unavailable_is_one_line_without_traceback(caplog, clock):
    for _ in range(60):
        clock[0] += 1.0
        fail()
    (record,) = caplog.records
    assert record.getMessage() == "the channel layer's server is unavailable; retrying: Connection refused."
    assert record.levelname == "WARNING"
    assert record.exc_info is None
    assert "Traceback" not in caplog.text


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("pubsub connection not set: did you forget to call subscribe() or psubscribe()?"),
        AttributeError("'NoneType' object has no attribute 'read'"),
    ],
)
def test_connection_that_is_closed_while_it_is_read_is_part_of_the_outage(caplog, clock, error):
    for _ in range(2):
        try:
            raise error
        except (RuntimeError, AttributeError):
            CHANNEL_LAYER.exception("Unexpected exception in receive task")
    (record,) = caplog.records
    assert record.getMessage() == f"the channel layer's server is unavailable; retrying: {error}"


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
    done = forkserver.run(
        [sys.executable, "manage.py", "shell", "-v", "0", "-c", write],
        env={**os.environ, "DATABASE_URL": database_url(), "REDIS_URL": redis_url},
        cwd=ROOT,
        timeout=3 * PATIENCE_SECONDS,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("not sent, left to reconciliation") == 1, done.stderr


# Of all that a process logs


@pytest.fixture
def said(clock: list[float]) -> Iterator[Callable[..., list[str]]]:
    """Return what a handler with our filter writes of a call of a logger, a text each."""
    records: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: records.append(record.getMessage())  # type: ignore[method-assign]
    handler.addFilter(outages.OncePerOutage())
    loggers = [logging.getLogger(name) for name in ("realtime", "psycopg.pool", "django.request")]
    for logger in loggers:
        logger.addHandler(handler)

    def call(
        name: str, level: int, message: str, *arguments: object, after: float = 0.0, **extra: Any
    ) -> list[str]:
        clock[0] += after
        before = len(records)
        logging.getLogger(name).log(level, message, *arguments, extra=extra or None)
        return records[before:]

    yield call
    for logger in loggers:
        logger.removeHandler(handler)


def test_outage_that_every_part_notices_is_one_line_and_its_end_another(said):
    gone = OperationalError("connection refused")
    assert said("realtime.hub", logging.WARNING, "agent %s: %s", "a", gone) == ["agent a: connection refused"]
    assert said("realtime.hub", logging.WARNING, "agent %s: %s", "b", gone, after=5) == []
    assert said("psycopg.pool", logging.WARNING, "error connecting", after=5) == []
    assert said("django.request", logging.ERROR, "Service Unavailable", status_code=503) == []
    assert said("realtime", logging.WARNING, "not ready", outage="database") == []
    assert said("realtime", logging.INFO, "works again", outage="database") == ["works again"]
    assert said("realtime", logging.INFO, "works, too", outage="database") == []
    assert said("psycopg.pool", logging.WARNING, "error connecting, late", after=2) == []
    assert said("psycopg.pool", logging.WARNING, "error connecting anew", after=20) == [
        "error connecting anew"
    ]


def test_outages_of_two_kinds_are_a_line_each_and_other_warnings_and_bugs_are_all_said(said):
    assert said("realtime", logging.WARNING, "%s", OperationalError("database")) == ["database"]
    assert said("realtime", logging.WARNING, "%s", Refused("valkey")) == ["valkey"]
    for _ in range(2):
        assert said("realtime", logging.WARNING, "a login from %s is locked", "10.0.0.1") != []
        assert said("realtime", logging.ERROR, "%s", OperationalError("a bug's")) == ["a bug's"]
        assert said("django.request", logging.ERROR, "Internal Server Error", status_code=500) != []


def test_long_outage_is_named_again_every_ten_minutes(said):
    lines = [
        said("realtime", logging.WARNING, "%s", OperationalError(f"minute {n}"), after=30.0)
        for n in range(50)
    ]
    assert [text for texts in lines for text in texts] == ["minute 0", "minute 20", "minute 40"]
