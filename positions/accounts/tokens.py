"""The token endpoints: tokens for a login, or for a refresh token, which is valid for one use.

Requests are throttled by address (throttle.py); failed logins lock their name and address (logins.py).
"""

from __future__ import annotations

from rest_framework import status
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework_simplejwt.exceptions import TokenError

from positions.accounts.families import Ending, Kind, Pair, end, family_of, renew
from positions.accounts.identity import Refused
from positions.accounts.serializers import RefreshBody, logged_in
from positions.accounts.throttle import TokenThrottle
from positions.api import schema
from positions.api.operations import operation
from positions.api.rules import Rules

LOG_IN = operation("Log in", schema.Tokens, body=schema.Login, refuses=(401, 429), tag="token", public=True)
REFRESH = operation(
    "Exchange a refresh token for new tokens. It is then invalid: used once more, it ends the session",
    schema.Tokens,
    body=schema.RefreshToken,
    refuses=(401, 429),
    tag="token",
    public=True,
)
REVOKE = operation(
    "Log out: all tokens of this login become invalid, and its sockets are closed",
    None,
    code=204,
    body=schema.RefreshToken,
    refuses=(429,),
    tag="token",
    public=True,
)


class PublicTokenView(Rules):
    """Its request has no token, or has it in its body."""

    authentication_classes = ()
    permission_classes = ()
    throttle_classes = [TokenThrottle]

    def get_authenticate_header(self, request: Request) -> str:
        return 'Bearer realm="api"'  # else REST framework would answer 403 for 401


class TokenView(PublicTokenView):
    @LOG_IN
    def post(self, request: Request) -> Response:
        _, pair = logged_in(request, Kind.BOT)
        return _answer(pair)


class RefreshView(PublicTokenView):
    @REFRESH
    def post(self, request: Request) -> Response:
        try:
            return _answer(renew(_refresh(request)))
        except (TokenError, Refused) as refused:
            raise AuthenticationFailed(str(refused)) from refused


class RevokeView(PublicTokenView):
    @REVOKE
    def post(self, request: Request) -> Response:
        end(family_of(_refresh(request)), Ending.LOGGED_OUT)  # of what is no token of ours: none
        return Response(status=status.HTTP_204_NO_CONTENT)


def _refresh(request: Request) -> str:
    body = RefreshBody(data=request.data)
    body.is_valid(raise_exception=True)
    token: str = body.validated_data["refresh"]
    return token


def _answer(pair: Pair) -> Response:
    return Response({"access": str(pair.access), "refresh": str(pair.refresh)})
