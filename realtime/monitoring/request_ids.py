"""Every request has an id: the proxy's X-Request-ID, or one of ours. It is in the answer and in each log line of it."""

from __future__ import annotations

import re
import uuid
from collections.abc import Awaitable, Callable
from typing import Any

from asgiref.sync import iscoroutinefunction
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils.decorators import sync_and_async_middleware

from realtime.monitoring.log_lines import request_id

HEADER = "X-Request-ID"
# What nginx's $request_id, a UUID or another tracer's id looks like; anything else is not written into our logs.
_SANE = re.compile(r"[\w.-]{8,64}\Z", re.ASCII)

Answer = Callable[[HttpRequest], Any]


@sync_and_async_middleware
def request_ids(get_response: Answer) -> Answer | Callable[[HttpRequest], Awaitable[HttpResponseBase]]:
    if iscoroutinefunction(get_response):

        async def answer_async(request: HttpRequest) -> HttpResponseBase:
            token = request_id.set(_id_of(request))
            try:
                return _signed(await get_response(request))
            finally:
                request_id.reset(token)

        return answer_async

    def answer(request: HttpRequest) -> HttpResponseBase:
        token = request_id.set(_id_of(request))
        try:
            return _signed(get_response(request))
        finally:
            request_id.reset(token)

    return answer


def _id_of(request: HttpRequest) -> str:
    given = request.headers.get(HEADER, "")
    return given if _SANE.match(given) else uuid.uuid4().hex


def _signed(response: HttpResponseBase) -> HttpResponseBase:
    response.headers[HEADER] = request_id.get()
    return response
