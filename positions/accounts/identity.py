"""Who a token speaks for: the one place that decides it, for REST, sockets and the token endpoints.

Verifying a token (signature, expiry, type) comes before; `identify` takes the claims of one that is verified. Those of
an outside issuer name it, in `iss`; ours do not (outside.py).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, NamedTuple
from uuid import UUID

from django.contrib.auth import get_user_model
from django.contrib.auth.models import AbstractBaseUser
from django.core.exceptions import ValidationError
from django.db import DataError, router
from rest_framework_simplejwt.settings import api_settings

from positions.accounts import last_used
from positions.accounts.outside import USER
from positions.accounts.scopes import CLAIM as SCOPE_CLAIM
from positions.conf import conf
from positions.models import TokenFamily
from positions.models.compiled import Compiled
from positions.models.tokens import stamp

FAMILY_CLAIM = "sid"
"""The id of a token's family. (OpenID Connect's name for a session's id.)"""

_FAMILIES = TokenFamily.objects.select_related("user__quota").order_by()
_FAMILY = Compiled(_FAMILIES.all, "pk")


class Identity(NamedTuple):
    """Whom a token speaks for."""

    user: AbstractBaseUser
    family: TokenFamily | None
    """Whose end ends the token; None where somebody else's server ends it."""
    read_only: bool


class Refused(Exception):
    """The token is verified, but not valid any more: a sentence for its holder."""


def identify(claims: Mapping[str, Any]) -> Identity:
    """Return the user and the family of a verified token's claims. One query. Raises Refused.

    A token without a family, or whose family is not stored, is refused: no missing row makes a token valid. When it
    expires is in the token itself, which never outlives its family. An outside issuer's token has none.
    """
    if "iss" in claims:
        return _outsider(claims)
    key = _family_key(claims)
    found = _FAMILY.find(key, using=_primary()) if key else []
    return _insider(claims, found[0] if found else None)


def identify_all(many: Sequence[Mapping[str, Any]]) -> list[Identity | Refused]:
    """Do the same for the claims of many tokens: one query for all of ours, and one for each of an outside issuer's."""
    keys = [None if "iss" in claims else _family_key(claims) for claims in many]
    known = {family.pk: family for family in _families({key for key in keys if key})}
    found: list[Identity | Refused] = []
    for key, claims in zip(keys, many, strict=True):
        try:
            found.append(
                _outsider(claims)
                if "iss" in claims
                else _insider(claims, None if key is None else known.get(key))
            )
        except Refused as refused:
            found.append(refused)
    return found


def _families(keys: Collection[UUID]) -> Iterable[TokenFamily]:
    if len(keys) == 1:  # of a bot, which has one token for all of its agents
        return _FAMILY.find(*keys, using=_primary())
    return _FAMILIES.using(_primary()).filter(pk__in=keys) if keys else ()


def _insider(claims: Mapping[str, Any], family: TokenFamily | None) -> Identity:
    if family is None or str(getattr(family.user, api_settings.USER_ID_FIELD)) != str(
        claims.get(api_settings.USER_ID_CLAIM)
    ):
        raise Refused("This token is not known here any more: log in again.")
    if not getattr(family.user, "is_active", True):
        raise Refused("The user is inactive.")
    because = family.ended_because
    if not family.ended_at and family.password_stamp != stamp(family.user.password):
        # Begun with the old password at the moment of the change, or the trigger (models/user_changes.py) is missing.
        because = TokenFamily.Ending.PASSWORD
    if family.ended_at or because:
        raise Refused(ended(because))
    last_used.note(family.pk, family.last_used_at)
    return Identity(family.user, family, family.read_only or claims.get(SCOPE_CLAIM) is not None)


def _outsider(claims: Mapping[str, Any]) -> Identity:
    """Return the one user whose field has the value that the outside issuer says."""
    options = conf.OUTSIDE_ISSUER
    if options is None or claims["iss"] != options["ISSUER"]:
        raise Refused("Tokens of this issuer are not accepted any more.")
    named = {options["USER_FIELD"]: claims[USER]}
    model = get_user_model()
    known = model._default_manager.using(router.db_for_write(model)).select_related("quota")
    try:
        users = list(known.filter(**named)[:2])
    except (ValueError, TypeError, ValidationError, DataError):  # not this field's kind of value
        users = []
    if len(users) != 1:  # of several, which one is meant would be a guess
        raise Refused("The token's user is not known here.")
    if not users[0].is_active:
        raise Refused("The user is inactive.")
    return Identity(users[0], None, claims.get(SCOPE_CLAIM) is not None)


def ended(because: str) -> str:
    """Return what the holder of a token is told whose family has ended."""
    return f"This session has ended: {TokenFamily.Ending(because).label}."


def _family_key(claims: Mapping[str, Any]) -> UUID | None:
    try:
        return UUID(str(claims.get(FAMILY_CLAIM)))
    except ValueError:
        return None


def _primary() -> str:
    return router.db_for_write(TokenFamily)  # a replica may not know yet of an end
