"""A browser's session: the cookie, its CSRF protection, and a log-out that ends everything."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth.models import User
from django.core.management import call_command
from django.test import Client

from positions.accounts.families import Ending, end
from positions.accounts.session_views import COOKIE
from positions.models import Agent, TokenFamily
from realtime.publish import signals
from tests.conftest import person
from tests.live import Server, access_token, client, refresh_token

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
    assert set(answer.json()) == {"access", "username", "isStaff"}
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


@pytest.mark.parametrize("token", ["nonsense", "of a release before"])
def test_refresh_with_an_invalid_cookie_is_refused_and_takes_it_away(page: Browser, alice: User, token: str):
    page.client.cookies[COOKIE] = refresh_token(alice) if token == "of a release before" else token
    answer = page.ask("POST", "refresh/")
    assert answer.status_code == 401
    assert answer.json()["detail"] in {
        "This session has ended.",
        "This token is not known here any more: log in again.",
    }
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
    assert renewed.status_code == 401  # nor by the bots' way


def test_log_out_twice_or_without_a_session_is_no_error(page: Browser):
    page.log_in()
    cookie = page.client.cookies[COOKIE].value
    assert page.ask("DELETE").status_code == 204
    assert page.ask("DELETE").status_code == 204
    page.client.cookies[COOKIE] = cookie
    assert page.ask("DELETE").status_code == 204
    assert TokenFamily.objects.get().ended_because == "logged_out"


def test_log_in_ends_the_session_that_this_browser_had(page: Browser, bob: User):
    first = page.log_in()
    second = page.log_in({"username": "bob", "password": "bob-has-a-password"})
    assert (agents(first), agents(second)) == (401, 200)


def test_admin_session_outlives_a_log_out_and_ends_with_the_password(page: Browser, alice: User):
    alice.is_staff = True
    alice.save()
    page.log_in()
    alice.refresh_from_db()  # the log-in has hashed the password anew
    page.client.force_login(alice)
    assert page.ask("DELETE").status_code == 204
    assert page.client.get("/admin/").status_code == 200
    alice.set_password("another-password")
    alice.save()
    assert page.client.get("/admin/").status_code == 302


@pytest.mark.parametrize(("keeps_the_old_key", "status"), [(True, 200), (False, 302)])
def test_admin_session_ends_with_the_key_that_signed_it(
    admin_client: Client, settings, keeps_the_old_key, status
):
    settings.SECRET_KEY_FALLBACKS = [settings.SECRET_KEY] if keeps_the_old_key else []
    settings.SECRET_KEY = "another-key-" + 50 * "a"
    assert admin_client.get("/admin/").status_code == status


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
    settings.NEXGENT = {**settings.NEXGENT, "LOGIN_FAILURES": 2}
    wrong = {**ALICE, "password": "wrong"}
    assert [page.ask("POST", body=wrong).status_code for _ in range(2)] == [401, 401]
    locked = page.ask("POST", body=ALICE)
    assert locked.status_code == 429
    assert int(locked.headers["Retry-After"]) > 0


def test_session_requests_of_one_address_are_throttled(page, settings):
    settings.NEXGENT = {**settings.NEXGENT, "TOKEN_REQUESTS_PER_MINUTE": 3}
    assert [page.ask("POST", "refresh/").status_code for _ in range(4)] == [204, 204, 204, 429]


WAYS = {
    "revoked": lambda user: call_command("tokens", "alice", "--revoke-all", stderr=io.StringIO()),
    "reused": lambda user: end(TokenFamily.objects.all(), Ending.REUSED),
    "a new password": lambda user: User.objects.update(password="x"),
    "deactivated and back": lambda user: [User.objects.update(is_active=active) for active in (False, True)],
}


@pytest.mark.parametrize("way", WAYS)
async def test_socket_of_tokens_that_end_is_closed_in_whichever_way(server: Server, sessions, way: str):
    alice, agent, _, _ = await sync_to_async(sessions)()
    async with client(server, token=access_token(alice), agent=agent) as bot:
        await bot.until("initial_data")
        await sync_to_async(WAYS[way])(alice)
        assert (await bot.closed())[:2] == (1008, "Access revoked")


async def test_refresh_on_the_socket_with_a_revoked_token_is_refused(server: Server, sessions):
    alice, agent, page, token = await sync_to_async(sessions)()
    async with client(server, token=access_token(alice), agent=agent) as bot:
        await bot.until("initial_data")
        await sync_to_async(page.ask)("DELETE")
        await bot.send(type="refresh", data={"token": token})
        assert (await bot.until("error"))["data"]["code"] == "token_refused"


async def test_ticket_that_was_bought_before_the_log_out_opens_nothing(server: Server, sessions):
    _, agent, page, token = await sync_to_async(sessions)()
    buyer = Client(headers={"Authorization": f"Bearer {token}"})
    ticket = (await sync_to_async(buyer.post)("/api/socket-ticket/")).json()["ticket"]
    await sync_to_async(page.ask)("DELETE")
    async with client(server, query={"ticket": ticket, "agentId": str(agent.pk)}) as socket:
        assert (await socket.closed())[:2] == (1008, "Authentication failed")
