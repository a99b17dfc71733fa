"""A browser's session, from log-in to log-out. Its tokens carry its id; once it has ended, they are refused.

The id is the claim `sid` of the refresh token in the cookie, and of every access token made from it. Tokens of
`/api/token/`, which bots use, have none, and nothing is looked up for them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from django.contrib.auth import get_user_model
from django.contrib.auth.models import AbstractBaseUser
from django.db.models import Exists
from django.utils import timezone
from drf_spectacular.contrib.rest_framework_simplejwt import SimpleJWTScheme
from rest_framework.exceptions import AuthenticationFailed
from rest_framework_simplejwt.authentication import JWTAuthentication
from rest_framework_simplejwt.settings import api_settings
from rest_framework_simplejwt.tokens import Token

from positions.models import EndedSession

SESSION_CLAIM = "sid"


def session_of(claims: Mapping[str, Any] | Token) -> UUID | None:
    """Return the session that a token belongs to; None for a bot's. Raises ValueError where it is no id."""
    text = claims.get(SESSION_CLAIM, None)
    return None if text is None else UUID(str(text))


def find_user(user_id: object, session_id: UUID | None) -> AbstractBaseUser | None:
    """Return the user, unless the account is gone, is not active, or logged out of this session. One query."""
    try:
        users = get_user_model().objects.filter(**{api_settings.USER_ID_FIELD: user_id})
        if session_id is not None:
            users = users.filter(~Exists(EndedSession.objects.filter(pk=session_id)))
        user = users.first()
    except (ValueError, TypeError):  # not this user model's kind of id
        return None
    return user if user is not None and user.is_active else None


def ended(session_ids: Iterable[UUID]) -> set[UUID]:
    """Return those of the sessions that were logged out of. One query."""
    return set(EndedSession.objects.filter(pk__in=set(session_ids)).values_list("pk", flat=True))


def end_session(*, session_id: UUID, user_id: Any, expires_at: datetime) -> None:
    """Refuse the session's tokens from now on. On commit, its sockets are closed (realtime.publish.signals).

    `expires_at`: of its refresh token. Idempotent. Rows of sessions whose tokens have all expired are deleted, too.
    Two queries, or three.
    """
    # An access token made in the last moment of the refresh token outlives it.
    kept_until = expires_at + api_settings.ACCESS_TOKEN_LIFETIME + timedelta(minutes=1)
    EndedSession.objects.filter(expires_at__lt=timezone.now()).delete()
    EndedSession.objects.get_or_create(pk=session_id, defaults={"user_id": user_id, "expires_at": kept_until})


def expiry(token: Token) -> datetime:
    return datetime.fromtimestamp(token["exp"], tz=UTC)


class SessionAuthentication(JWTAuthentication):
    """simplejwt's own, for REST; an ended session's access token is refused. One query, as without it."""

    def get_user(self, validated_token: Token) -> Any:
        try:
            session_id = session_of(validated_token)
        except ValueError:
            raise AuthenticationFailed("The token's session is malformed.") from None
        if session_id is None:
            return super().get_user(validated_token)
        user = find_user(validated_token.get(api_settings.USER_ID_CLAIM), session_id)
        if user is None:
            raise AuthenticationFailed("This session has ended.", code="session_ended")
        return user


class SessionScheme(SimpleJWTScheme):
    """In the OpenAPI document it is simplejwt's: a bearer token."""

    target_class = "positions.accounts.sessions.SessionAuthentication"
