"""Checking a password, as Django's ModelBackend does, without ending the user's tokens where it is hashed anew.

After an upgrade of Django that makes hashes more expensive, the next log-in stores the same password with a new hash.
To the database that is a new password, which ends all tokens (positions/models/user_changes.py).
"""

from __future__ import annotations

from typing import Any

from django.contrib.auth import get_user_model
from django.contrib.auth.hashers import check_password, make_password
from django.db import transaction

from positions.models import TokenFamily
from positions.models.tokens import stamp


def user_of(name: str, password: str) -> Any:
    """Return the user with this name and password, active or not; None where there is none.

    An unknown name takes as long as a wrong password: one hash.
    """
    users = get_user_model()
    try:
        user = users._default_manager.get_by_natural_key(name)
    except users.DoesNotExist:
        users().set_password(password)
        return None

    checked, anew = user.password, ""

    def hash_anew(raw_password: str) -> None:
        nonlocal anew
        anew = make_password(raw_password)
        user.password = _replace(user, checked, anew)

    if not check_password(password, checked, hash_anew):
        return None
    if user.password not in {checked, anew} and not check_password(password, user.password):
        return None  # it was changed meanwhile
    return user


def _replace(user: Any, old: str, new: str) -> str:
    """Store another hash of the same password, and return what is stored: another log-in may have been faster."""
    rows = get_user_model()._default_manager.filter(pk=user.pk)
    with transaction.atomic():  # nobody sees the tokens ended
        stored = rows.select_for_update(no_key=True).values_list("password", flat=True).first()
        if stored != old:
            return stored or ""
        alive = TokenFamily.objects.filter(user_id=user.pk, ended_at=None, password_stamp=stamp(old))
        family_ids = list(alive.order_by().values_list("pk", flat=True))
        user.password = new  # not set_password: to Django, too, it is no new one
        user.save(update_fields=["password"])
        TokenFamily.objects.filter(pk__in=family_ids).update(
            ended_at=None, ended_because="", password_stamp=stamp(new)
        )
    return new
