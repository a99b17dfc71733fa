"""Authentication of REST requests: a bearer token, and what `identify` says of it."""

from __future__ import annotations

from typing import Any

from drf_spectacular.contrib.rest_framework_simplejwt import SimpleJWTScheme
from rest_framework import status
from rest_framework.exceptions import APIException, AuthenticationFailed
from rest_framework_simplejwt.authentication import JWTAuthentication
from rest_framework_simplejwt.exceptions import InvalidToken, TokenError
from rest_framework_simplejwt.tokens import AccessToken, Token

from positions.accounts.identity import Refused, identify
from positions.accounts.outside import KeysUnavailable, claims_of


class IssuerUnavailable(APIException):
    status_code = status.HTTP_503_SERVICE_UNAVAILABLE
    default_detail = "The token cannot be checked: the keys of its issuer are unavailable. Try again later."


class TokenAuthentication(JWTAuthentication):
    """simplejwt's own, which verifies our tokens; whether one still counts, its family says. One query."""

    def get_validated_token(self, raw_token: bytes) -> Token:
        try:
            claims = claims_of(raw_token.decode(errors="replace"))
        except TokenError as error:
            raise InvalidToken({"detail": str(error)}) from error
        except KeysUnavailable as error:
            raise IssuerUnavailable from error
        if claims is None:
            return super().get_validated_token(raw_token)
        token = AccessToken()
        token.payload = claims
        return token

    def get_user(self, validated_token: Token) -> Any:
        try:
            return identify(validated_token.payload).user
        except Refused as refused:
            raise AuthenticationFailed(str(refused)) from refused


class TokenScheme(SimpleJWTScheme):
    """In the OpenAPI document it is simplejwt's: a bearer token."""

    target_class = "positions.accounts.authentication.TokenAuthentication"
