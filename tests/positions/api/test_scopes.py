"""A read-only token: it reads and watches, and every write is refused."""

from __future__ import annotations

import io
from datetime import UTC, datetime, timedelta

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.test import Client
from rest_framework_simplejwt.tokens import AccessToken

from positions.accounts.families import issue
from positions.accounts.scopes import CLAIM
from positions.api.schema import openapi
from positions.models import Agent, Position, TokenFamily
from tests.live import access_token
from tests.positions.api.conftest import Answer, Api

WRITES = [
    (method.upper(), path)
    for path, methods in openapi()["paths"].items()
    for method in methods
    if method not in {"get", "head"} and not path.startswith(("/api/token/", "/api/socket-ticket/"))
]
REFUSAL = {"detail": 'This token has the scope "read": it may read and watch, not write.'}


class ReadOnlyApi(Api):
    def __init__(self, user: User) -> None:
        token = issue(user, lifetime=timedelta(minutes=5), read_only=True)
        self.client = Client(headers={"Authorization": f"Bearer {token}"})


@pytest.fixture
def watcher(alice: User) -> Api:
    return ReadOnlyApi(alice)


@pytest.mark.parametrize("path", ["agents/", "wallets/", "positions/", "prices/"])
def test_read_only_token_reads(watcher: Api, position: Position, path: str):
    assert watcher.get(path).status == 200


@pytest.mark.parametrize(("method", "path"), WRITES)
def test_read_only_token_writes_nothing_and_the_error_names_its_scope(
    watcher: Api, position: Position, method: str, path: str
):
    own = {"agents": position.agent_id, "wallets": position.wallet_id, "positions": position.pk}
    own["tokens"] = TokenFamily.objects.get().pk
    path = path.removeprefix("/api/").replace("{id}", str(own[path.split("/")[2]]))
    answer = watcher.request(method, path, {"name": "x"})
    assert answer.refusal == (403, REFUSAL)


def test_every_kind_of_write_was_tried():
    assert len(WRITES) == 16
    assert all("403" in openapi()["paths"][path][method.lower()]["responses"] for method, path in WRITES)


def test_scope_that_nobody_knows_writes_nothing(alice: User, agent: Agent):
    client = Client(headers={"Authorization": f"Bearer {access_token(alice, scope='trade')}"})
    answer = Answer(client.delete(f"/api/agents/{agent.pk}/"))
    assert answer.status == 403
    assert '"trade"' in answer.data["detail"]


def test_read_only_token_of_a_user_who_is_gone_is_refused_as_any_other(alice: User):
    api = ReadOnlyApi(alice)
    alice.delete()
    assert api.post("agents/", {"name": "x"}).status == 401


# manage.py issue_token


def issue_token(*arguments: str) -> tuple[str, str]:
    out, errors = io.StringIO(), io.StringIO()
    call_command("issue_token", *arguments, stdout=out, stderr=errors)
    return out.getvalue().strip(), errors.getvalue()


def test_issue_token_prints_a_token_that_opens_the_api_and_writes(alice: User):
    token, said = issue_token("alice")
    answer = Client(headers={"Authorization": f"Bearer {token}"}).post(
        "/api/agents/", {"name": "x"}, content_type="application/json"
    )
    assert answer.status_code == 201
    assert said.startswith("A token of alice, until ")
    assert token not in said


def test_issue_token_read_only_prints_one_that_does_not_write(alice: User):
    token, said = issue_token("alice", "--read-only")
    assert AccessToken(token)[CLAIM] == "read"  # type: ignore[arg-type]
    assert said.startswith("A read-only token of alice, until ")


@pytest.mark.parametrize(
    ("lifetime", "seconds"), [("90m", 5400), ("12h", 43_200), ("30d", 2_592_000), ("3650d", 315_360_000)]
)
def test_issue_token_lives_as_long_as_asked(alice: User, lifetime: str, seconds: int):
    token = AccessToken(issue_token("alice", "--lifetime", lifetime)[0])  # type: ignore[arg-type]
    assert token["exp"] - token["iat"] == seconds
    assert datetime.fromtimestamp(token["exp"], tz=UTC) > datetime.now(UTC)


@pytest.mark.parametrize("lifetime", ["0d", "3651d", "1y", "", "-1d", "1.5h", "٣d"])
def test_issue_token_with_another_lifetime_is_refused_by_name(alice: User, lifetime: str):
    with pytest.raises(
        CommandError, match=r"^--lifetime must be such as 30d, 12h or 90m, at most 3650d; it is "
    ):
        issue_token("alice", f"--lifetime={lifetime}")


def test_issue_token_for_nobody_is_refused(db: None):
    with pytest.raises(CommandError, match=r"^There is no user 'carol'\.$"):
        issue_token("carol")


def test_issue_token_for_someone_who_may_not_log_in_is_refused(alice: User):
    User.objects.update(is_active=False)
    with pytest.raises(CommandError, match=r"^User 'alice' is inactive: a token would be refused\.$"):
        issue_token("alice")
