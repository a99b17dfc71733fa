"""A browser's session: the cookie, its CSRF protection, and a log-out that ends everything."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone
from rest_framework_simplejwt.tokens import RefreshToken

from positions.accounts.session_views import COOKIE
from positions.accounts.sessions import SESSION_CLAIM
from positions.models import Agent, EndedSession
from realtime.publish import signals
from tests.conftest import person
from tests.live import Server, access_token, client

ALICE = {"username": "alice", "password": "alice-has-a-password"}


class Browser:
    """A page of this server: it has the CSRF cookie, and sends it back."""

    def __init__(self) -> None:
        self.client = Client(enforce_csrf_checks=True)
        self.client.get("/")

    def ask(
        self, method: str, path: str = "", body: dict[str, Any] | None = None, *, csrf: bool = True
    ) -> Any:
        headers = {"X-CSRFToken": self.client.cookies["csrftoken"].value} if csrf else {}
        return self.client.generic(
            method,
            f"/api/session/{path}",
            json.dumps(body) if body else "",
            content_type="application/json",
            headers=headers,
        )

    def log_in(self, body: dict[str, Any] = ALICE) -> str:
        answer = self.ask("POST", body=body)
        assert answer.status_code == 200, answer.content
        access: str = answer.json()["access"]
        return access


def agents(token: str) -> int:
    return Client(headers={"Authorization": f"Bearer {token}"}).get("/api/agents/").status_code


@pytest.fixture
def page(alice: User) -> Browser:
    return Browser()


def test_log_in_puts_the_refresh_token_where_no_script_reads_it(page: Browser, settings):
    settings.DEBUG = True
    answer = page.ask("POST", body=ALICE)
    assert set(answer.json()) == {"access", "username"}
    cookie = answer.cookies[COOKIE]
    assert (cookie["httponly"], cookie["samesite"], cookie["path"]) == (True, "Strict", "/api/session/")
    assert not cookie["secure"]
    assert answer["Cache-Control"] == "no-store"
    assert agents(answer.json()["access"]) == 200
    settings.DEBUG = False
    assert page.ask("POST", body=ALICE).cookies[COOKIE]["secure"]


def test_log_in_with_a_wrong_password_is_refused_and_sets_no_cookie(page: Browser):
    answer = page.ask("POST", body={**ALICE, "password": "wrong"})
    assert answer.status_code == 401
    assert answer.json() == {"detail": "No active account found with the given credentials"}
    assert COOKIE not in answer.cookies


@pytest.mark.parametrize(("method", "path"), [("POST", ""), ("POST", "refresh/"), ("DELETE", "")])
def test_session_without_the_csrf_token_is_refused(page: Browser, method: str, path: str):
    page.log_in()
    answer = page.ask(method, path, ALICE, csrf=False)
    assert answer.status_code == 403
    assert answer.json() == {"detail": "CSRF token missing. Load the page again."}
    assert page.ask("POST", "refresh/").status_code == 200  # and nothing has come of it


def test_refresh_gives_an_access_token_without_a_password(page: Browser):
    page.log_in()
    answer = page.ask("POST", "refresh/")
    assert (answer.status_code, answer.json()["username"]) == (200, "alice")
    assert agents(answer.json()["access"]) == 200


def test_refresh_without_a_session_answers_that_there_is_none(page: Browser):
    answer = page.ask("POST", "refresh/")
    assert (answer.status_code, answer.content) == (204, b"")


@pytest.mark.parametrize("token", ["nonsense", "of a bot", "of a stranger's making"])
def test_refresh_with_an_invalid_cookie_is_refused_and_takes_it_away(page: Browser, alice: User, token: str):
    made = RefreshToken.for_user(alice)
    if token == "of a stranger's making":
        made[SESSION_CLAIM] = "no id"
    page.client.cookies[COOKIE] = token if token == "nonsense" else str(made)
    answer = page.ask("POST", "refresh/")
    assert answer.status_code == 401
    assert answer.json() == {"detail": "This session has ended."}
    assert (answer.cookies[COOKIE].value, answer.cookies[COOKIE]["path"]) == ("", "/api/session/")


def test_refresh_of_a_user_deactivated_since_is_refused(page: Browser, alice: User):
    page.log_in()
    alice.is_active = False
    alice.save()
    assert page.ask("POST", "refresh/").status_code == 401


def test_log_out_ends_all_tokens_of_the_session_and_no_others(page: Browser, alice: User):
    elsewhere = Browser().log_in()
    access = page.log_in()
    cookie = page.client.cookies[COOKIE].value
    assert page.ask("DELETE").status_code == 204
    assert page.client.cookies[COOKIE].value == ""
    assert (agents(access), agents(elsewhere), agents(access_token(alice))) == (401, 200, 200)
    page.client.cookies[COOKIE] = cookie  # a copy of it
    assert page.ask("POST", "refresh/").status_code == 401
    renewed = Client().post("/api/token/refresh/", {"refresh": cookie}, content_type="application/json")
    assert agents(renewed.json().get("access", "")) == 401  # nor by the bots' way


def test_log_out_twice_or_without_a_session_is_no_error(page: Browser):
    page.log_in()
    cookie = page.client.cookies[COOKIE].value
    assert page.ask("DELETE").status_code == 204
    assert page.ask("DELETE").status_code == 204
    page.client.cookies[COOKIE] = cookie
    assert page.ask("DELETE").status_code == 204
    assert EndedSession.objects.count() == 1


def test_log_in_ends_the_session_that_this_browser_had(page: Browser, bob: User):
    first = page.log_in()
    second = page.log_in({"username": "bob", "password": "bob-has-a-password"})
    assert (agents(first), agents(second)) == (401, 200)


def test_ended_session_is_forgotten_when_its_tokens_have_run_out(page: Browser, alice: User, settings):
    page.log_in()
    page.ask("DELETE")
    old = EndedSession.objects.get()
    assert old.expires_at > timezone.now() + settings.SIMPLE_JWT["REFRESH_TOKEN_LIFETIME"]
    EndedSession.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    page.log_in()
    page.ask("DELETE")
    assert EndedSession.objects.get().pk != old.pk


def test_session_costs_a_request_no_query_more(page: Browser, alice: User, django_assert_num_queries):
    for token in (page.log_in(), access_token(alice)):
        with django_assert_num_queries(2):  # the user, and a COUNT of agents
            assert agents(token) == 200


# Sockets


@pytest.fixture
def lost_messages(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a log-out sends over the channel layer never arrives."""
    monkeypatch.setattr(signals, "publish_access_changes", lambda agent_ids: None)


@pytest.fixture
def sessions(transactional_db: None) -> Callable[[], tuple[User, Agent, Browser, str]]:
    def begin() -> tuple[User, Agent, Browser, str]:
        alice = person("alice")
        page = Browser()
        return alice, Agent.objects.create(owner=alice, name="alpha"), page, page.log_in()

    return begin


@pytest.mark.parametrize("message", ["arrives", "is lost"])
async def test_log_out_closes_the_session_s_socket_and_leaves_a_bot_s(
    server: Server, sessions, message: str, request: pytest.FixtureRequest
):
    if message == "is lost":
        request.getfixturevalue("lost_messages")  # the reconciler finds it
    alice, agent, page, token = await sync_to_async(sessions)()
    other = await sync_to_async(Agent.objects.create)(owner=alice, name="beta")
    async with (
        client(server, token=token, agent=agent) as browser,
        client(server, token=access_token(alice), agent=other) as bot,
    ):
        await browser.until("initial_data")
        await bot.until("initial_data")
        assert (await sync_to_async(page.ask)("DELETE")).status_code == 204
        code, reason, messages = await browser.closed()
        assert (code, reason) == (1008, "Access revoked")
        assert [each["data"]["code"] for each in messages if each["type"] == "error"] == ["access_revoked"]
        await bot.send(type="ping", timestamp="2026-01-31T12:00:00.000Z")
        await bot.until("pong")


async def test_socket_of_an_ended_session_is_refused(server: Server, sessions):
    _, agent, page, token = await sync_to_async(sessions)()
    await sync_to_async(page.ask)("DELETE")
    async with client(server, token=token, agent=agent) as socket:
        assert (await socket.closed())[:2] == (1008, "Authentication failed")


async def test_socket_follows_the_session_of_its_newest_token(server: Server, sessions):
    """A socket that was prolonged with a token of another session ends with that one."""
    _, agent, page, token = await sync_to_async(sessions)()
    second = await sync_to_async(Browser)()
    newer = await sync_to_async(second.log_in)()
    async with client(server, token=token, agent=agent) as socket:
        await socket.until("initial_data")
        await socket.send(type="refresh", data={"token": newer})
        await socket.until("refreshed")
        await sync_to_async(page.ask)("DELETE")
        await socket.send(type="ping", timestamp="2026-01-31T12:00:00.000Z")
        await socket.until("pong")
        await sync_to_async(second.ask)("DELETE")
        assert (await socket.closed())[:2] == (1008, "Access revoked")


def test_log_in_that_failed_too_often_is_told_when_to_try_again(page, settings):
    settings.LOGINS = {**settings.LOGINS, "FAILURES": 2}
    wrong = {**ALICE, "password": "wrong"}
    assert [page.ask("POST", body=wrong).status_code for _ in range(2)] == [401, 401]
    locked = page.ask("POST", body=ALICE)
    assert locked.status_code == 429
    assert int(locked.headers["Retry-After"]) > 0


def test_session_requests_of_one_address_are_throttled(page, settings):
    settings.LOGINS = {**settings.LOGINS, "TOKEN_REQUESTS_PER_MINUTE": 3}
    assert [page.ask("POST", "refresh/").status_code for _ in range(4)] == [204, 204, 204, 429]
