"""The page at `/` and at the addresses of agents and positions, and the error pages.

The page is the same for everyone: its data comes over REST and the socket.
"""

from __future__ import annotations

import logging
import sys

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.template.loader import render_to_string
from django.utils.deprecation import MiddlewareMixin
from django.views.decorators.csrf import ensure_csrf_cookie
from django.views.decorators.http import require_safe

from positions.errors import is_outage, retry_after_seconds
from realtime.conf import conf

logger = logging.getLogger(__name__)

# Only this origin's files and sockets; no inline script or style, and, in browsers with trusted types, no text that
# becomes HTML: token symbols contain whatever their makers chose.
CONTENT_SECURITY_POLICY = "; ".join(
    [
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self'",
        "connect-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
        "trusted-types nexgent-offline",  # for the address of the offline worker only
    ]
)
# A worker has a policy of its own; this one makes requests for pages.
WORKER_POLICY = "default-src 'none'; connect-src 'self'"


@require_safe
@ensure_csrf_cookie  # for logging in: positions/accounts/session_views.py
def dashboard(request: HttpRequest, **named: str) -> HttpResponse:
    """Show the dashboard, whatever its address has `named`. No query; it has nobody's data, so anyone may see it."""
    page = render(request, "realtime/dashboard.html", {"stale_after_seconds": conf.PRICE_STALE_SECONDS})
    response = _with_policy(page)
    # The shell names its files by their current hashes: an old one would request files that no longer exist.
    response["Cache-Control"] = "no-cache"
    return response


@require_safe
def offline(request: HttpRequest) -> HttpResponse:
    """Shown by the worker, which caches it, when the server cannot be reached."""
    return _with_policy(render(request, "realtime/offline.html"))


@require_safe
def offline_worker(request: HttpRequest) -> HttpResponse:
    """The service worker for it, at the root: a worker handles pages below its own path."""
    response = render(request, "realtime/offline-worker.js", content_type="text/javascript")
    response["Content-Security-Policy"] = WORKER_POLICY
    response["Cache-Control"] = "no-cache"
    return response


def forbidden(
    request: HttpRequest, exception: Exception | None = None, reason: str | None = None
) -> HttpResponse:
    """403 of Django and of its CSRF check (CSRF_FAILURE_VIEW), outside debug mode."""
    return _with_policy(render(request, "403.html", status=403))


def not_found(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    return _with_policy(render(request, "404.html", status=404))


def server_error(request: HttpRequest) -> HttpResponse:
    """500, rendered without the request, since its context may be what failed. 503 where that is the database."""
    if is_outage(sys.exc_info()[1]):  # raised outside a view: saving the session, say
        return unavailable(request)
    return _with_policy(HttpResponse(render_to_string("500.html"), status=500))


def unavailable(request: HttpRequest) -> HttpResponse:
    """503, while the database is unavailable."""
    response = _with_policy(HttpResponse(render_to_string("realtime/503.html"), status=503))
    response["Retry-After"] = str(retry_after_seconds())
    return response


class DatabaseOutages(MiddlewareMixin):
    """Answers 503 where a view, the admin's for one, fails because of the database. (REST: positions/api/errors.py.)"""

    def process_exception(self, request: HttpRequest, error: Exception) -> HttpResponse | None:
        if not is_outage(error):
            return None
        logger.warning("%s %r: the database is unavailable: %s", request.method, request.path, error)
        return unavailable(request)


def _with_policy(response: HttpResponse) -> HttpResponse:
    response["Content-Security-Policy"] = CONTENT_SECURITY_POLICY
    return response
