"""Tickets for sockets: what a browser puts into the address instead of its access token. Each opens one socket, once.

Redis or Valkey has its hash, for the seconds that it lives, with what the access token said that bought it: signed, so
that nobody gets a socket who can write there. The ticket itself is not signed: the mark that it was used would have to
be there, too, and could be lost where the ticket is not.

Imported by `ticket_views` and by the sockets (realtime).
"""

from __future__ import annotations

import hashlib
import logging
import math
import secrets
import time
from collections.abc import Mapping
from typing import Any, NamedTuple

from django.core import signing

from positions import valkey
from positions.accounts.keys import leeway
from positions.conf import conf

logger = logging.getLogger(__name__)

PREFIX = "ticket_"
"""By which logs recognise it (realtime/monitoring/redaction.py)."""
_RANDOM_BYTES = 24
_LONGEST = 64


class Ticket(NamedTuple):
    text: str
    seconds: float
    """How long it lives."""


def issue(claims: Mapping[str, Any]) -> Ticket:
    """Return a new ticket for what a verified access token claims; it does not outlive the token. One call of Redis or
    Valkey. Raises valkey.Unavailable."""
    text = PREFIX + secrets.token_urlsafe(_RANDOM_BYTES)
    left_seconds = claims["exp"] + leeway().total_seconds() - time.time()
    life_ms = max(1, math.floor(1000 * min(conf.SOCKET_TICKET_SECONDS, left_seconds)))
    key = key_of(text)
    valkey.client().set(key, signing.dumps(claims, salt=key), px=life_ms)
    return Ticket(text, life_ms / 1000)


async def take(text: str) -> dict[str, Any] | None:
    """Return the claims that a ticket stands for, and make it invalid; None if it is unknown, used or expired.

    One call of Redis or Valkey. Raises valkey.Unavailable. Safe to cancel; the ticket may be used up then.
    """
    if not text.startswith(PREFIX) or len(text) > _LONGEST:
        return None
    key = key_of(text)
    stored: Any = await valkey.async_client().getdel(key)
    if stored is None:
        return None
    try:
        claims: dict[str, Any] = signing.loads(stored.decode(errors="replace"), salt=key)
    except signing.BadSignature:
        logger.error("a ticket in Redis or Valkey was not written by this installation")
        return None
    return claims


def key_of(text: str) -> str:
    """Return where a ticket's claims are: nobody who reads the key knows the ticket."""
    # Random enough that its hash needs no salt; surrogates come from bytes that are no UTF-8.
    digest = hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()
    return f"{valkey.KEY_PREFIX}ticket:{digest}"
