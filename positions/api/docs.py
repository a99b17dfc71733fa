"""Swagger UI at /api/docs/, served from this server's own files."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

# Only this origin's files; nothing is sent elsewhere. Swagger UI's stylesheet contains its icons as data. It sets no
# inline style (sidecar 2026.10.1; checked in a browser on 2026-11-25, executing an operation).
CONTENT_SECURITY_POLICY = "; ".join(
    [
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data:",
        "connect-src 'self'",
        "form-action 'none'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    ]
)


@require_safe
def docs(request: HttpRequest) -> HttpResponse:
    """Show the page. No query; anyone may see it, as they may see the document that it shows."""
    response = render(request, "positions/api_docs.html")
    response["Content-Security-Policy"] = CONTENT_SECURITY_POLICY
    response["Cache-Control"] = "no-cache"  # it names the current hashes of its files
    return response
