"""From a password to an access token, to its refresh, to its revocation."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.test import Client
from rest_framework_simplejwt.token_blacklist.models import OutstandingToken
from rest_framework_simplejwt.tokens import AccessToken, RefreshToken

from tests.positions.api.conftest import Answer, Api
from tests.positions.threads import at_once

NO_ACCOUNT = {"detail": "No active account found with the given credentials"}


def ask_as(token: object) -> Answer:
    return Answer(Client(headers={"Authorization": f"Bearer {token}"}).get("/api/agents/"))


def test_token_of_the_right_password_opens_the_api(nobodys: Api, alice: User):
    given = nobodys.post("token/", {"username": "alice", "password": "alice-has-a-password"})
    assert given.status == 200
    assert set(given.data) == {"access", "refresh"}
    assert ask_as(given.data["access"]).status == 200


@pytest.mark.parametrize("password", ["bob-has-a-password", "", " alice-has-a-password"])
def test_token_of_a_wrong_password_is_refused(nobodys: Api, alice: User, password: str):
    answer = nobodys.post("token/", {"username": "alice", "password": password})
    if password:
        assert answer.refusal == (401, NO_ACCOUNT)
    else:
        assert answer.refusal == (400, {"errors": {"password": ["This field may not be blank."]}})


def test_token_of_an_inactive_user_is_refused_as_that_of_an_unknown_one(nobodys: Api, alice: User):
    alice.is_active = False
    alice.save()
    inactive = nobodys.post("token/", {"username": "alice", "password": "alice-has-a-password"})
    unknown = nobodys.post("token/", {"username": "carol", "password": "alice-has-a-password"})
    assert inactive.refusal == unknown.refusal == (401, NO_ACCOUNT)


def test_token_without_a_body_names_what_is_missing(nobodys: Api, db):
    required = ["This field is required."]
    assert nobodys.post("token/").refusal == (400, {"errors": {"username": required, "password": required}})


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ('"a\\u0000"', "Null characters are not allowed."),
        ("null", "This field may not be null."),
        ("[]", "Not a valid string."),
        ("1.5", "Not a valid string."),
    ],
)
def test_token_of_a_bad_name_says_so(nobodys: Api, db, name: str, message: str):
    answer = nobodys.post("token/", f'{{"username": {name}, "password": "x"}}')
    assert answer.refusal == (400, {"errors": {"username": [message]}})


def test_refresh_gives_an_access_token_that_opens_the_api_and_the_next_refresh_token(
    nobodys: Api, alice: User
):
    given = nobodys.post("token/refresh/", {"refresh": str(RefreshToken.for_user(alice))})
    assert given.status == 200
    assert set(given.data) == {"access", "refresh"}
    assert ask_as(given.data["access"]).status == 200
    assert nobodys.post("token/refresh/", {"refresh": given.data["refresh"]}).status == 200


def test_refresh_token_is_good_for_one_use(nobodys: Api, alice: User):
    token = {"refresh": str(RefreshToken.for_user(alice))}
    assert nobodys.post("token/refresh/", token).status == 200
    assert nobodys.post("token/refresh/", token).refusal == (401, {"detail": "Token is blacklisted"})


@pytest.mark.django_db(transaction=True)
def test_refresh_token_used_twice_at_once_gives_one_pair(nobodys: Api, alice: User):
    token = {"refresh": str(RefreshToken.for_user(alice))}
    answers = at_once(*[lambda: nobodys.post("token/refresh/", token).status] * 6)
    assert sorted(answers) == [200, 401, 401, 401, 401, 401]


def test_revoked_refresh_token_is_no_longer_valid(nobodys: Api, alice: User):
    token = {"refresh": str(RefreshToken.for_user(alice))}
    assert nobodys.post("token/revoke/", token).status == 204
    assert nobodys.post("token/refresh/", token).refusal == (401, {"detail": "Token is blacklisted"})


@pytest.mark.parametrize("token", ["nonsense", "a.b.c"])
def test_revoking_what_is_no_token_is_no_error(nobodys: Api, db, token: str):
    assert nobodys.post("token/revoke/", {"refresh": token}).status == 204


def test_database_keeps_no_token_that_opens_anything(nobodys: Api, alice: User):
    nobodys.post("token/", {"username": "alice", "password": "alice-has-a-password"})
    nobodys.post("token/refresh/", {"refresh": str(RefreshToken.for_user(alice))})
    assert OutstandingToken.objects.count() == 3
    assert set(OutstandingToken.objects.values_list("token", flat=True)) == {""}


def test_refresh_with_an_access_token_is_refused(nobodys: Api, alice: User):
    answer = nobodys.post("token/refresh/", {"refresh": str(AccessToken.for_user(alice))})
    assert answer.refusal == (401, {"detail": "Token has wrong type"})


def test_refresh_of_an_expired_token_is_refused(nobodys: Api, alice: User):
    token = RefreshToken.for_user(alice)
    token.set_exp(lifetime=timedelta(seconds=-1))
    answer = nobodys.post("token/refresh/", {"refresh": str(token)})
    assert answer.refusal == (401, {"detail": "Token is expired"})


def test_refresh_of_an_inactive_user_is_refused(nobodys: Api, alice: User):
    token = RefreshToken.for_user(alice)
    alice.is_active = False
    alice.save()
    answer = nobodys.post("token/refresh/", {"refresh": str(token)})
    assert answer.refusal == (401, {"detail": "No active account found for the given token."})


def test_revoke_of_what_is_no_string_is_refused(nobodys: Api, db):
    assert nobodys.post("token/revoke/", {"refresh": 4}).refusal == (
        400,
        {"errors": {"refresh": ["refresh must be a string, not 4"]}},
    )


def test_refresh_of_a_deleted_user_is_refused(nobodys: Api, alice: User):
    token = RefreshToken.for_user(alice)
    alice.delete()
    answer = nobodys.post("token/refresh/", {"refresh": str(token)})
    assert answer.refusal == (401, {"detail": "No active account found for the given token."})


def test_api_without_a_token_is_refused(nobodys: Api, db):
    answer = nobodys.get("agents/")
    assert answer.refusal == (401, {"detail": "Authentication credentials were not provided."})
    assert answer.headers["WWW-Authenticate"] == 'Bearer realm="api"'


def test_api_with_a_refresh_token_is_refused(alice: User):
    answer = ask_as(RefreshToken.for_user(alice))
    assert answer.refusal == (401, {"detail": "Given token not valid for any token type"})


def test_api_with_an_expired_token_is_refused(alice: User):
    token = AccessToken.for_user(alice)
    token.set_exp(lifetime=timedelta(seconds=-1))
    assert ask_as(token).refusal == (401, {"detail": "Given token not valid for any token type"})


def test_api_with_the_token_of_a_user_deactivated_since_is_refused(alice: User):
    token = AccessToken.for_user(alice)
    alice.is_active = False
    alice.save()
    assert ask_as(token).refusal == (401, {"detail": "User is inactive"})


@pytest.mark.parametrize("token", ["", "a b", "not.a.token", "é"])
def test_api_with_a_malformed_token_is_refused(db, token: str):
    assert ask_as(token).status == 401
