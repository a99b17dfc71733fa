"""Django's middlewares, without threads for what never waits.

In a server Django takes a turn in a thread for each of a middleware's two steps, though most only look at headers: of
each request these 13 turns were 0.9 ms of CPU, a third of what reading an agent costs (2026-11-26). Here a step is done
in the event loop, unless it may read or write a session. The settings name Django's own, as its system checks and
synchronous servers want them; `in_loop` says what `nexgent.asgi` uses instead.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

from asgiref.sync import sync_to_async
from django.conf import settings
from django.contrib.auth.middleware import AuthenticationMiddleware
from django.contrib.messages.middleware import MessageMiddleware
from django.contrib.sessions.middleware import SessionMiddleware
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.middleware.clickjacking import XFrameOptionsMiddleware
from django.middleware.common import CommonMiddleware
from django.middleware.csrf import CsrfViewMiddleware
from django.middleware.security import SecurityMiddleware
from django.utils.deprecation import MiddlewareMixin


class InLoop(MiddlewareMixin):
    """A middleware whose `process_request` never waits."""

    def may_wait(self, request: HttpRequest) -> bool:
        """Return whether `process_response` may, for this request."""
        return False

    async def __acall__(self, request: HttpRequest) -> HttpResponseBase:
        step: Any = getattr(self, "process_request", None)
        response: Any = step(request) if step else None
        response = response or await self.get_response(request)  # type: ignore[misc]
        step = getattr(self, "process_response", None)
        if step and self.may_wait(request):
            response = await sync_to_async(step, thread_sensitive=True)(request, response)
        elif step:
            response = step(request, response)
        return cast("HttpResponseBase", response)


class Security(InLoop, SecurityMiddleware):
    pass


class Common(InLoop, CommonMiddleware):
    pass


class Authentication(InLoop, AuthenticationMiddleware):
    pass


class XFrameOptions(InLoop, XFrameOptionsMiddleware):
    pass


class Session(InLoop, SessionMiddleware):
    def may_wait(self, request: HttpRequest) -> bool:
        return request.session.modified or settings.SESSION_SAVE_EVERY_REQUEST


class Messages(InLoop, MessageMiddleware):
    def may_wait(self, request: HttpRequest) -> bool:
        stored: Any = getattr(request, "_messages", None)  # those that no cookie holds, in the session
        return stored is not None and (stored.used or stored.added_new)


class Csrf(InLoop, CsrfViewMiddleware):
    """Its secret is in a cookie. Only forms are read, which takes a while, and those are not of the API."""

    def __init__(self, get_response: Any) -> None:
        super().__init__(get_response)
        if self.async_mode:
            self._check = self.process_view
            self.process_view = self._process_view  # type: ignore[assignment]

    async def _process_view(self, request: HttpRequest, view: Any, *arguments: Any) -> Any:
        if getattr(view, "csrf_exempt", False) or request.method in ("GET", "HEAD"):
            return self._check(request, view, *arguments)
        return await sync_to_async(self._check, thread_sensitive=True)(request, view, *arguments)


_OWN = (Security, Common, Authentication, XFrameOptions, Session, Messages, Csrf)


def in_loop(middlewares: Sequence[str]) -> list[str]:
    """Return the middlewares, with those of this module instead of Django's."""
    instead = {}
    for own in _OWN:
        django_s = own.__bases__[1]
        instead[f"{django_s.__module__}.{django_s.__name__}"] = f"{own.__module__}.{own.__name__}"
    return [instead.get(path, path) for path in middlewares]
