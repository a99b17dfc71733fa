"""What several of our middlewares for Django share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from asgiref.sync import iscoroutinefunction
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils.decorators import sync_and_async_middleware


def answering_first(answer: Callable[[HttpRequest], HttpResponseBase | None]) -> Callable[[Any], Any]:
    """Return a middleware that gives `answer`'s answer to a request, and passes on those for which it has none."""

    @sync_and_async_middleware
    def middleware(get_response: Any) -> Any:
        if iscoroutinefunction(get_response):

            async def respond_async(request: HttpRequest) -> HttpResponseBase:
                return answer(request) or await get_response(request)

            return respond_async

        def respond(request: HttpRequest) -> HttpResponseBase:
            return answer(request) or get_response(request)

        return respond

    return middleware
