"""The middleware that authenticates sockets: finds the user of a token."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple
from urllib.parse import parse_qs, urlsplit
from uuid import UUID

from asgiref.sync import markcoroutinefunction
from channels.middleware import BaseMiddleware
from channels.security.websocket import OriginValidator, WebsocketDenier
from django.conf import settings
from django.contrib.auth.models import AbstractBaseUser, AnonymousUser
from rest_framework_simplejwt.exceptions import TokenError

from positions import valkey
from positions.accounts import tickets, verified
from positions.accounts.identity import Refused
from positions.accounts.keys import expiry
from positions.accounts.outside import KeysUnavailable, aclaims_of
from positions.errors import DATABASE_UNAVAILABLE
from realtime.conf import conf
from realtime.hub.arrivals import Newcomer
from realtime.hub.hub import get_hub
from realtime.monitoring import outages
from realtime.monitoring.metrics import counts
from realtime.protocol.requests import parse_agent_id

logger = logging.getLogger(__name__)

LOOK_UP_SECONDS = 30.0
"""How long the look-up may take: the socket is accepted by then, and many that come together wait for each other."""

BOTH = "a socket takes a ticket or a token, not both: which of the two counts would be a guess"
NO_KEYS = "the token cannot be checked: the keys of its issuer are unavailable"
BAD_TICKET = "the ticket is unknown, expired or used: each opens one socket, once"


class Credential(NamedTuple):
    """A token's user, expiry and family."""

    user: AbstractBaseUser | AnonymousUser | None
    """Anonymous if the token is invalid or expired; None if the look-up failed."""
    expires_at: datetime | None = None
    family_id: UUID | None = None
    """The family of tokens whose end ends this one."""
    read_only: bool = False
    error: Exception | None = None
    """Why the look-up failed, if the database was not unavailable."""
    problem: str | None = None
    """A sentence for the client that says more than the others do."""
    may_watch: bool = False
    """Whether the user may watch the agent that the socket asks for."""


class TokenAuthMiddleware(BaseMiddleware):  # type: ignore[misc]
    """Lets the consumer look up whose token a socket presents, once it has accepted it: see `look_up`.

    Not before: a server that waits with the handshake until a thousand users are looked up loses clients (daphne, after
    5 s), and a browser cannot read a refused handshake anyway.
    """

    @markcoroutinefunction
    def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> Any:
        # Not as the parent does it, which keeps one more copy of the scope as long as the socket is open.
        return self.inner({**scope, LOOK_UP: _credential}, receive, send)


LOOK_UP = "nexgent.credential"
"""Of a scope: how to find its credential."""


async def look_up(scope: Mapping[str, Any], sent: Mapping[str, str]) -> Credential:
    """Return the credential of a socket's token; an anonymous user's, if TokenAuthMiddleware is not mounted.

    `sent`: the scope's `query`.

    The token is `?token=…` or `Authorization: Bearer …`; `?ticket=…` stands for one. Only access tokens are accepted.
    If anything is wrong with it, the user is anonymous. For a ticket, a call of Redis or Valkey; two queries, which all
    share that connect meanwhile; none for an invalid or expired token. The user is None while one of them is
    unavailable, and after an error.
    """
    if LOOK_UP not in scope:
        return Credential(AnonymousUser())  # the user of another middleware has presented no token
    try:
        async with asyncio.timeout(LOOK_UP_SECONDS):
            credential: Credential = await scope[LOOK_UP](scope, sent)
            return credential
    except (*DATABASE_UNAVAILABLE, TimeoutError) as error:
        why = str(error) or type(error).__name__
        logger.warning(
            "the user of a new socket could not be looked up: %s", why, extra=outages.field("database")
        )
        return Credential(None)
    except Exception as error:  # noqa: BLE001  the consumer raises it, where it is logged and closes the socket
        return Credential(None, error=error)


class SentOriginValidator(OriginValidator):  # type: ignore[misc]
    """Refuses other sites' pages. Bots send no Origin, and the token is their credential."""

    def __init__(self, application: Any) -> None:
        super().__init__(application, settings.ALLOWED_HOSTS + conf.ALLOWED_ORIGINS)

    @markcoroutinefunction
    def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> Any:
        origins = [value for name, value in scope["headers"] if name == b"origin"]
        if not origins:
            return self.application(scope, receive, send)
        try:
            origin = urlsplit(origins[-1].decode("latin-1"))
        except ValueError:  # the parent would raise
            origin = None
        if origin is None or not self.valid_origin(origin):
            counts.refusals["origin"] += 1
            return WebsocketDenier()(scope, receive, send)
        return self.application(scope, receive, send)


def query(scope: Mapping[str, Any]) -> dict[str, str]:
    """Return the socket's query parameters, the last of each name; none if there are more than 20."""
    text = scope["query_string"].decode("ascii", errors="replace")
    try:
        return {name: values[-1] for name, values in parse_qs(text, max_num_fields=20).items()}
    except ValueError:
        return {}


async def authenticate(token: str | None, agent_id: UUID | None = None) -> Credential:
    """Return the token's user, expiry and family, and whether the user may watch the agent.

    An anonymous user if the token is invalid, expired or revoked. Two queries, which others share.
    """
    if token is None:
        return Credential(AnonymousUser())
    try:
        claims: Mapping[str, Any] | None = await aclaims_of(token)
        if claims is None:
            claims = verified.claims_of(token)
    except TokenError:
        return Credential(AnonymousUser())
    except KeysUnavailable:
        return Credential(None, problem=NO_KEYS)
    return await _holder(claims, agent_id)


async def _credential(scope: Mapping[str, Any], sent: Mapping[str, str]) -> Credential:
    token, ticket = sent.get("token") or _bearer(scope), sent.get("ticket")
    agent_id = parse_agent_id(sent.get("agentId"))
    if not ticket:
        return await authenticate(token, agent_id)
    if token:
        return Credential(AnonymousUser(), problem=BOTH)
    try:
        claims = await tickets.take(ticket)
    except valkey.Unavailable as error:
        logger.warning("the ticket of a new socket could not be looked up: %s", error)
        return Credential(None)
    return (
        Credential(AnonymousUser(), problem=BAD_TICKET) if claims is None else await _holder(claims, agent_id)
    )


async def _holder(claims: Mapping[str, Any], agent_id: UUID | None) -> Credential:
    """Return the user, expiry and family of verified claims."""
    expires_at = expiry(claims)
    try:
        (user, family, read_only), may_watch = await get_hub().arrivals.admit(Newcomer(claims, agent_id))
    except Refused:
        return Credential(AnonymousUser())
    family_id = None if family is None else family.pk
    return Credential(user, expires_at, family_id, read_only, may_watch=may_watch)


def _bearer(scope: Mapping[str, Any]) -> str | None:
    for name, value in scope["headers"]:
        kind, _, credential = value.decode("latin-1").partition(" ")
        if name == b"authorization" and kind.lower() == "bearer":
            return str(credential.strip())
    return None
