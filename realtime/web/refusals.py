"""What anybody may ask for and nobody gets: a host that is not served, in debug mode a static file that is not there.

Django and ServeStatic raise for these, which makes a traceback in the log of each request, and in debug mode a page for
errors, for 2 s of CPU (2026-11-26). Here they are answered like other requests that are refused.
"""

from __future__ import annotations

import logging

from django.core.exceptions import DisallowedHost
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.middleware.security import SecurityMiddleware
from servestatic.middleware import ServeStaticMiddleware
from servestatic.responders import MissingFileError

from realtime.middleware import answering_first
from realtime.web.views import not_found

logger = logging.getLogger(__name__)


class StaticFiles(ServeStaticMiddleware):  # type: ignore[misc]
    """ServeStatic's own, with 404 for what is missing in debug mode as well."""

    async def __call__(self, request: HttpRequest) -> HttpResponseBase:
        try:
            answer: HttpResponseBase = await super().__call__(request)
        except MissingFileError:
            missing = not_found(request)
            missing["X-Frame-Options"] = "DENY"  # Django's middleware for it comes later
            return missing
        return answer


def _refusal(request: HttpRequest) -> HttpResponse | None:
    try:
        request.get_host()
    except DisallowedHost:
        logger.warning(
            "a request for the host %r was refused: it is not in NEXGENT_ALLOWED_HOSTS",
            request.META.get("HTTP_HOST", "")[:255],
        )
        text = "This host is not served here: NEXGENT_ALLOWED_HOSTS does not name it.\n"
        answer = HttpResponse(text, status=400, content_type="text/plain; charset=utf-8")
        answer["X-Frame-Options"] = "DENY"
        # Its other headers: it would ask for the host before.
        return SecurityMiddleware(lambda _: answer).process_response(request, answer)
    return None


known_hosts = answering_first(_refusal)
"""Refuse requests for hosts that are not in ALLOWED_HOSTS (middleware, before any that looks at the host)."""
