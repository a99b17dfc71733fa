"""`POST /api/socket-ticket/`: what an access token buys, and where there is none."""

from __future__ import annotations

import time

import pytest
from django.contrib.auth.models import User
from django.test import Client

from positions import valkey
from tests.live import access_token, refresh_token
from tests.positions.api.conftest import Answer, Api

pytestmark = pytest.mark.django_db


def ask(token: str) -> Answer:
    return Answer(Client(headers={"Authorization": f"Bearer {token}"}).post("/api/socket-ticket/"))


def test_ticket_is_random_short_lived_and_in_no_cache(alices: Api, settings):
    settings.NEXGENT = {**settings.NEXGENT, "SOCKET_TICKET_SECONDS": 20.0}
    one, other = alices.post("socket-ticket/"), alices.post("socket-ticket/")
    assert one.status == 200
    assert set(one.data) == {"ticket", "expiresIn"}
    assert one.data["expiresIn"] == 20
    assert one.data["ticket"] != other.data["ticket"]
    assert len(one.data["ticket"]) >= 128 / 6
    assert "no-store" in one.headers["Cache-Control"]


def test_ticket_does_not_outlive_the_token_that_buys_it(alice: User):
    token = access_token(alice, exp=int(time.time()) + 12)
    assert 0 < ask(token).data["expiresIn"] <= 12  # by themselves they last for 15


def test_store_has_neither_ticket_nor_token(alice: User):
    token = access_token(alice)
    ticket = ask(token).data["ticket"]
    keys = list(valkey.client().scan_iter("*:ticket:*"))
    stored = repr((keys, valkey.client().mget(keys)))
    assert keys
    assert ticket not in stored
    assert ticket.removeprefix("ticket_") not in stored
    assert token.rpartition(".")[2] not in stored


def test_read_only_token_buys_one(alice: User):
    assert ask(access_token(alice, scope="read")).status == 200


@pytest.mark.parametrize("kind", ["none", "refresh", "expired", "forged", "inactive"])
def test_other_tokens_buy_none(alice: User, nobodys: Api, kind: str):
    tokens = {
        "refresh": refresh_token(alice),
        "expired": access_token(alice, exp=int(time.time()) - 60),
        "forged": access_token(alice)[:-4] + "AAAA",
        "inactive": access_token(alice),
    }
    if kind == "inactive":
        User.objects.update(is_active=False)
    answer = nobodys.post("socket-ticket/") if kind == "none" else ask(tokens[kind])
    assert answer.status == 401
    assert set(answer.data) == {"detail"}


def test_there_are_none_while_redis_is_unavailable(alices: Api, valkey_away):
    answer = alices.post("socket-ticket/")
    assert answer.status == 503
    assert "Redis or Valkey is unavailable" in answer.data["detail"]


def test_page_of_a_listed_origin_may_ask_for_one(alice: User, settings):
    settings.CORS_ALLOWED_ORIGINS = ["https://app.example.org"]
    headers = {"Origin": "https://app.example.org", "Authorization": f"Bearer {access_token(alice)}"}
    answer = Client(headers=headers).post("/api/socket-ticket/")
    assert answer.headers["Access-Control-Allow-Origin"] == "https://app.example.org"
