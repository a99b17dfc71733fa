"""Liveness, readiness and the number of connections: for load balancers, supervisors and the seed's `/health`."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor

from channels.db import database_sync_to_async
from django.db import Error as DatabaseError
from django.db import connection
from django.http import HttpRequest, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from positions import valkey
from realtime.hub.hub import running_hub
from realtime.hub.presence import connection_count
from realtime.monitoring.tasks import OK

logger = logging.getLogger(__name__)

CHECK_SECONDS = 5.0
"""For one check, so that the answer comes soon even if the database hangs."""


@require_safe
@never_cache
def health(request: HttpRequest) -> JsonResponse:
    """Answer as the seed does: `{status, connectionCount}` of all processes together; 503 if something is wrong."""
    try:
        _check_database()
        return JsonResponse({"status": "healthy", "connectionCount": connection_count()})
    except (DatabaseError, *valkey.Unavailable) as error:
        logger.warning("unhealthy: %s", error)
        return JsonResponse({"status": "unhealthy"}, status=503)


@require_safe
@never_cache
def live(request: HttpRequest) -> JsonResponse:
    """Answer 200: the process serves requests and need not be restarted."""
    return JsonResponse({"status": "alive"})


@require_safe
@never_cache
async def ready(request: HttpRequest) -> JsonResponse:
    """Answer whether to send clients here: 200, or 503 and what is wrong.

    The hub's tasks are checks from the first socket on, which starts the hub.
    """
    hub = running_hub()
    checks = {
        "database": await _outcome("database", _select),
        "valkey": await _outcome("valkey", _ping),
        "server": "ending" if is_ending(request) else OK,
        **(hub.tasks.checks() if hub else {}),
    }
    is_ready = all(outcome == OK for outcome in checks.values())
    return JsonResponse(
        {"status": "ready" if is_ready else "not ready", "checks": checks}, status=200 if is_ready else 503
    )


def is_ending(request: HttpRequest) -> bool:
    """Return whether the process that serves this request is closing its sockets (realtime/servers/shutdown.py)."""
    scope = getattr(request, "scope", {})  # none outside ASGI
    return bool(scope.get("is_draining"))


def _check_database() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")


# On a thread of its own: it must not queue behind a thousand connects.
_thread = ThreadPoolExecutor(1, thread_name_prefix="readiness")
_select = database_sync_to_async(_check_database, thread_sensitive=False, executor=_thread)


async def _ping() -> None:
    await asyncio.to_thread(valkey.client().ping)


async def _outcome(name: str, check: Callable[[], Awaitable[None]]) -> str:
    try:
        async with asyncio.timeout(CHECK_SECONDS):
            await check()
    except (DatabaseError, *valkey.Unavailable) as error:
        logger.warning("not ready: %s: %s", name, str(error) or type(error).__name__)
        return "unavailable"  # the error is in the log only: it may name hosts
    return OK
