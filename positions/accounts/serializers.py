"""The bodies of the token endpoints, and how they are validated."""

from __future__ import annotations

from typing import Any

from django.core.exceptions import ObjectDoesNotExist
from rest_framework import serializers
from rest_framework.exceptions import AuthenticationFailed
from rest_framework_simplejwt.exceptions import TokenError
from rest_framework_simplejwt.serializers import (
    PasswordField,
    TokenObtainPairSerializer,
    TokenRefreshSerializer,
)
from rest_framework_simplejwt.tokens import RefreshToken

from positions.api.serializers import Text


class TokenBody(TokenObtainPairSerializer):
    """simplejwt's own, but spaces at the ends of a password are kept: they are part of it."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["password"] = PasswordField(trim_whitespace=False)


class OneUseToken(RefreshToken):
    """A refresh token that is valid for one use, even of two at the same moment."""

    def blacklist(self) -> Any:
        outcome: Any = super().blacklist()  # the row, and whether it is new: of two requests, one creates it
        if not outcome[1]:
            raise TokenError("Token is blacklisted")
        return outcome


class RefreshBody(TokenRefreshSerializer):
    """simplejwt's own, but 401 where the account no longer exists, which it does not expect."""

    token_class = OneUseToken

    def validate(self, attrs: dict[str, Any]) -> dict[str, str]:
        try:
            return super().validate(attrs)
        except ObjectDoesNotExist as error:
            raise AuthenticationFailed(
                self.error_messages["no_active_account"], "no_active_account"
            ) from error


class RevokeBody(serializers.Serializer[Any]):
    refresh = Text()
