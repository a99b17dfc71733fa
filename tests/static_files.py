"""How servers of the tests serve static files."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from asgiref.sync import markcoroutinefunction
from django.http import HttpRequest
from django.http.response import HttpResponseBase

from realtime.web.refusals import StaticFiles


class StaticFilesWhenAsked:
    """Looks for the files once one is asked for: 40 ms of CPU that most of the servers here never need."""

    async_capable = True
    sync_capable = False

    def __init__(self, get_response: Callable[[HttpRequest], Awaitable[HttpResponseBase]]) -> None:
        markcoroutinefunction(self)
        self._get_response = get_response
        self._files: StaticFiles | None = None

    async def __call__(self, request: HttpRequest) -> HttpResponseBase:
        if "/static/" not in request.path:
            return await self._get_response(request)
        if self._files is None:
            self._files = StaticFiles(self._get_response)
        return await self._files(request)
