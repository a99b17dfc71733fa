"""Tokens end: all that follow from one log-in, together, once and for good, and no others."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.conf import LazySettings
from django.contrib.auth.hashers import make_password
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.db import connection
from django.test import Client
from django.utils import timezone
from rest_framework_simplejwt.tokens import AccessToken, RefreshToken

from positions.accounts import last_used
from positions.accounts.families import issue
from positions.accounts.session_views import COOKIE
from positions.models import TokenFamily, user_changes
from tests.hashing import CheapPBKDF2
from tests.live import access_token
from tests.positions.api.conftest import Answer, Api
from tests.positions.threads import at_once

PASSWORD = "alice-has-a-password"
REUSED = {"detail": "This session has ended: a refresh token was used twice."}
NEW_PASSWORD = {"detail": "This session has ended: the password was changed."}


def log_in(**more: Any) -> dict[str, str]:
    """Log in as a bot of alice's; return its two tokens."""
    answer = Api(None).post("token/", {"username": "alice", "password": PASSWORD, **more})
    assert answer.status == 200, answer.text
    tokens: dict[str, str] = answer.data
    return tokens


def refresh(token: str) -> Answer:
    return Api(None).post("token/refresh/", {"refresh": token})


def sid(token: str) -> str:
    claims: Any = AccessToken(token)  # type: ignore[arg-type]
    return str(claims["sid"])


def ask(token: str) -> int:
    """Return the status of a request with this access token."""
    return Client(headers={"Authorization": f"Bearer {token}"}).get("/api/agents/").status_code


class Browser:
    """The page, logged in as alice."""

    def __init__(self) -> None:
        self.client = Client(enforce_csrf_checks=True)
        self.client.get("/")
        self.access: str = self.ask("POST", username="alice", password=PASSWORD).data["access"]

    def ask(self, method: str, path: str = "", **body: str) -> Answer:
        headers = {"X-CSRFToken": self.client.cookies["csrftoken"].value}
        data = json.dumps(body) if body else ""
        kind = "application/json"
        return Answer(
            self.client.generic(method, f"/api/session/{path}", data, content_type=kind, headers=headers)
        )

    @property
    def cookie(self) -> str:
        return self.client.cookies[COOKIE].value

    @cookie.setter
    def cookie(self, token: str) -> None:
        self.client.cookies[COOKIE] = token


# One credential, one endpoint


def test_cookie_is_refused_by_the_bots_endpoint_and_stays_valid(alice: User):
    browser = Browser()
    answer = refresh(browser.cookie)
    assert answer.refusal == (401, {"detail": "This refresh token is valid at /api/session/ only."})
    assert browser.ask("POST", "refresh/").status == 200


def test_bot_s_token_is_refused_as_a_cookie(alice: User):
    browser, tokens = Browser(), log_in()
    browser.cookie = tokens["refresh"]
    assert browser.ask("POST", "refresh/").refusal == (
        401,
        {"detail": "This refresh token is valid at /api/token/refresh/ only."},
    )
    assert refresh(tokens["refresh"]).status == 200


def test_cookie_is_shared_by_tabs(alice: User):
    browser = Browser()
    assert [browser.ask("POST", "refresh/").status for _ in range(3)] == [200, 200, 200]


# Reuse


def test_refresh_token_used_twice_ends_the_family(alice: User):
    first = log_in()
    second = refresh(first["refresh"]).data
    assert refresh(first["refresh"]).refusal == (401, REUSED)
    assert refresh(second["refresh"]).refusal == (401, REUSED)
    assert [ask(tokens["access"]) for tokens in (first, second)] == [401, 401]


@pytest.mark.django_db(transaction=True)
def test_refresh_token_used_at_once_has_one_winner_whose_tokens_end_too(alice: User):
    token = log_in()["refresh"]
    answers = at_once(*[lambda: refresh(token)] * 6)
    assert sorted(answer.status for answer in answers) == [200, 401, 401, 401, 401, 401]
    won = next(answer for answer in answers if answer.status == 200)
    assert refresh(won.data["refresh"]).refusal == (401, REUSED)


# Log-out


def test_log_out_ends_the_family_wherever_it_was_rotated(alice: User):
    """Whoever copied the token and rotated it first keeps nothing."""
    first = log_in()
    copied = refresh(first["refresh"]).data
    assert Api(None).post("token/revoke/", {"refresh": first["refresh"]}).status == 204
    assert refresh(copied["refresh"]).status == 401
    assert ask(copied["access"]) == 401


def expired(token: str) -> str:
    """Return the same refresh token, signed as an old one."""
    old = RefreshToken(token)  # type: ignore[arg-type]
    old["exp"] = 1
    return str(old)


def test_log_out_ends_the_family_with_a_token_that_has_expired_since(alice: User):
    first = log_in()
    copied = refresh(first["refresh"]).data
    revoke = Api(None).post("token/revoke/", {"refresh": expired(first["refresh"])})
    assert (revoke.status, refresh(copied["refresh"]).status) == (204, 401)


def test_replaced_token_that_has_expired_since_ends_the_family_and_the_current_one_does_not(alice: User):
    first = log_in()
    current = refresh(first["refresh"]).data["refresh"]
    gone = {"detail": "Token is expired"}
    assert refresh(expired(current)).refusal == (401, gone)
    current = refresh(current).data["refresh"]
    assert refresh(expired(first["refresh"])).refusal == (401, gone)
    assert refresh(current).refusal == (401, REUSED)


@pytest.mark.parametrize("kind", ["forged", "an access token"])
def test_log_out_with_what_is_no_refresh_token_of_ours_ends_nothing(alice: User, kind: str):
    tokens = log_in()
    other = expired(tokens["refresh"])[:-4] + "AAAA" if kind == "forged" else tokens["access"]
    assert Api(None).post("token/revoke/", {"refresh": other}).status == 204
    assert refresh(tokens["refresh"]).status == 200


def test_log_out_touches_no_other_log_in(alice: User):
    browser, other, tokens = Browser(), Browser(), log_in()
    access = browser.access
    assert browser.ask("DELETE").status == 204
    assert ask(access) == 401
    assert [ask(other.access), ask(tokens["access"])] == [200, 200]
    assert other.ask("POST", "refresh/").status == refresh(tokens["refresh"]).status == 200


def test_tokens_of_a_family_that_is_no_longer_stored_are_refused(alice: User):
    """So that a row may be deleted whenever."""
    browser, tokens = Browser(), log_in()
    TokenFamily.objects.all().delete()
    assert [ask(browser.access), ask(tokens["access"])] == [401, 401]
    assert browser.ask("POST", "refresh/").status == refresh(tokens["refresh"]).status == 401


def test_family_is_deleted_after_its_last_token_has_expired_and_not_before(alice: User):
    lasting, over = log_in()["access"], log_in()["access"]
    ago = timezone.now() - timedelta(days=2)
    for token, expires_at in ((lasting, timezone.now()), (over, ago)):
        TokenFamily.objects.filter(pk=sid(token)).update(
            expires_at=expires_at, ended_at=ago, ended_because="logged_out"
        )
    log_in()
    assert ask(lasting) == 401
    ids = {str(key) for key in TokenFamily.objects.values_list("pk", flat=True)}
    assert sid(lasting) in ids
    assert sid(over) not in ids


# The absolute end


def test_rotated_tokens_do_not_outlive_the_family(alice: User):
    tokens = log_in()
    end = timezone.now() + timedelta(minutes=5)
    TokenFamily.objects.update(ends_at=end)
    for _ in range(2):
        tokens = refresh(tokens["refresh"]).data
        for token in (AccessToken(tokens["access"]), RefreshToken(tokens["refresh"])):
            assert token["exp"] == int(end.timestamp())


def test_family_ends_after_the_days_in_the_settings(alice: User, settings):
    settings.NEXGENT = {**settings.NEXGENT, "SESSION_DAYS": 87 / 86_400}
    before = timezone.now()
    tokens = log_in()
    exp = RefreshToken(tokens["refresh"])["exp"]  # type: ignore[arg-type]
    assert int(before.timestamp()) + 86 <= exp <= timezone.now().timestamp() + 87


# What ends a user


def by_form(password: str) -> None:
    alice = User.objects.get()
    alice.set_password(password)
    alice.save()


def by_update(password: str) -> None:
    User.objects.update(password=make_password(password))


def by_sql(password: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute("UPDATE auth_user SET password = %s", [make_password(password)])


@pytest.fixture
def everything(alice: User) -> dict[str, Callable[[], int]]:
    """A use of each kind of token that alice has: its status."""
    browser, tokens, issued = Browser(), log_in(), str(issue(alice, lifetime=timedelta(days=9)))
    access = browser.access
    return {
        "cookie": lambda: browser.ask("POST", "refresh/").status,
        "browser's access": lambda: ask(access),
        "refresh": lambda: refresh(tokens["refresh"]).status,
        "bot's access": lambda: ask(tokens["access"]),
        "issued": lambda: ask(issued),
    }


@pytest.mark.parametrize("change", [by_form, by_update, by_sql])
def test_new_password_ends_all_tokens_for_good(everything, change):
    before = User.objects.get().password
    change("another-password")
    User.objects.update(password=before)  # nor by way back
    assert {name: use() for name, use in everything.items()} == dict.fromkeys(everything, 401)
    assert set(TokenFamily.objects.values_list("ended_because", flat=True)) == {"password"}


def test_new_password_is_named_as_the_reason(alice: User):
    tokens = log_in()
    by_update("another-password")
    assert refresh(tokens["refresh"]).refusal == (401, NEW_PASSWORD)


@pytest.mark.parametrize("way", ["save", "update", "sql"])
def test_deactivation_ends_all_tokens_for_good(everything, way: str):
    if way == "save":
        alice = User.objects.get()
        for alice.is_active in (False, True):
            alice.save()
    elif way == "update":
        User.objects.update(is_active=False)
        User.objects.update(is_active=True)
    else:
        with connection.cursor() as cursor:
            for value in (False, True):
                cursor.execute("UPDATE auth_user SET is_active = %s", [value])
    assert {name: use() for name, use in everything.items()} == dict.fromkeys(everything, 401)
    assert set(TokenFamily.objects.values_list("ended_because", flat=True)) == {"deactivated"}


def test_other_changes_of_a_user_and_those_of_others_end_nothing(everything, bob: User):
    alice = User.objects.get(username="alice")
    alice.email, alice.is_active = "alice@example.org", True
    alice.save()
    by = User.objects.filter(pk=bob.pk)
    by.update(is_active=False)
    by.update(password="x")
    assert {name: use() for name, use in everything.items()} == dict.fromkeys(everything, 200)


def test_log_in_that_hashes_the_same_password_anew_ends_nothing(everything, settings):
    class Dearer(CheapPBKDF2):
        iterations = CheapPBKDF2.iterations + 1

    before = User.objects.get().password
    settings.PASSWORD_HASHERS = [f"{Dearer.__module__}.Dearer"]
    globals()["Dearer"] = Dearer
    log_in()
    assert User.objects.get().password != before
    assert {name: use() for name, use in everything.items()} == dict.fromkeys(everything, 200)
    by_form("another-password")
    assert {name: use() for name, use in everything.items()} == dict.fromkeys(everything, 401)


def test_tokens_end_with_the_password_also_without_the_trigger(alice: User):
    """A family that began in the moment of the change, or a database that was restored without triggers."""
    token = access_token(alice)
    User.objects.update(password=make_password("another-password"))
    TokenFamily.objects.update(ended_at=None, ended_because="")
    assert ask(token) == 401


def test_trigger_that_was_lost_is_made_anew_by_the_next_migrate(alice: User):
    user_changes.unwatch(connection)
    call_command("migrate", verbosity=0)
    token = access_token(alice)
    User.objects.update(is_active=False)
    User.objects.update(is_active=True)
    assert ask(token) == 401


def test_without_the_trigger_tokens_of_a_deactivated_user_come_back_with_a_reactivation(alice: User):
    """As docs/security.md says of a database that was copied without its triggers."""
    user_changes.unwatch(connection)
    token = access_token(alice)
    User.objects.update(is_active=False)
    assert ask(token) == 401
    User.objects.update(is_active=True)
    assert ask(token) == 200


@pytest.mark.parametrize("replaces_the_key", [False, True])
def test_restored_backup_has_the_tokens_of_its_time_until_the_key_is_replaced(
    alice: User, tmp_path: Path, settings: LazySettings, replaces_the_key: bool
):
    tokens = log_in()
    call_command("dumpdata", "positions.tokenfamily", output=str(tmp_path / "dump.json"))
    assert Api(None).post("token/revoke/", {"refresh": tokens["refresh"]}).status == 204
    assert ask(tokens["access"]) == 401
    call_command("loaddata", str(tmp_path / "dump.json"), verbosity=0)
    if replaces_the_key:
        settings.SECRET_KEY = "another-key-" + 50 * "a"
    assert ask(tokens["access"]) == (401 if replaces_the_key else 200)
    assert refresh(tokens["refresh"]).status == (401 if replaces_the_key else 200)


# Of a release before


@pytest.mark.parametrize("kind", [AccessToken, RefreshToken])
@pytest.mark.parametrize("claims", [{}, {"sid": "0f7a4c1e-5d26-4b8e-9c3a-6f1d2e8b7a90"}, {"sid": [1]}])
def test_token_without_a_family_is_refused_and_told_what_to_do(
    alice: User, kind: Any, claims: dict[str, Any]
):
    token = kind()
    token.payload |= {"user_id": str(alice.pk), **claims}
    headers = {"Authorization": f"Bearer {token}"}
    answer = (
        Answer(Client(headers=headers).get("/api/agents/")) if kind is AccessToken else refresh(str(token))
    )
    assert answer.refusal == (401, {"detail": "This token is not known here any more: log in again."})


def test_token_of_another_user_s_family_is_refused(alice: User, bob: User):
    assert ask(access_token(alice, user_id=str(bob.pk))) == 401


# Names, and when they were last used


@pytest.mark.parametrize(
    ("given", "stored"),
    [({"name": "grid\x1b[31m bot"}, "grid[31m bot"), ({}, "python/3"), ({"name": ""}, "python/3")],
)
def test_log_in_has_the_name_it_gave_or_that_of_its_client(alice: User, given: dict[str, str], stored: str):
    body = {"username": "alice", "password": PASSWORD, **given}
    Api(None).request("POST", "token/", json.dumps(body), headers={"User-Agent": "python/3"})
    assert TokenFamily.objects.get().name == stored


def test_issued_token_has_its_name(alice: User):
    errors = io.StringIO()
    call_command("issue_token", "alice", "--name", "screen", stdout=io.StringIO(), stderr=errors)
    family = TokenFamily.objects.get()
    assert str(family) == "issued screen"
    assert errors.getvalue().endswith(f"To revoke it: manage.py tokens --revoke {family.pk}\n")
    with pytest.raises(CommandError, match=r"^--name must have at most 100 characters; it has 101\.$"):
        call_command("issue_token", "alice", "--name", "x" * 101)


def test_last_use_is_written_now_and_then(alice: User, monkeypatch, django_assert_num_queries):
    monkeypatch.setattr(last_used, "_write_at", 0.0)
    tokens = [access_token(alice) for _ in range(2)]
    TokenFamily.objects.update(last_used_at=timezone.now() - timedelta(hours=1))
    for token, queries in zip([*tokens, *tokens], [3, 2, 2, 2], strict=True):
        with django_assert_num_queries(
            queries
        ):  # the token, the COUNT of agents; the first time, the writing
            assert ask(token) == 200
    ago = timezone.now() - timedelta(minutes=1)
    assert TokenFamily.objects.filter(last_used_at__gt=ago).count() == 1
    monkeypatch.setattr(last_used, "_write_at", 0.0)
    assert ask(tokens[1]) == 200
    assert TokenFamily.objects.filter(last_used_at__gt=ago).count() == 2


@pytest.mark.postgresql  # an update that is not a stop serves from there
def test_server_of_the_release_before_deletes_a_user_who_has_tokens(alice: User):
    """It knows no families, so the database deletes them (migration 0018)."""
    token = access_token(alice)
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM auth_user WHERE id = %s", [alice.pk])
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
    assert ask(token) == 401
    assert not TokenFamily.objects.exists()
