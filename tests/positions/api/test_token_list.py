"""Tokens are listed with their names, and revoked one by one: over REST, in the admin, by a command."""

from __future__ import annotations

import io
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from positions.accounts.families import Kind, issue, log_in
from positions.models import TokenFamily
from tests.live import access_token
from tests.positions.api.conftest import UNKNOWN_ID, Api
from tests.positions.api.test_families import ask, refresh, sid


@pytest.fixture
def bot(alice: User) -> str:
    return str(issue(alice, lifetime=timedelta(days=3), name="grid bot"))


@pytest.fixture
def screen(alice: User) -> str:
    return str(issue(alice, lifetime=timedelta(days=3), name="screen", read_only=True))


@pytest.fixture
def of_bob(bob: User) -> str:
    return access_token(bob)


# REST


def test_own_tokens_are_listed_newest_first(bot: str, screen: str, of_bob: str):
    answer = as_holder(screen).get("tokens/")
    assert answer.status == 200
    rows = answer.data["results"]
    assert [(row["name"], row["readOnly"], row["current"]) for row in rows] == [
        ("screen", True, True),
        ("grid bot", False, False),
    ]
    assert rows[1] | {"createdAt": 0, "lastUsedAt": 0, "expiresAt": 0, "endsAt": 0} == {
        "id": sid(bot),
        "kind": "issued",
        "name": "grid bot",
        "readOnly": False,
        "createdAt": 0,
        "lastUsedAt": 0,
        "expiresAt": 0,
        "endsAt": 0,
        "endedAt": None,
        "endedBecause": None,
        "current": False,
    }


def as_holder(token: str) -> Api:
    api = Api(None)
    api.client = Client(headers={"Authorization": f"Bearer {token}"})
    return api


def test_token_is_revoked_alone_and_for_good(alice: User, bot: str, screen: str):
    tokens = log_in(alice, kind=Kind.BOT)
    alices = as_holder(bot)
    for token in (tokens.access, screen):
        for _ in range(2):  # the second time nothing is left to do
            assert alices.delete(f"tokens/{sid(str(token))}/").status == 204
    assert [ask(str(token)) for token in (tokens.access, screen, bot)] == [401, 401, 200]
    detail = "This session has ended: revoked."
    assert refresh(str(tokens.refresh)).refusal == (401, {"detail": detail})
    ended = [row["endedBecause"] for row in alices.get("tokens/").data["results"]]
    assert ended == ["revoked", "revoked", None]


@pytest.mark.parametrize("whose", ["bob's", "nobody's"])
def test_token_of_somebody_else_is_not_found(bot: str, of_bob: str, whose: str):
    key = sid(of_bob) if whose == "bob's" else UNKNOWN_ID
    assert as_holder(bot).delete(f"tokens/{key}/").refusal == (404, {"detail": "Not found."})
    assert ask(of_bob) == 200


def test_token_may_revoke_itself(bot: str):
    assert as_holder(bot).delete(f"tokens/{sid(bot)}/").status == 204
    assert ask(bot) == 401


# Admin


@pytest.fixture
def admin(db: None, client: Client) -> Client:
    client.force_login(User.objects.create(username="root", is_staff=True, is_superuser=True))
    return client


def page(client: Client, **query: Any) -> str:
    answer = client.get(reverse("admin:positions_tokenfamily_changelist"), query)
    assert answer.status_code == 200
    return str(answer.content.decode())


def test_admin_lists_tokens_by_user_and_state(admin: Client, alice: User, bot: str, of_bob: str):
    TokenFamily.objects.filter(user=alice).update(ended_at=timezone.now(), ended_because="reused")
    assert "grid bot" in page(admin)
    assert "a refresh token was used twice" in page(admin, user__id__exact=alice.pk)
    assert sid(of_bob) not in page(admin, user__id__exact=alice.pk)
    assert "grid bot" not in page(admin, state="valid")
    assert "grid bot" in page(admin, state="over")
    one = reverse("admin:positions_tokenfamily_change", args=[sid(bot)])
    assert bot not in admin.get(one).content.decode()


def test_admin_revokes_tokens_and_says_who_did(admin: Client, bot: str, screen: str, of_bob: str):
    TokenFamily.objects.filter(pk=sid(screen)).update(ended_at=timezone.now(), ended_because="reused")
    body = {"action": "revoke_selected", "_selected_action": [sid(bot), sid(screen)]}
    answer = admin.post(reverse("admin:positions_tokenfamily_changelist"), body, follow=True)
    assert "1 of 2 tokens revoked, their sockets closed." in answer.content.decode()
    assert [ask(bot), ask(of_bob)] == [401, 200]
    assert LogEntry.objects.get().object_id == sid(bot)
    assert TokenFamily.objects.get(pk=sid(screen)).ended_because == "reused"


# manage.py tokens


def tokens(*arguments: str) -> tuple[list[str], str]:
    out, errors = io.StringIO(), io.StringIO()
    call_command("tokens", *arguments, stdout=out, stderr=errors)
    return out.getvalue().splitlines(), errors.getvalue().strip()


def test_command_lists_valid_tokens(bot: str, screen: str, of_bob: str):
    TokenFamily.objects.filter(pk=sid(screen)).update(ended_at=timezone.now(), ended_because="reused")
    (header, line), _ = tokens("alice")
    assert header.split()[:3] == ["id", "user", "kind"]
    assert line.startswith(f"{sid(bot)}  alice  issued  ")
    assert line.endswith("  valid  grid bot")
    assert len(tokens()[0]) == 3
    everything, _ = tokens("alice", "--all")
    assert "issued, read-only" in everything[1]
    assert everything[1].endswith("  a refresh token was used twice  screen")


def test_command_prints_no_control_character(bot: str):
    TokenFamily.objects.update(name="a\x1b[31m\nb")
    (_, line), _ = tokens()
    assert line.endswith("a[31m b")


def test_command_revokes_by_id_all_or_none(bot: str, screen: str, of_bob: str):
    with pytest.raises(CommandError, match=f"^There is no token {UNKNOWN_ID}: nothing was revoked.$"):
        tokens("--revoke", sid(bot), "--revoke", UNKNOWN_ID)
    with pytest.raises(CommandError, match=f"^There is no token {sid(of_bob)}: nothing was revoked.$"):
        tokens("alice", "--revoke", sid(of_bob))
    with pytest.raises(
        CommandError, match=r"^--revoke must be an id that `manage.py tokens` lists; it is 'x'.$"
    ):
        tokens("--revoke", "x")
    assert ask(bot) == 200
    assert tokens("--revoke", sid(bot)) == ([], "1 token revoked.")
    assert tokens("--revoke", sid(bot)) == ([], "0 tokens revoked.")
    assert [ask(token) for token in (bot, screen, of_bob)] == [401, 200, 200]


def test_command_revokes_all_of_a_user(bot: str, screen: str, of_bob: str):
    for arguments in (["--revoke-all"], ["alice", "--revoke-all", "--revoke", sid(bot)]):
        with pytest.raises(CommandError, match=r"^--revoke-all needs the name of a user, and no --revoke.$"):
            tokens(*arguments)
    with pytest.raises(CommandError, match=r"^There is no user 'carol'.$"):
        tokens("carol", "--revoke-all")
    assert tokens("alice", "--revoke-all") == ([], "2 tokens revoked.")
    assert [ask(token) for token in (bot, screen, of_bob)] == [401, 401, 200]
