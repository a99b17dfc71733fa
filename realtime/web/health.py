"""Is it alive, is it ready, how many are connected: for load balancers, supervisors and the seed's `/health`."""

from __future__ import annotations

import logging
from collections.abc import Callable

from django.db import connection
from django.http import HttpRequest, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from positions import valkey
from realtime.hub import database
from realtime.hub.presence import connection_count

logger = logging.getLogger(__name__)


@require_safe
@never_cache
def health(request: HttpRequest) -> JsonResponse:
    """The seed's answer: `{status, connectionCount}`, of all processes together; 503 where something is wrong."""
    try:
        _check_database()
        return JsonResponse({"status": "healthy", "connectionCount": connection_count()})
    except (*database.Unavailable, *valkey.Unavailable) as error:
        logger.warning("unhealthy: %s", error)
        return JsonResponse({"status": "unhealthy"}, status=503)


@require_safe
@never_cache
def live(request: HttpRequest) -> JsonResponse:
    """Answers as long as the process serves: no reason to restart it."""
    return JsonResponse({"status": "alive"})


@require_safe
@never_cache
def ready(request: HttpRequest) -> JsonResponse:
    """Says whether to send clients here: 200, or 503 and what is wrong."""
    checks = {
        "database": _outcome(_check_database),
        "valkey": _outcome(_check_valkey),
        "server": "ending" if is_ending(request) else "ok",
    }
    is_ready = all(outcome == "ok" for outcome in checks.values())
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


def _check_valkey() -> None:
    valkey.client().ping()


def _outcome(check: Callable[[], None]) -> str:
    try:
        check()
    except (*database.Unavailable, *valkey.Unavailable) as error:
        logger.warning("not ready: %s: %s", check.__name__, error)
        return "unavailable"  # why is in the log: it may name hosts
    return "ok"
