"""Where tokens come from: a login, or a refresh token, which is good for one use.

Requests are throttled by address; failed logins lock their name and address (positions/logins.py).
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator
from typing import Any

from django.conf import settings
from rest_framework import status
from rest_framework.exceptions import AuthenticationFailed, Throttled
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.throttling import BaseThrottle
from rest_framework.views import APIView
from rest_framework_simplejwt.exceptions import TokenError
from rest_framework_simplejwt.tokens import RefreshToken
from rest_framework_simplejwt.views import TokenObtainPairView, TokenRefreshView

from positions import logins, valkey
from positions.api import operations
from positions.api.serializers import RefreshBody, RevokeBody, TokenBody
from positions.logins import client_address, locked_seconds

WINDOW_SECONDS = 60.0


class LockedOut(Throttled):
    default_detail = "Too many failed logins."
    extra_detail_singular = extra_detail_plural = "Try again in {wait} seconds."


class TokenThrottle(BaseThrottle):
    """So many requests a minute from one address, over all processes."""

    _wait = 0.0

    def allow_request(self, request: Request, view: APIView) -> bool:
        limit: int = settings.LOGINS["TOKEN_REQUESTS_PER_MINUTE"]
        key = f"{valkey.KEY_PREFIX}attempts:requests:{client_address(request)}"
        self._wait = logins.attempts.take({key: limit}, window_seconds=WINDOW_SECONDS)
        return not self._wait

    def wait(self) -> float:
        return math.ceil(self._wait)


@contextlib.contextmanager
def saying_when_locked(request: Request) -> Iterator[None]:
    """Let a log-in that fails because too many have failed answer 429, and when to try again."""
    try:
        yield
    except AuthenticationFailed:
        if wait := locked_seconds(request):
            raise LockedOut(wait) from None
        raise


class TokenView(TokenObtainPairView):
    serializer_class = TokenBody
    throttle_classes = [TokenThrottle]

    @operations.token
    def post(self, request: Request, *args: object, **kwargs: object) -> Response:
        with saying_when_locked(request):
            return super().post(request, *args, **kwargs)


class RefreshView(TokenRefreshView):
    serializer_class = RefreshBody
    throttle_classes = [TokenThrottle]

    @operations.token_refresh
    def post(self, request: Request, *args: object, **kwargs: object) -> Response:
        return super().post(request, *args, **kwargs)


class RevokeView(APIView):
    """Log out: the refresh token holds no more. Its access tokens run out by themselves."""

    authentication_classes = ()
    permission_classes = ()
    throttle_classes = [TokenThrottle]
    metadata_class = None

    @operations.token_revoke
    def post(self, request: Request) -> Response:
        body: Any = RevokeBody(data=request.data)
        body.is_valid(raise_exception=True)
        with contextlib.suppress(TokenError):  # never one, or one no more: it holds nothing, as was asked for
            RefreshToken(body.validated_data["refresh"]).blacklist()
        return Response(status=status.HTTP_204_NO_CONTENT)
