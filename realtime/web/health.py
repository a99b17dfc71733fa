"""Liveness, readiness and the number of connections: for load balancers, supervisors and the seed's `/health`."""

from __future__ import annotations

import logging

from django.db import Error as DatabaseError
from django.db import connection
from django.http import HttpRequest, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from positions import valkey
from realtime.hub.presence import connection_count
from realtime.monitoring.tasks import OK
from realtime.web.readiness import checks

logger = logging.getLogger(__name__)


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
    """Answer whether to send clients here: 200, or 503 and what is wrong."""
    outcomes = {**await checks(), "server": "ending" if is_ending(request) else OK}
    is_ready = all(outcome == OK for outcome in outcomes.values())
    return JsonResponse(
        {"status": "ready" if is_ready else "not ready", "checks": outcomes}, status=200 if is_ready else 503
    )


def is_ending(request: HttpRequest) -> bool:
    """Return whether the process that serves this request is closing its sockets (realtime/servers/shutdown.py)."""
    scope = getattr(request, "scope", {})  # none outside ASGI
    return bool(scope.get("is_draining"))


def _check_database() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
