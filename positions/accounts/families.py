"""Families of tokens: begun by a log-in or a command, renewed by refresh tokens, ended once and for good.

Every token carries its family's id; what the family says counts (`identity.identify`). docs/adr/0013 has the reasons.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, NamedTuple
from uuid import UUID

from django.contrib.auth import get_user_model
from django.contrib.auth.models import AbstractBaseUser, update_last_login
from django.db import router, transaction
from django.db.models import QuerySet
from django.utils import timezone
from rest_framework_simplejwt.exceptions import ExpiredTokenError, TokenError
from rest_framework_simplejwt.settings import api_settings
from rest_framework_simplejwt.tokens import AccessToken, Token

from positions.accounts.identity import FAMILY_CLAIM, Refused, ended, identify
from positions.accounts.scopes import CLAIM, READ
from positions.books.symbols import harmless
from positions.conf import conf
from positions.models import TokenFamily
from positions.models.tokens import LONGEST_NAME, stamp
from positions.signals import token_families_ended

Ending, Kind = TokenFamily.Ending, TokenFamily.Kind
MOST_DELETED = 1000
KEPT_AFTER_EXPIRY = timedelta(days=1)
"""Longer than any leeway for clocks. Nothing depends on it: a token without its family's row is refused."""
REFRESH_TOKEN_LIFETIME: timedelta = api_settings.REFRESH_TOKEN_LIFETIME


class RefreshToken(Token):
    """A refresh token. (simplejwt's own asks its blacklist, which families stand in for.)"""

    token_type = "refresh"  # noqa: S105
    lifetime = REFRESH_TOKEN_LIFETIME


class Pair(NamedTuple):
    """What a log-in answers."""

    access: AccessToken
    refresh: RefreshToken


class NotActive(Exception):
    """The user was deactivated, or the password changed, while logging in."""


def log_in(user: AbstractBaseUser, *, kind: TokenFamily.Kind, name: str = "") -> Pair:
    """Begin a family, and return its first tokens. Four queries. Raises NotActive.

    `user` has just given the right password. `name` is anything that tells it from the user's others. Families that
    expired are deleted.
    """
    lasts: timedelta = timedelta(days=conf.SESSION_DAYS)
    if kind == Kind.BROWSER:  # its one refresh token is all that it gets
        lasts = min(lasts, REFRESH_TOKEN_LIFETIME)
    family = TokenFamily(kind=kind, name=name_of(name), ends_at=timezone.now() + lasts)
    pair = Pair(AccessToken(), RefreshToken())
    _write(family, user, pair)
    _delete_expired()
    with transaction.atomic():
        _begin(family, user, checked=user.password)
        if api_settings.UPDATE_LAST_LOGIN:
            update_last_login(None, user)  # type: ignore[arg-type]
    return pair


def issue(
    user: AbstractBaseUser, *, lifetime: timedelta, read_only: bool = False, name: str = ""
) -> AccessToken:
    """Begin a family of a single access token, and return it. Two queries. Raises NotActive."""
    token = AccessToken()
    token.lifetime = lifetime
    family = TokenFamily(
        kind=Kind.ISSUED, name=name_of(name), read_only=read_only, ends_at=token.current_time + lifetime
    )
    _write(family, user, [token])
    with transaction.atomic():
        _begin(family, user)
    return token


def renew(text: str) -> Pair:
    """Exchange a bot's refresh token for the next two. Two queries. Raises TokenError, Refused.

    Of several uses of one token, simultaneous or not, one at most succeeds, and every other one ends the family: one of
    the two who have the token is not its owner.
    """
    try:
        token = RefreshToken(text)  # type: ignore[arg-type]
    except ExpiredTokenError:
        replaced = family_of(text).exclude(refresh_id=_signed(text)[api_settings.JTI_CLAIM])
        end(replaced.filter(kind=Kind.BOT), Ending.REUSED)
        raise
    user, family, _ = identify(token.payload)
    if family is None or family.kind != Kind.BOT:
        raise Refused("This refresh token is valid at /api/session/ only.")
    pair = Pair(AccessToken(), RefreshToken())
    _write(family, user, pair)
    newest = {name: getattr(family, name) for name in ("refresh_id", "expires_at", "last_used_at")}
    used = token[api_settings.JTI_CLAIM]
    if TokenFamily.objects.filter(pk=family.pk, refresh_id=used, ended_at=None).update(**newest):
        return pair
    end(TokenFamily.objects.filter(pk=family.pk), Ending.REUSED)
    raise Refused(ended(Ending.REUSED))


def access_for(token: RefreshToken) -> tuple[AbstractBaseUser, AccessToken]:
    """Return the user and a new access token for a browser's refresh token, which stays valid. One query.

    Raises Refused.
    """
    user, family, _ = identify(token.payload)
    if family is None or family.refresh_id != token[api_settings.JTI_CLAIM] or family.kind != Kind.BROWSER:
        raise Refused("This refresh token is valid at /api/token/refresh/ only.")
    access = AccessToken()
    _write(family, user, [access])
    return user, access


def end(families: QuerySet[TokenFamily], because: TokenFamily.Ending) -> int:
    """End those that have not ended yet, for good, and return how many. Two queries.

    On commit, `token_families_ended` is sent, and the sockets are closed (realtime.publish.signals).
    """
    # A replica may not know yet of a log-in.
    alive = families.using(router.db_for_write(TokenFamily)).filter(ended_at=None).order_by()
    user_ids = set(alive.values_list("user_id", flat=True))
    count = alive.update(ended_at=timezone.now(), ended_because=because)
    if count:
        send = partial(token_families_ended.send_robust, sender=TokenFamily, user_ids=user_ids)
        transaction.on_commit(send, robust=True)
    return count


def family_of(text: str) -> QuerySet[TokenFamily]:
    """Return the family of a refresh token of ours, expired or not; none of any other text."""
    try:
        return TokenFamily.objects.filter(pk=UUID(str(_signed(text).get(FAMILY_CLAIM))))
    except (TokenError, ValueError):
        return TokenFamily.objects.none()


def _signed(text: str) -> RefreshToken:
    """Return a refresh token whose signature is ours, though it may have expired. Raises TokenError."""
    token: Any = text
    try:
        return RefreshToken(token)
    except ExpiredTokenError:  # PyJWT looks at claims after the signature
        expired = RefreshToken(token, verify=False)
        expired.verify_token_type()
        return expired


def name_of(text: str) -> str:
    """Return a name from a client as it is stored: harmless wherever it is shown, and not too long."""
    return harmless(text)[:LONGEST_NAME].strip()


def _delete_expired() -> None:
    """Delete some families whose last token has expired."""
    expired = TokenFamily.objects.filter(expires_at__lt=timezone.now() - KEPT_AFTER_EXPIRY).order_by()
    family_ids = list(expired.values_list("pk", flat=True)[:MOST_DELETED])
    if family_ids:
        TokenFamily.objects.filter(pk__in=family_ids).delete()


def _begin(family: TokenFamily, user: AbstractBaseUser, *, checked: str | None = None) -> None:
    """Store a new family. Raises NotActive, also where the password is no longer the one that was `checked`."""
    users = (
        get_user_model()._default_manager.select_for_update(no_key=True).filter(pk=user.pk, is_active=True)
    )
    password = users.values_list("password", flat=True).first()
    if password is None or password != (checked or password):
        raise NotActive
    family.user_id, family.password_stamp = user.pk, stamp(password)
    family.save(force_insert=True)


def _write(family: TokenFamily, user: AbstractBaseUser, tokens: Sequence[Token]) -> None:
    """Make these the family's newest tokens. None of them outlives it."""
    now = timezone.now()
    for token in tokens:
        token[api_settings.USER_ID_CLAIM] = str(getattr(user, api_settings.USER_ID_FIELD))
        token[FAMILY_CLAIM] = str(family.pk)
        if family.read_only:
            token[CLAIM] = READ
        token.set_exp(lifetime=min(token.lifetime or timedelta(), family.ends_at - token.current_time))
        if isinstance(token, RefreshToken):
            family.refresh_id = token[api_settings.JTI_CLAIM]
    expiries = [datetime.fromtimestamp(token["exp"], tz=UTC) for token in tokens]
    family.expires_at, family.last_used_at = max(family.expires_at or now, *expiries), now
