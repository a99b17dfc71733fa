"""The middleware that authenticates sockets: finds the user of a token."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple
from urllib.parse import parse_qs, urlsplit
from uuid import UUID

from channels.middleware import BaseMiddleware
from channels.security.websocket import OriginValidator, WebsocketDenier
from django.conf import settings
from django.contrib.auth.models import AbstractBaseUser, AnonymousUser
from rest_framework_simplejwt.exceptions import TokenError
from rest_framework_simplejwt.settings import api_settings
from rest_framework_simplejwt.tokens import AccessToken

from positions.accounts.sessions import find_user, session_of
from positions.errors import DATABASE_UNAVAILABLE
from realtime.hub.database import in_database_thread

logger = logging.getLogger(__name__)

# How long the look-up may take. daphne drops connections whose handshake takes 5 s: a network error to their clients.
HANDSHAKE_SECONDS = 3.0


class Credential(NamedTuple):
    """A token's user, expiry and browser session."""

    user: AbstractBaseUser | AnonymousUser | None
    """Anonymous if the token is invalid or expired; None if the look-up failed."""
    expires_at: datetime | None = None
    session_id: UUID | None = None
    """The browser session whose log-out ends the token; None for a bot's."""
    error: Exception | None = None
    """Why the look-up failed, if the database was not unavailable."""


class TokenAuthMiddleware(BaseMiddleware):  # type: ignore[misc]
    """Puts the token's user into `scope["user"]`, its expiry (aware, UTC) into `scope["token_expires_at"]`, the browser
    session that it belongs to into `scope["session_id"]`, and a bug in looking them up into `scope["token_error"]`.

    The token is `?token=…`, or `Authorization: Bearer …`. Only access tokens are accepted. If anything is wrong with
    it, the user is anonymous: the consumer answers, since a browser cannot read a refused handshake. One query, none
    for an invalid or expired token. The user is None while the database is unavailable, and after an error.
    """

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> Any:
        try:
            credential = await asyncio.wait_for(authenticate(_token(scope)), HANDSHAKE_SECONDS)
        except (*DATABASE_UNAVAILABLE, TimeoutError) as error:
            logger.warning(
                "the user of a new socket could not be looked up: %s", str(error) or type(error).__name__
            )
            credential = Credential(None)
        except Exception as error:  # noqa: BLE001  the consumer raises it, where it is logged and closes the socket
            credential = Credential(None, error=error)
        scope = {
            **scope,
            "user": credential.user,
            "token_expires_at": credential.expires_at,
            "session_id": credential.session_id,
            "token_error": credential.error,
        }
        # Not as the parent does it, which keeps one more copy of the scope as long as the socket is open.
        return await self.inner(scope, receive, send)


class SentOriginValidator(OriginValidator):  # type: ignore[misc]
    """Refuses other sites' pages. Bots send no Origin, and the token is their credential."""

    def __init__(self, application: Any) -> None:
        super().__init__(application, settings.ALLOWED_HOSTS + settings.REALTIME["ALLOWED_ORIGINS"])

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> Any:
        origins = [value for name, value in scope["headers"] if name == b"origin"]
        if not origins:
            return await self.application(scope, receive, send)
        try:
            urlsplit(origins[-1].decode("latin-1"))
        except ValueError:  # the parent would raise
            return await WebsocketDenier()(scope, receive, send)
        return await super().__call__(scope, receive, send)


def query(scope: Mapping[str, Any]) -> dict[str, str]:
    """Return the socket's query parameters, the last of each name; none if there are more than 20."""
    text = scope["query_string"].decode("ascii", errors="replace")
    try:
        return {name: values[-1] for name, values in parse_qs(text, max_num_fields=20).items()}
    except ValueError:
        return {}


def credential_of(scope: Mapping[str, Any]) -> Credential:
    """Return what TokenAuthMiddleware has put into the scope; an anonymous user if it is not mounted."""
    if "token_expires_at" not in scope:  # the user of another middleware has presented no token
        return Credential(AnonymousUser())
    return Credential(
        scope.get("user"), scope["token_expires_at"], scope.get("session_id"), scope.get("token_error")
    )


async def authenticate(token: str | None) -> Credential:
    """Return the token's user, expiry and session; an anonymous user if it is invalid or expired. One query."""
    if token is None:
        return Credential(AnonymousUser())
    try:
        claims = AccessToken(token)  # type: ignore[arg-type]
        user_id = claims[api_settings.USER_ID_CLAIM]
        expires_at = datetime.fromtimestamp(claims["exp"], tz=UTC)
        session_id = session_of(claims)
    except (TokenError, KeyError, ValueError, OverflowError, OSError):  # the last two: a date out of range
        return Credential(AnonymousUser())
    user = await in_database_thread(find_user)(user_id, session_id)
    return Credential(user, expires_at, session_id) if user else Credential(AnonymousUser())


def _token(scope: Mapping[str, Any]) -> str | None:
    token = query(scope).get("token")
    if token:
        return token
    for name, value in scope["headers"]:
        kind, _, credential = value.decode("latin-1").partition(" ")
        if name == b"authorization" and kind.lower() == "bearer":
            return str(credential.strip())
    return None
