"""Concurrent writers, each with its own database connection."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

import pytest
from django.db import connection, connections

from testbed.processes import PATIENCE_SECONDS

R = TypeVar("R")


def on_own_connection(function: Callable[[], R]) -> R:
    try:
        return function()
    finally:
        connections.close_all()


def at_once(*functions: Callable[[], R]) -> list[R]:
    """Run the functions at the same time; return their results, or raise the first one's error."""
    start = threading.Barrier(len(functions))

    def run(function: Callable[[], R]) -> R:
        start.wait(PATIENCE_SECONDS)
        return on_own_connection(function)

    with ThreadPoolExecutor(len(functions)) as pool:
        futures = [pool.submit(run, function) for function in functions]
        return [future.result(PATIENCE_SECONDS) for future in futures]


def is_blocked() -> bool:
    """Return whether a connection to the test's database waits for a lock."""
    question = """
        SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_stat_clear_snapshot()")
        cursor.execute(question)
        (blocked,) = cursor.fetchone()
    return bool(blocked)


def wait_until_blocked(future: Future[R]) -> None:
    """Return when a connection to the test's database waits for a lock; fail where `future` ends before."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        if is_blocked():
            return
        assert not future.done(), "it did not wait"
    pytest.fail("no query waits for a lock")
