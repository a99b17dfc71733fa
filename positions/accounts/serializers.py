"""The bodies of the token endpoints, and how they are validated."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.contrib.auth.models import AbstractBaseUser
from rest_framework import serializers
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request
from rest_framework_simplejwt.serializers import PasswordField, TokenObtainSerializer

from positions.accounts.families import NotActive, Pair, log_in
from positions.accounts.throttle import saying_when_locked
from positions.api.fields import Text
from positions.models import TokenFamily
from positions.models.tokens import LONGEST_NAME


class LoginBody(TokenObtainSerializer):
    """simplejwt's own, but spaces at the ends of a password are kept: they are part of it."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["password"] = PasswordField(trim_whitespace=False)
        self.fields["name"] = Text(required=False, allow_blank=True, max_length=LONGEST_NAME)

    def to_internal_value(self, data: Any) -> Any:
        """Take `username` for what the user model calls the name, too: a page or bot need not know."""
        if isinstance(data, Mapping) and self.username_field not in data and "username" in data:
            data = {**data, self.username_field: data["username"]}
        return super().to_internal_value(data)


class RefreshBody(serializers.Serializer[Any]):
    refresh = Text()


def logged_in(request: Request, kind: TokenFamily.Kind) -> tuple[AbstractBaseUser, Pair]:
    """Check the name and password in the body, and begin a family of tokens.

    Its name is that in the body, or what the client calls itself. Raises ValidationError, AuthenticationFailed, and
    LockedOut after too many failures, which all log-ins share (logins.py).
    """
    body = LoginBody(data=request.data, context={"request": request})
    with saying_when_locked(request):
        body.is_valid(raise_exception=True)
    user: Any = body.user  # is_valid has raised where there is none
    name = body.initial_data.get("name") or request.headers.get("User-Agent", "")
    try:
        return user, log_in(user, kind=kind, name=name)
    except NotActive:
        message = body.error_messages["no_active_account"]
        raise AuthenticationFailed(message, "no_active_account") from None
