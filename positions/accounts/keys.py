"""The keys of our own tokens: SECRET_KEY signs, those of SECRET_KEY_FALLBACKS still verify, as for Django's cookies.

simplejwt knows one key only: `install` replaces its backend, for every kind of token (docs/private-apis.md).
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

from django.conf import settings
from jwt import InvalidSignatureError
from rest_framework_simplejwt import state
from rest_framework_simplejwt.backends import TokenBackend
from rest_framework_simplejwt.exceptions import TokenBackendError


def leeway() -> timedelta:
    """Return by how much the clocks of two machines may differ: added to `exp`, taken off `nbf` and `iat`."""
    given = getattr(settings, "SIMPLE_JWT", {}).get("LEEWAY", 0)
    return given if isinstance(given, timedelta) else timedelta(seconds=given)


def expiry(claims: Mapping[str, Any]) -> datetime:
    """Return when a token expires (aware). Raises ValueError where that is no time, or in no calendar."""
    try:
        return datetime.fromtimestamp(claims["exp"], tz=UTC)
    except (KeyError, TypeError, OverflowError, OSError) as error:
        raise ValueError("exp is no time") from error


class RotatingBackend(TokenBackend):
    """simplejwt's own, with the keys of the settings."""

    @property
    def prepared_signing_key(self) -> Any:
        return settings.SECRET_KEY

    def get_leeway(self) -> timedelta:
        return leeway()

    def decode(self, token: Any, verify: bool = True) -> dict[str, Any]:
        claims = self._decode(token, verify)
        try:
            if "exp" in claims:  # else simplejwt says that it is missing
                expiry(claims)
        except ValueError as error:  # which simplejwt would raise
            raise TokenBackendError("Token is invalid") from error
        return claims

    def _decode(self, token: Any, verify: bool) -> dict[str, Any]:
        try:
            return super().decode(token, verify)
        except TokenBackendError as error:
            if not isinstance(error.__cause__, InvalidSignatureError):
                raise
            for key in settings.SECRET_KEY_FALLBACKS:
                try:
                    return _of_key(self.algorithm, key, leeway()).decode(token, verify)
                except TokenBackendError as refusal:
                    if not isinstance(refusal.__cause__, InvalidSignatureError):
                        raise
            raise


@cache
def _of_key(algorithm: str, key: str, allowed: timedelta) -> TokenBackend:
    return TokenBackend(algorithm, key, leeway=allowed)


def install() -> None:
    """Make this the backend of simplejwt's tokens."""
    state.token_backend = RotatingBackend(state.token_backend.algorithm)
