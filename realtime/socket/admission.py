"""Whether a socket may watch its agent: by the user of its token, and by what this user and all others have open."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from realtime.hub.guard import DATABASE_UNAVAILABLE, Refused
from realtime.hub.hub import Hub
from realtime.hub.outbox import Outbox
from realtime.hub.shares import CONNECT_COST
from realtime.protocol.messages import CloseReason, ErrorCode
from realtime.protocol.requests import OWN
from realtime.socket.authentication import look_up
from realtime.socket.client_address import address_of
from realtime.socket.stream_start import AGENT_NOT_FOUND

NOT_AUTHENTICATED = (
    "the token is missing, malformed, expired, revoked or not an access token, or its user is inactive"
)


async def admit(hub: Hub, outbox: Outbox, scope: Mapping[str, Any], sent: Mapping[str, str]) -> datetime:
    """Note in the outbox whose it is, and whether it watches; return when its token expires. `sent`: the scope's query.

    Raises Refused if the client may not watch the agent. Safe to cancel.
    """
    credential = await look_up(scope, sent)
    outbox.user_id = getattr(credential.user, "pk", None)
    outbox.family_id, outbox.read_only = credential.family_id, credential.read_only
    # One whose mode is not known watches: of the two, that can end nobody's socket.
    outbox.watches = credential.read_only or sent.get("mode", OWN) != OWN
    if outbox.closed:  # meanwhile
        raise Refused(CloseReason.TRY_LATER, ErrorCode.TRY_LATER, DATABASE_UNAVAILABLE)
    user, expires_at = credential.user, credential.expires_at
    if credential.error is not None:
        raise credential.error
    if user is None:
        problem = credential.problem or DATABASE_UNAVAILABLE
        raise Refused(CloseReason.TRY_LATER, ErrorCode.TRY_LATER, problem)
    if expires_at is None or not user.is_authenticated:
        hub.shares.strangers.admit(address_of(scope))
        problem = credential.problem or NOT_AUTHENTICATED
        raise Refused(CloseReason.AUTHENTICATION_FAILED, ErrorCode.AUTHENTICATION_FAILED, problem)
    hub.shares.admit(outbox)
    hub.shares.of(outbox.user_id).spend(CONNECT_COST)
    if not credential.may_watch:
        raise Refused(CloseReason.AGENT_NOT_FOUND, ErrorCode.AGENT_NOT_FOUND, AGENT_NOT_FOUND)
    return expires_at
