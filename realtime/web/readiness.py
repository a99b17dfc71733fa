"""Whether a client could connect to this process now, get a snapshot and hear an event: the checks of /health/ready.

Each does what a connect needs, since a server that is full or has become a read-only replica answers pings. They run
side by side, all within CHECK_SECONDS.
"""

from __future__ import annotations

import asyncio
import functools
import logging
import uuid
from collections.abc import Awaitable
from concurrent.futures import ThreadPoolExecutor

import redis
from channels.db import database_sync_to_async
from django.contrib.staticfiles.storage import staticfiles_storage
from django.db import DatabaseError
from redis.backoff import NoBackoff
from redis.retry import Retry

from positions import valkey
from positions.deadlines import deadline
from positions.models.restores import epoch
from realtime.hub.holdings import read_holdings
from realtime.hub.hub import running_hub
from realtime.hub.missed import Gap, read_events
from realtime.monitoring import outages
from realtime.monitoring.outages import Kind
from realtime.monitoring.tasks import OK

logger = logging.getLogger(__name__)

CHECK_SECONDS = 0.8
UNAVAILABLE = "unavailable"

# Threads of their own: a check must not queue behind a thousand connects, nor connects behind a check that hangs.
_database_thread = ThreadPoolExecutor(1, thread_name_prefix="readiness")
_valkey_threads = ThreadPoolExecutor(4, thread_name_prefix="readiness")


async def checks() -> dict[str, str]:
    """Return, by name, `ok` or what is wrong. The hub's tasks are among them once a first socket has started it."""
    urls = valkey.urls()
    loop = asyncio.get_running_loop()
    names = ["database", "valkey", *(f"valkey {number}" for number in range(2, len(urls) + 1))]
    outcomes = await asyncio.gather(
        _outcome(
            "database", database_sync_to_async(_read, thread_sensitive=False, executor=_database_thread)()
        ),
        *(
            _outcome(name, loop.run_in_executor(_valkey_threads, _write, url))
            for name, url in zip(names[1:], urls, strict=True)
        ),
    )
    hub = running_hub()
    return {
        **dict(zip(names, outcomes, strict=True)),
        "static files": _static_files(),
        **(hub.tasks.checks() if hub else {}),
    }


def _read() -> None:
    """Read what a connect and a resume read, of an agent that does not exist: the tables and columns are there."""
    agent_id = str(uuid.uuid4())
    with deadline(CHECK_SECONDS):  # else the thread would wait on, and so would the next checks
        read_holdings(agent_id, 0, uuid.uuid4())
        read_events([Gap(agent_id, 0, 1)])
        epoch()


def _write(url: str) -> None:
    _client(url).set(f"{valkey.KEY_PREFIX}ready", "1", ex=60)


@functools.cache
def _client(url: str) -> redis.Redis:
    # Without retries: the answer is wanted now, and the next check connects anew.
    return redis.Redis.from_url(
        url,
        socket_connect_timeout=CHECK_SECONDS,
        socket_timeout=CHECK_SECONDS,
        retry=Retry(NoBackoff(), 0),
        retry_on_error=[redis.ReadOnlyError],
    )


def _static_files() -> str:
    """Return whether pages can name their files, whose hashes `collectstatic` writes into a manifest."""
    return OK if getattr(staticfiles_storage, "hashed_files", True) else "collectstatic has not run"


async def _outcome(name: str, check: Awaitable[None]) -> str:
    try:
        async with asyncio.timeout(CHECK_SECONDS):
            await check
    except (DatabaseError, *valkey.Unavailable) as error:
        kind: Kind = "database" if name == "database" else "valkey"
        logger.warning(
            "not ready: %s: %s", name, str(error) or type(error).__name__, extra=outages.field(kind)
        )
        return UNAVAILABLE  # the error is in the log only: it may name hosts
    return OK
