"""The page at `/`: an empty shell, the same for everyone. What it shows comes over REST and the socket."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
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
    ]
)


@require_safe
@ensure_csrf_cookie  # for the log-in: realtime/session_views.py
def dashboard(request: HttpRequest) -> HttpResponse:
    """Show the dashboard. No query; it holds no one's data, so anyone may see it."""
    response = render(request, "realtime/dashboard.html")
    response["Content-Security-Policy"] = CONTENT_SECURITY_POLICY
    # The shell names the current hashes of its files: an old one would ask for files that are gone.
    response["Cache-Control"] = "no-cache"
    return response
