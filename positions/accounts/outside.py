"""Access tokens of an outside issuer (NEXGENT_JWKS_URL), beside our own: told by `iss`, verified with its public keys.

What is verified is returned in our own terms: `iss`, `exp`, USER, and our scope where it may not write. Whom it speaks
for says `identity.identify`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from concurrent.futures import Future
from concurrent.futures import TimeoutError as Late
from contextlib import suppress
from typing import Any

import jwt
from rest_framework_simplejwt.exceptions import TokenError

from positions.accounts.key_set import FETCH_SECONDS, Key, KeySet
from positions.accounts.keys import expiry, leeway
from positions.accounts.scopes import CLAIM, READ
from positions.conf import conf

USER = "outside_user"
"""The claim with the value of the user's field."""
_INVALID = "Token is invalid"


class KeysUnavailable(Exception):
    """The token may be valid, but the issuer does not answer, and the key that signed it is not known yet."""


class Issuer:
    def __init__(self, options: Mapping[str, Any]) -> None:
        self.options = options
        self.keys = KeySet(
            options["JWKS_URL"],
            retry_seconds=options["RETRY_SECONDS"],
            max_age_seconds=options["MAX_AGE_SECONDS"],
        )

    def issued(self, token: str) -> bool:
        """Return whether the token says that it comes from this issuer."""
        try:
            claims = jwt.decode(token, options={"verify_signature": False})
        except jwt.PyJWTError:
            return False
        return bool(claims.get("iss") == self.options["ISSUER"])

    def key_of(self, token: str) -> Key | None:
        """Return the key that the token names, if it is known."""
        try:
            kid = jwt.get_unverified_header(token).get("kid")
        except jwt.PyJWTError:
            raise TokenError(_INVALID) from None
        return self.keys.known(kid)

    def fetch_for(self, token: str) -> Future[None] | None:
        """Return the fetch of the issuer's keys that the token has to wait for, if any; fetch old ones anew."""
        if self.key_of(token) is None or self.keys.is_overdue:
            return self.keys.refresh()
        if self.keys.is_old:
            self.keys.refresh()
        return None

    def claims(self, token: str) -> dict[str, Any]:
        """Verify the token with a key that is known. Raises TokenError and KeysUnavailable."""
        key = self.key_of(token)
        if key is None:
            raise KeysUnavailable if self.keys.may_have_more else TokenError(_INVALID)
        algorithms: list[str] = self.options["ALGORITHMS"]
        if key.algorithm is not None:
            algorithms = [each for each in algorithms if each == key.algorithm]
        try:
            found: dict[str, Any] = jwt.decode(
                token,
                key.public,
                algorithms=algorithms,
                issuer=self.options["ISSUER"],
                audience=self.options["AUDIENCE"],
                leeway=leeway(),
                options={"require": ["exp", "iss", "aud"]},
            )
            expiry(found)
        except (jwt.PyJWTError, TypeError, ValueError):  # the last two: an algorithm that the key is not for
            raise TokenError(_INVALID) from None
        return self._ours(found)

    def _ours(self, found: Mapping[str, Any]) -> dict[str, Any]:
        name = self.options["USER_CLAIM"]
        value = found.get(name)
        if not isinstance(value, str | int) or isinstance(value, bool) or value == "":
            raise TokenError(_INVALID)
        if name == "email" and found.get("email_verified") is not True:  # anybody may enter anybody's
            raise TokenError(_INVALID)
        claims = {"iss": found["iss"], "exp": found["exp"], USER: str(value)}
        needed = self.options["WRITE_SCOPE"]
        granted = found.get(self.options["SCOPE_CLAIM"])
        if isinstance(granted, str):  # RFC 8693, section 4.2; others send a list
            granted = granted.split()
        if needed and not (isinstance(granted, list) and needed in granted):
            claims[CLAIM] = READ
        return claims


def claims_of(token: str) -> dict[str, Any] | None:
    """Return what the outside issuer's token claims; None if it is not the issuer's.

    Waits up to FETCH_SECONDS for keys that are not known yet. Raises TokenError and KeysUnavailable.
    """
    issuer = _issuer()
    if issuer is None or not issuer.issued(token):
        return None
    if fetch := issuer.fetch_for(token):
        with suppress(Late):
            fetch.result(FETCH_SECONDS)
    return issuer.claims(token)


async def aclaims_of(token: str) -> dict[str, Any] | None:
    """The same, without blocking the event loop. Safe to cancel."""
    issuer = _issuer()
    if issuer is None or not issuer.issued(token):
        return None
    if fetch := issuer.fetch_for(token):
        await asyncio.wait([asyncio.wrap_future(fetch)], timeout=FETCH_SECONDS)
    return issuer.claims(token)


_current: Issuer | None = None


def _issuer() -> Issuer | None:
    """Return the issuer of the settings, with the keys that are known of it."""
    global _current
    options = conf.OUTSIDE_ISSUER
    if options is None:
        return None
    if _current is None or _current.options is not options:
        _current = Issuer(options)
    return _current
