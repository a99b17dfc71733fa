"""The AsyncAPI document: valid for the official parser, and true of the messages on the wire."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from django.test import Client
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec import UNSET, Struct

from realtime.protocol import messages
from realtime.protocol.asyncapi import asyncapi
from realtime.protocol.messages import MESSAGES, Closing, ClosingData, encode
from realtime.protocol.requests import REQUESTS, Malformed, parse
from tests import javascript
from tests.contract import check_from_client, check_from_server
from tests.documents import blocks
from tests.live import PATIENCE_SECONDS

NODE_PROJECT = Path(__file__).parent / "asyncapi"
COMPONENTS = asyncapi()["components"]
POSITION_CLOSED = {"eventType": "position_closed", "seq": 1, "timestamp": "2026-01-31T12:00:00.000Z"}


@pytest.fixture
def served(client: Client) -> str:
    answer = client.get("/api/asyncapi.yaml")
    assert (answer.status_code, answer["Content-Type"]) == (200, "application/yaml")
    return answer.content.decode()


def test_document_is_for_everyone_and_names_the_server_that_was_asked(client: Client):
    document = yaml.safe_load(client.get("/api/asyncapi.yaml", headers={"host": "localhost:4000"}).content)
    assert document == asyncapi("ws", "localhost:4000")
    document = yaml.safe_load(client.get("/api/asyncapi.yaml", secure=True).content)
    assert document["servers"]["this"]["protocol"] == "wss"


def test_document_is_valid_for_the_official_parser(served: str):
    """The parser is an npm package: installed once, in the versions of package-lock.json, where node is."""
    if missing := [name for name in ("node", "npm") if shutil.which(name) is None]:
        reason = f"NO {' AND NO '.join(missing).upper()}: /api/asyncapi.yaml was not checked with @asyncapi/parser."
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(reason)

    javascript.install(NODE_PROJECT)
    done = subprocess.run(
        ["node", "check.mjs"],
        cwd=NODE_PROJECT,
        input=served,
        capture_output=True,
        text=True,
        timeout=15 * PATIENCE_SECONDS,
    )
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    # That there is AsyncAPI 3.1 is no fault of a 3.0 document.
    assert [each for each in said["diagnostics"] if each["code"] != "asyncapi-latest-version"] == []
    assert said["messages"] == list(COMPONENTS["messages"])


def test_every_message_type_is_described():
    tagged = {
        each
        for each in vars(messages).values()
        if isinstance(each, type) and issubclass(each, Struct) and each.__struct_config__.tag
    }
    assert set(MESSAGES) == tagged
    kinds = [str(each.__struct_config__.tag) for each in MESSAGES]
    assert list(COMPONENTS["messages"]) == [*kinds, *(f"client_{kind}" for kind in REQUESTS)]


values = (
    st.none() | st.booleans() | st.integers() | st.just(1.5) | st.text() | st.lists(st.integers(), max_size=1)
)
fields = st.fixed_dictionaries({}, optional=dict.fromkeys(["agentId", "lastSeq", "token"], values))


@settings(max_examples=500, deadline=None, database=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.sampled_from([*REQUESTS, "order"]), fields, st.just(UNSET) | values | fields)
def test_server_understands_what_the_description_allows_and_nothing_else(
    kind: str, beside: dict[str, object], data: object
):
    message = {"type": kind, **beside} | ({} if data is UNSET else {"data": data})
    try:
        check_from_client(without_strange_fields(message))
    except AssertionError:
        with pytest.raises(Malformed):
            parse(json.dumps(message))
    else:
        assert isinstance(parse(json.dumps(message)), REQUESTS[kind])


def without_strange_fields(message: dict[str, Any]) -> dict[str, Any]:
    """Return the message as a client would send it that knows the description: the server ignores other fields."""
    kind, data = message["type"], message.get("data")
    known = {"subscribe": {"agentId", "lastSeq"}, "refresh": {"token"}}.get(kind, set())
    if not known or "data" not in message:
        return {name: value for name, value in message.items() if name in known | {"type"}}
    if isinstance(data, dict):
        data = {name: value for name, value in data.items() if name in known}
    return {"type": kind, "data": data}


@pytest.mark.parametrize(
    ("message", "complaint"),
    [
        ({"type": "weather"}, "does not describe"),
        ([], "does not describe"),
        ({"type": "ping"}, '"timestamp" is a required property'),
        ({"type": "ping", "timestamp": "noon"}, 'timestamp: "noon" is not a "date-time"'),
        ({"type": "ping", "timestamp": "2026-01-31T12:00:00.000Z", "mood": "good"}, "'mood' was unexpected"),
        ({"type": "error", "data": {"code": "made_up", "message": "?"}}, "data.code"),
        ({"type": "position_update", "data": POSITION_CLOSED}, "data: "),
        ({"type": "position_update", "data": {**POSITION_CLOSED, "positionId": 7}}, "data.positionId"),
    ],
)
def test_what_the_server_never_says_is_noticed(message: object, complaint: str):
    with pytest.raises(AssertionError) as problem:
        check_from_server(message)
    assert complaint in str(problem.value)


def test_what_the_server_says_is_accepted():
    check_from_server({"type": "position_update", "data": {**POSITION_CLOSED, "positionId": "7"}})
    check_from_server(json.loads(encode(Closing(ClosingData(1008, "Agent not found", False, 0)))))  # noqa: FBT003


def test_every_example_of_the_protocol_page_fits_the_description():
    messages = [json.loads(block.text) for block in blocks("docs/protocol.md", "json")]
    for message in messages:
        if message["type"] in {"pong", "subscribe", "refresh"}:
            check_from_client(message)
        else:
            check_from_server(message)
    assert {"connected", "initial_data", "position_update", "price_update_batch", "subscribe"} <= {
        message["type"] for message in messages
    }
