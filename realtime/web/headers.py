"""Security headers of every response, in addition to those of Django's SecurityMiddleware.

A header that a view has set stays (realtime/web/views.py).
"""

from __future__ import annotations

from django.conf import settings
from django.http import HttpRequest
from django.http.response import HttpResponseBase

from realtime.paths import API, below_base
from realtime.web.in_loop import InLoop

# For pages, which are the admin's: this origin's files, no inline script. Its icons are data: URLs.
PAGE_POLICY = (
    "default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none'; form-action 'self';"
    " frame-ancestors 'none'"
)
# For everything else, which is data: opened in a browser, it may load nothing.
DATA_POLICY = "default-src 'none'; frame-ancestors 'none'"
PERMISSIONS = "camera=(), geolocation=(), microphone=(), payment=(), usb=()"


class SecurityHeaders(InLoop):
    def process_response(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        is_page = response.headers.get("Content-Type", "").startswith("text/html")
        # Django's error pages in debug mode have inline scripts and styles.
        if not (settings.DEBUG and is_page and response.status_code >= 400):
            response.headers.setdefault("Content-Security-Policy", PAGE_POLICY if is_page else DATA_POLICY)
        response.headers.setdefault("Permissions-Policy", PERMISSIONS)
        response.headers.setdefault("Cross-Origin-Resource-Policy", "same-origin")
        if (below_base(request.path_info) or "").startswith(API):
            # Tokens and personal data: not for caches.
            response.headers.setdefault("Cache-Control", "no-store")
        return response
