"""Access tokens of ours that this process has verified before: their signature is not computed again.

Whoever reconnects presents the token that it had, and a bot has one token for all of its agents. Whether the token is
valid at this time is looked at each time, and whether its family has ended is in the database (identity.py). Knows the
tokens by their hashes only.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from hashlib import sha256
from types import MappingProxyType
from typing import Any, NamedTuple

from django.conf import settings
from rest_framework_simplejwt.tokens import AccessToken

from positions.accounts.keys import leeway

MOST = 10_000
"""Tokens that are known; the oldest is forgotten first. A token takes 1 kB."""


class _Known(NamedTuple):
    claims: Mapping[str, Any]
    keys: tuple[str, ...]
    """Of the settings, at that time: what a key has signed that is no longer there is invalid."""


_known: dict[bytes, _Known] = {}


def claims_of(token: str) -> Mapping[str, Any]:
    """Return the claims of an access token. Raises TokenError. For the event loop's thread."""
    digest, keys = sha256(token.encode()).digest(), (settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS)
    known = _known.get(digest)
    if known is not None and known.keys == keys and _is_current(known.claims):
        return known.claims
    claims = MappingProxyType(AccessToken(token).payload)  # type: ignore[arg-type]
    if len(_known) >= MOST:
        del _known[next(iter(_known))]
    _known[digest] = _Known(claims, keys)
    return claims


def _is_current(claims: Mapping[str, Any]) -> bool:
    now, leeway_seconds = time.time(), leeway().total_seconds()
    begins_at: float = max(claims.get("nbf", 0), claims.get("iat", 0))
    expires_at: float = claims["exp"]
    return begins_at <= now + leeway_seconds and expires_at > now - leeway_seconds
