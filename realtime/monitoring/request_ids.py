"""Every request has an id: the proxy's X-Request-ID, or a new one. The response and its log lines have it.

The outermost of our middleware, so it also counts how long answers take, by status.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Awaitable, Callable
from time import perf_counter
from typing import Any

from asgiref.sync import iscoroutinefunction
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils.decorators import sync_and_async_middleware

from realtime.monitoring.log_lines import request_id
from realtime.monitoring.metrics import counts

HEADER = "X-Request-ID"
# Matches nginx's $request_id, UUIDs and the ids of other tracers. Nothing else may get into our logs.
_VALID = re.compile(r"[\w.-]{8,64}\Z", re.ASCII)

GetResponse = Callable[[HttpRequest], Any]


@sync_and_async_middleware
def request_ids(
    get_response: GetResponse,
) -> GetResponse | Callable[[HttpRequest], Awaitable[HttpResponseBase]]:
    if iscoroutinefunction(get_response):

        async def respond_async(request: HttpRequest) -> HttpResponseBase:
            token, started = request_id.set(_id_of(request)), perf_counter()
            try:
                return _counted(await get_response(request), started)
            finally:
                request_id.reset(token)

        return respond_async

    def respond(request: HttpRequest) -> HttpResponseBase:
        token, started = request_id.set(_id_of(request)), perf_counter()
        try:
            return _counted(get_response(request), started)
        finally:
            request_id.reset(token)

    return respond


def _id_of(request: HttpRequest) -> str:
    given = request.headers.get(HEADER, "")
    return given if _VALID.match(given) else uuid.uuid4().hex


def _counted(response: HttpResponseBase, started: float) -> HttpResponseBase:
    counts.http(response.status_code, perf_counter() - started)
    response.headers[HEADER] = request_id.get()
    return response
