"""The page at `/`, an empty shell, the same for everyone; what it shows comes over REST and the socket. And the pages
that say that something is not there."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.template.loader import render_to_string
from django.views.decorators.csrf import ensure_csrf_cookie
from django.views.decorators.http import require_safe

# Nothing but this origin's own files and sockets; no inline script or style, and, where browsers know trusted
# types, no text that becomes HTML: symbols of tokens are whatever their makers wrote.
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
        "trusted-types nexgent-offline",  # for the address of the offline worker, and nothing else
    ]
)
# A worker loads under a policy of its own, and this one loads for pages.
WORKER_POLICY = "default-src 'none'; connect-src 'self'"


@require_safe
@ensure_csrf_cookie  # for the log-in: positions/accounts/session_views.py
def dashboard(request: HttpRequest) -> HttpResponse:
    """Show the dashboard. No query; it holds no one's data, so anyone may see it."""
    response = _protected(render(request, "realtime/dashboard.html"))
    # The shell names the current hashes of its files: an old one would ask for files that are gone.
    response["Cache-Control"] = "no-cache"
    return response


@require_safe
def offline(request: HttpRequest) -> HttpResponse:
    """What a browser that has been here shows when no server answers; kept by the worker."""
    return _protected(render(request, "offline.html"))


@require_safe
def offline_worker(request: HttpRequest) -> HttpResponse:
    """The service worker behind it: at the root, since a worker acts for pages below its own address."""
    response = render(request, "realtime/offline-worker.js", content_type="text/javascript")
    response["Content-Security-Policy"] = WORKER_POLICY
    response["Cache-Control"] = "no-cache"
    return response


def forbidden(
    request: HttpRequest, exception: Exception | None = None, reason: str | None = None
) -> HttpResponse:
    """Django's 403, and that of its CSRF check (CSRF_FAILURE_VIEW), outside debug mode."""
    return _protected(render(request, "403.html", status=403))


def not_found(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    return _protected(render(request, "404.html", status=404))


def server_error(request: HttpRequest) -> HttpResponse:
    """Say that something is broken: without the request, whose context may be what is."""
    return _protected(HttpResponse(render_to_string("500.html"), status=500))


def _protected(response: HttpResponse) -> HttpResponse:
    response["Content-Security-Policy"] = CONTENT_SECURITY_POLICY
    return response
