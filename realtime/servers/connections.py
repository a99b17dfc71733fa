"""Closes a request's connection to SQLite when the request ends.

SQLite's connections are kept (CONN_MAX_AGE), for the threads on which sockets query. But Django answers each request on
a thread of its own, so that nobody would use its connection again: it stayed open until garbage was collected, with its
cache of 1.4 MB and its files. 500 of them were open after some floods of requests (2026-11-26).
"""

from __future__ import annotations

import asyncio
from typing import Any

from django.core.signals import request_finished
from django.db import connections


def install() -> None:
    request_finished.connect(_close, dispatch_uid="realtime.servers.connections")


def _close(**kwargs: Any) -> None:
    # The end of a streamed answer, under Django's asynchronous test client: nobody queries in an event loop.
    if _is_in_event_loop():
        return
    for connection in connections.all(initialized_only=True):
        # Not within a transaction: a test may have one around its requests.
        if connection.vendor == "sqlite" and not connection.in_atomic_block:
            connection.close()


def _is_in_event_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
