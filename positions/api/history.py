"""The views of history."""

from __future__ import annotations

from django.http import Http404
from rest_framework.request import Request
from rest_framework.response import Response

from positions.api import operations
from positions.api.rules import Rules
from positions.api.spans import span_of
from positions.api.wire_history import candles_on_rest
from positions.history.reading import candles, has_held
from positions.prices.quotes import WRAPPED_SOL


class CandlesView(Rules):
    """The candles of a token that one of the caller's agents holds or held, and of wrapped SOL."""

    @operations.candles
    def get(self, request: Request, token: str) -> Response:
        if token != WRAPPED_SOL and not has_held(request.user.pk, token):
            raise Http404
        span = span_of(request)
        found, more = candles(token, span)
        return Response(candles_on_rest(token, span.interval, found, more=more))
