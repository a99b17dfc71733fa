"""The REST API against its own schema: generated requests of different users to real server processes.

Requests are generated from the schema, valid and invalid ones. A failure prints the example and the line that
repeats it. EXAMPLES limits the requests per operation.
"""

from __future__ import annotations

import copy
import json
import os
from collections.abc import Iterator
from decimal import Decimal
from functools import cache
from io import StringIO
from typing import TYPE_CHECKING, Any
from urllib.parse import quote_from_bytes

import httpx
import pytest
from django.core.management import call_command
from django.urls import URLPattern
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st

from positions.accounts.families import Kind, log_in
from positions.accounts.urls import urlpatterns as account_paths
from positions.api.schema import openapi
from positions.api.urls import urlpatterns as api_paths
from positions.models import Agent, Position, Wallet
from positions.services import open_position
from tests.conftest import BONK, JUP, fresh_token, person
from tests.live import PATIENCE_SECONDS, Server, access_token, http

if TYPE_CHECKING:
    from schemathesis import Case

EXAMPLES = int(os.environ.get("NEXGENT_FUZZ_EXAMPLES", "12"))
bounded = settings(
    max_examples=EXAMPLES,
    deadline=None,
    database=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large],
)

DEFINITIONS: dict[str, dict[str, Any]] = {
    f"{method.upper()} {path}": definition
    for path, methods in openapi()["paths"].items()
    for method, definition in methods.items()
}


@cache
def operations() -> dict[str, Any]:
    """Return the operations, as schemathesis has them, by label.

    It is imported by who runs these tests: it takes a quarter of a second, and every worker collects them.
    """
    import schemathesis
    from schemathesis.core.result import Ok

    schema = schemathesis.openapi.from_dict(copy.deepcopy(openapi()))
    found = {each.ok().label: each.ok() for each in schema.get_all_operations() if isinstance(each, Ok)}
    assert found.keys() == DEFINITIONS.keys()
    return found


@cache
def checks() -> list[Any]:
    """Return what every answer is checked for; the last, whether an input that is not allowed was refused."""
    from schemathesis.checks import load_all_checks, not_a_server_error
    from schemathesis.specs.openapi import checks

    load_all_checks()
    return [
        not_a_server_error,
        checks.status_code_conformance,
        checks.content_type_conformance,
        checks.response_headers_conformance,
        checks.response_schema_conformance,
        checks.negative_data_rejection,
    ]


METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "BREW"]
PEOPLE = ("alice", "bob", "nobody", "anybody")

number_text = st.from_regex(
    r"\A-?(0|[1-9][0-9]{0,40})(\.[0-9]{1,40})?([eE][+-]?[0-9]{1,7})?\Z", alphabet=st.characters(codec="ascii")
)
json_value = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=10,
)
json_text = (
    number_text
    | json_value.map(json.dumps)  # with NaN and Infinity, and lone surrogates as \ud800
    | st.sampled_from(
        ["9" * 5000, "[" * 5000, '"\\u0000"', '"' + "x" * 70_000 + '"', "", "{", '"\\ud800"', "-"]
    )
)


class World:
    """Alice's belongings and Bob's token; what an example took away is there again for the next one."""

    def __init__(self, servers: list[Server]) -> None:
        self.servers = servers
        self.alice, self.bob = person("alice"), person("bob")
        self.tokens = {"alice": access_token(self.alice), "bob": access_token(self.bob)}
        self.make()

    def restore(self) -> None:
        as_made = Position.objects.open().filter(pk=self.position.pk, token_address=BONK)
        if not as_made.filter(wallet=self.wallet, wallet__kind="live", agent__name="alpha").exists():
            self.make()

    def make(self) -> None:
        agents = Agent.objects.filter(owner=self.alice)
        self.agent = agents.filter(name="alpha").first() or Agent.objects.create(
            owner=self.alice, name="alpha"
        )
        self.wallet = Wallet.objects.filter(agent=self.agent, kind="live").first() or Wallet.objects.create(
            agent=self.agent, address=fresh_token(), kind="live"
        )
        self.position = Position.objects.open().filter(wallet=self.wallet, token_address=BONK).first() or (
            open_position(
                wallet=self.wallet,
                token_address=BONK,
                token_symbol="BONK",
                tokens=Decimal(1_000_000),
                spent_sol=Decimal(2),
            )
        )

    def path(self, label: str) -> dict[str, str]:
        """Return the path parameters that name what is Alice's."""
        if "{token}" in label:
            return {"token": self.position.token_address}
        if "{id}" not in label:
            return {}
        kind = label.split("/")[2]
        known = {"agents": self.agent.pk, "wallets": self.wallet.pk, "positions": self.position.pk}
        if kind == "tokens":  # one for each try, since it may be revoked
            token = log_in(self.alice, kind=Kind.BOT).refresh
            return {"id": token["sid"]}
        return {"id": str(known[kind])}

    def body(self, label: str) -> dict[str, Any] | None:
        """Return a body that the operation takes from Alice."""
        bodies: dict[str, dict[str, Any]] = {
            "POST /api/agents/": {"name": "beta", "tradingMode": "live"},
            "PATCH /api/agents/{id}/": {"tradingMode": "live"},
            "POST /api/wallets/": {
                "address": fresh_token(),
                "agentId": str(self.agent.pk),
                "kind": "simulation",
            },
            "POST /api/positions/": {
                "wallet": self.wallet.pk,
                "tokenAddress": JUP,
                "tokenSymbol": "JUP",
                "tokens": "10.5",
                "spentSol": 1,
                "stopLossPercentage": 10,
                "takeProfitLevels": 4,
                "transactionId": None,
            },
            "POST /api/positions/{id}/buy/": {"tokens": 1, "spentSol": 1, "transactionId": "x"},
            "POST /api/positions/{id}/take-profit/": {
                "tokens": 1,
                "proceedsSol": 1,
                "moonBag": True,
                "levels": 2,
            },
            "POST /api/positions/{id}/take-profit-plan/": {"levels": 4},
            "POST /api/positions/{id}/airdrop/": {"tokens": 1, "feeSol": 0, "solUsd": "150.5"},
            "POST /api/positions/{id}/transfer-in/": {"tokens": 1, "costSol": 1},
            "POST /api/positions/{id}/transfer-out/": {"tokens": 1, "executedAt": None},
            "POST /api/positions/{id}/stop-loss/": {"percentage": 20, "peakPrice": None},
            "POST /api/positions/{id}/migrate/": {"tokenAddress": fresh_token(), "ratio": "1e-1"},
            "POST /api/positions/{id}/close/": {"proceedsSol": 1, "reason": "x"},
            "POST /api/token/": {"username": "alice", "password": "alice-has-a-password"},
            "POST /api/token/refresh/": {"refresh": str(log_in(self.alice, kind=Kind.BOT).refresh)},
            "POST /api/token/revoke/": {"refresh": str(log_in(self.alice, kind=Kind.BOT).refresh)},
        }
        return bodies.get(label)


@pytest.fixture
def world(transactional_db, daphne_server: Server, uvicorn_server: Server) -> Iterator[World]:
    servers = [daphne_server, uvicorn_server]
    written = [server.log.stat().st_size for server in servers]
    yield World(servers)
    for server, start in zip(servers, written, strict=True):
        assert "Traceback" not in server.log.read_bytes()[start:].decode(), server.log


def is_open_to_all(label: str) -> bool:
    return "security" not in DEFINITIONS[label]


def takes(label: str, part: str) -> bool:
    definition = DEFINITIONS[label]
    if part == "body":
        return "requestBody" in definition
    return any(each["in"] == part for each in definition.get("parameters", ()))


def draw_case(data: st.DataObject, world: World, label: str) -> tuple[Case, set[int]]:
    """Return a request, and what it must be answered with where that is certain."""
    from schemathesis import GenerationMode

    who = data.draw(st.sampled_from(PEOPLE), "who")
    fixed: dict[str, Any] = {}
    if who != "anybody":
        fixed["headers"] = {"Authorization": f"Bearer {world.tokens[who]}"} if who in world.tokens else {}
    # Something must be left that can be made wrong.
    variable = takes(label, "body") or takes(label, "query")
    known = takes(label, "path") and data.draw(st.booleans(), "known")
    if known:
        fixed["path_parameters"] = world.path(label)
    modes = (
        list(GenerationMode)
        if variable or (takes(label, "path") and not known)
        else [GenerationMode.POSITIVE]
    )
    mode = data.draw(st.sampled_from(modes))
    case = data.draw(operations()[label].as_strategy(mode, **fixed), "case")
    if mode == GenerationMode.POSITIVE and data.draw(st.booleans(), "Alice's belongings"):
        for name, value in {"wallet": world.wallet.pk, "agentId": str(world.agent.pk)}.items():
            if isinstance(case.body, dict) and name in case.body:
                case.body[name] = value
    note(case.as_curl_command())
    certain: set[int] = set()
    if who in {"nobody", "anybody"} and not is_open_to_all(label):
        # A path that no operation has leads nowhere, for everybody.
        certain = {401} if known or mode == GenerationMode.POSITIVE else {401, 404}
    elif who == "bob" and known:
        certain = {404}
    return case, certain


@pytest.mark.parametrize("label", DEFINITIONS)
def test_operation_asked_by_whomever_answers_as_the_schema_says(label: str, world: World):
    @bounded
    @given(data=st.data(), server=st.sampled_from(world.servers))
    def ask(data: st.DataObject, server: Server) -> None:
        if not label.startswith("GET"):
            world.restore()
        case, certain = draw_case(data, world, label)
        answer = case.call(base_url=server.url, timeout=PATIENCE_SECONDS)
        assert "Traceback" not in answer.text
        assert not certain or answer.status_code in certain
        case.validate_response(answer, checks=checks())

    ask()


@pytest.mark.parametrize("label", [label for label in DEFINITIONS if takes(label, "body")])
def test_operation_with_any_value_in_a_good_body_answers_as_the_schema_says(label: str, world: World):
    @bounded
    @given(data=st.data(), server=st.sampled_from(world.servers))
    def ask(data: st.DataObject, server: Server) -> None:
        world.restore()
        body = world.body(label)
        assert body is not None
        name = data.draw(st.sampled_from(sorted(body)), "name")
        parts = {key: json.dumps(value) for key, value in body.items()} | {
            name: data.draw(json_text, "value")
        }
        text = "{" + ",".join(f"{json.dumps(key)}:{part}" for key, part in parts.items()) + "}"
        answer, case = ask_plainly(world, server, label, content=text.encode(errors="surrogatepass"))
        case.validate_response(answer, checks=checks()[:-1])

    ask()


def ask_plainly(world: World, server: Server, label: str, **options: Any) -> tuple[httpx.Response, Case]:
    """Ask as Alice, of her belongings."""
    operation = operations()[label]
    case = operation.Case(path_parameters=world.path(label))
    headers = {"Authorization": f"Bearer {world.tokens['alice']}", "Content-Type": "application/json"}
    url = server.url + case.formatted_path
    answer = http.request(operation.method.upper(), url, headers=headers, **options)
    return answer, case


@pytest.mark.parametrize("label", DEFINITIONS)
def test_operation_with_good_input_answers_as_the_schema_says(label: str, world: World):
    if label.startswith("DELETE"):
        Position.objects.all().delete()
    body = world.body(label)
    answer, case = ask_plainly(world, world.servers[1], label, **({"json": body} if body else {}))
    assert answer.is_success, answer.text
    case.validate_response(answer, checks=checks())


@bounded
@given(path=st.text().map(str.encode) | st.binary(), method=st.sampled_from(METHODS))
def ask_any_path(server: Server, token: str, path: bytes, method: str) -> None:
    url = f"{server.url}/api/{quote_from_bytes(path)}"
    answer = http.request(method, url, headers={"Authorization": f"Bearer {token}"})
    assert answer.status_code < 500
    assert "Traceback" not in answer.text


def test_path_of_any_kind_is_never_a_fault_of_the_server(world: World):
    for server in world.servers:
        ask_any_path(server, world.tokens["alice"])


def test_schema_is_valid_and_made_without_a_warning():
    call_command("spectacular", validate=True, fail_on_warn=True, stdout=StringIO())


def test_schema_is_served_to_everybody(uvicorn_server: Server):
    answer = http.get(f"{uvicorn_server.url}/api/schema/")
    assert answer.headers["content-type"] == "application/json"
    assert answer.json() == openapi()
    assert answer.json()["openapi"] == "3.1.0"


def test_schema_names_every_path_but_its_own_the_unknown_ones_and_the_pages_session():
    unnamed = {"schema", "docs", "unknown-path", "session", "session-refresh"}
    paths = [*account_paths, *api_paths]
    routes = {str(each.name) for each in paths if isinstance(each, URLPattern)} - unnamed
    assert len(openapi()["paths"]) == len(routes)
