"""Where tokens come from: a login, or a refresh token, which is good for one use.

Requests are throttled by address (throttle.py); failed logins lock their name and address (logins.py).
"""

from __future__ import annotations

import contextlib
from typing import Any

from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView
from rest_framework_simplejwt.exceptions import TokenError
from rest_framework_simplejwt.tokens import RefreshToken
from rest_framework_simplejwt.views import TokenObtainPairView, TokenRefreshView

from positions.accounts.serializers import RefreshBody, RevokeBody, TokenBody
from positions.accounts.throttle import TokenThrottle, saying_when_locked
from positions.api import schema
from positions.api.operations import operation

LOG_IN = operation("Log in", schema.Tokens, body=schema.Login, refuses=(401, 429), tag="token", public=True)
REFRESH = operation(
    "New tokens for a refresh token, which holds no more",
    schema.Tokens,
    body=schema.RefreshToken,
    refuses=(401, 429),
    tag="token",
    public=True,
)
REVOKE = operation(
    "Log out: the refresh token holds no more",
    None,
    code=204,
    body=schema.RefreshToken,
    refuses=(429,),
    tag="token",
    public=True,
)


class TokenView(TokenObtainPairView):
    serializer_class = TokenBody
    throttle_classes = [TokenThrottle]

    @LOG_IN
    def post(self, request: Request, *args: object, **kwargs: object) -> Response:
        with saying_when_locked(request):
            return super().post(request, *args, **kwargs)


class RefreshView(TokenRefreshView):
    serializer_class = RefreshBody
    throttle_classes = [TokenThrottle]

    @REFRESH
    def post(self, request: Request, *args: object, **kwargs: object) -> Response:
        return super().post(request, *args, **kwargs)


class RevokeView(APIView):
    """Log out: the refresh token holds no more. Its access tokens run out by themselves."""

    authentication_classes = ()
    permission_classes = ()
    throttle_classes = [TokenThrottle]
    metadata_class = None

    @REVOKE
    def post(self, request: Request) -> Response:
        body: Any = RevokeBody(data=request.data)
        body.is_valid(raise_exception=True)
        with contextlib.suppress(TokenError):  # never one, or one no more: it holds nothing, as was asked for
            RefreshToken(body.validated_data["refresh"]).blacklist()
        return Response(status=status.HTTP_204_NO_CONTENT)
