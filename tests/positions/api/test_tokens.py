"""From a password to an access token, to its refresh, to its revocation."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.test import Client

from positions.accounts.families import Kind, log_in
from tests.live import access_token
from tests.positions.api.conftest import Answer, Api

NO_ACCOUNT = {"detail": "No active account found with the given credentials"}


def refresh_token(user: User) -> str:
    return str(log_in(user, kind=Kind.BOT).refresh)


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
    given = nobodys.post("token/refresh/", {"refresh": refresh_token(alice)})
    assert given.status == 200
    assert set(given.data) == {"access", "refresh"}
    assert ask_as(given.data["access"]).status == 200
    assert nobodys.post("token/refresh/", {"refresh": given.data["refresh"]}).status == 200


@pytest.mark.parametrize("token", ["nonsense", "a.b.c"])
def test_revoking_what_is_no_token_is_no_error(nobodys: Api, db, token: str):
    assert nobodys.post("token/revoke/", {"refresh": token}).status == 204


def test_refresh_with_an_access_token_is_refused(nobodys: Api, alice: User):
    answer = nobodys.post("token/refresh/", {"refresh": access_token(alice)})
    assert answer.refusal == (401, {"detail": "Token has wrong type"})


def test_refresh_of_an_expired_token_is_refused(nobodys: Api, alice: User):
    token = log_in(alice, kind=Kind.BOT).refresh
    token.set_exp(lifetime=timedelta(seconds=-1))
    answer = nobodys.post("token/refresh/", {"refresh": str(token)})
    assert answer.refusal == (401, {"detail": "Token is expired"})


def test_refresh_of_an_inactive_user_is_refused(nobodys: Api, alice: User):
    token = refresh_token(alice)
    alice.is_active = False
    alice.save()
    answer = nobodys.post("token/refresh/", {"refresh": token})
    assert answer.refusal == (401, {"detail": "The user is inactive."})


def test_revoke_of_what_is_no_string_is_refused(nobodys: Api, db):
    assert nobodys.post("token/revoke/", {"refresh": 4}).refusal == (
        400,
        {"errors": {"refresh": ["refresh must be a string, not 4"]}},
    )


def test_refresh_of_a_deleted_user_is_refused(nobodys: Api, alice: User):
    token = refresh_token(alice)
    alice.delete()
    answer = nobodys.post("token/refresh/", {"refresh": token})
    assert answer.refusal == (401, {"detail": "This token is not known here any more: log in again."})


def test_token_is_accepted_from_whoever_presents_it(alice: User):
    """As docs/security.md says: it is a bearer token."""
    headers = {"Authorization": f"Bearer {access_token(alice)}"}
    for address, program in (("192.0.2.1", "bot/1"), ("2001:db8::1", "curl/8")):
        client = Client(REMOTE_ADDR=address, headers={**headers, "User-Agent": program})
        assert client.get("/api/agents/").status_code == 200


def test_api_without_a_token_is_refused(nobodys: Api, db):
    answer = nobodys.get("agents/")
    assert answer.refusal == (401, {"detail": "Authentication credentials were not provided."})
    assert answer.headers["WWW-Authenticate"] == 'Bearer realm="api"'


def test_api_with_a_refresh_token_is_refused(alice: User):
    answer = ask_as(refresh_token(alice))
    assert answer.refusal == (401, {"detail": "Given token not valid for any token type"})


def test_api_with_an_expired_token_is_refused(alice: User):
    assert ask_as(access_token(alice, exp=1)).refusal == (
        401,
        {"detail": "Given token not valid for any token type"},
    )


def test_api_with_the_token_of_a_user_deactivated_since_is_refused(alice: User):
    token = access_token(alice)
    alice.is_active = False
    alice.save()
    assert ask_as(token).refusal == (401, {"detail": "The user is inactive."})


@pytest.mark.parametrize("token", ["", "a b", "not.a.token", "é"])
def test_api_with_a_malformed_token_is_refused(db, token: str):
    assert ask_as(token).status == 401
