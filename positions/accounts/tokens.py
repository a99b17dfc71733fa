"""The token endpoints: tokens for a login, or for a refresh token, which is valid for one use.

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
    "Exchange a refresh token for new tokens; it is then invalid",
    schema.Tokens,
    body=schema.RefreshToken,
    refuses=(401, 429),
    tag="token",
    public=True,
)
REVOKE = operation(
    "Log out: the refresh token becomes invalid",
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
    """Log out: the refresh token becomes invalid. Its access tokens stay valid until they expire."""

    authentication_classes = ()
    permission_classes = ()
    throttle_classes = [TokenThrottle]
    metadata_class = None

    @REVOKE
    def post(self, request: Request) -> Response:
        body: Any = RevokeBody(data=request.data)
        body.is_valid(raise_exception=True)
        with contextlib.suppress(TokenError):  # malformed, expired or already revoked: invalid, as requested
            RefreshToken(body.validated_data["refresh"]).blacklist()
        return Response(status=status.HTTP_204_NO_CONTENT)
