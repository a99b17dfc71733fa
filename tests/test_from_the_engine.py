"""docs/from-the-engine.md is true of the socket as /api/asyncapi.yaml describes it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest

from realtime.protocol.asyncapi import asyncapi
from tests.contracts.schemas import Schema, resolve
from tests.live import ROOT
from tests.test_documentation import section

PAGE = (ROOT / "docs/from-the-engine.md").read_text()
DOCUMENT = asyncapi()
ENGINES = {
    "→ connected",
    "→ initial_data",
    "→ position_update",
    "→ price_update_batch",
    "→ ping",
    "→ error",
    "← pong",
    "← subscribe",
}
ENGINES_CLOSES = {
    (1008, "Agent not found"),
    (1000, "New connection established"),
    (1000, "Connection timeout"),
    (1000, "Server shutdown"),
}


def described() -> dict[str, set[str]]:
    """Return the fields of each message, by its direction and type, without those of a position."""
    found = {}
    for key, message in DOCUMENT["components"]["messages"].items():
        direction = "←" if key.startswith("client_") else "→"
        found[f"{direction} {message['name']}"] = set(fields(message["payload"])) - {"type", "data"}
    return found


def fields(schema: Schema) -> Iterator[str]:
    if schema.get("$ref", "").endswith("/SentPosition"):
        return
    schema = resolve(DOCUMENT, schema)
    for name, each in schema.get("properties", {}).items():
        yield name
        yield from fields(each)
    items = schema.get("items", {})
    for each in [*schema.get("anyOf", []), *(items if isinstance(items, list) else [items])]:
        if each:
            yield from fields(each)


def table() -> dict[str, tuple[set[str], set[str]]]:
    """Return the page's fields of each message: the engine's, and those that are added."""
    rows = re.findall(r"^\| ([→←]) `(\w+)` \|(.*)\|(.*)\|$", section(PAGE, "Messages"), re.MULTILINE)
    return {f"{direction} {name}": (names(engines), names(added)) for direction, name, engines, added in rows}


def names(cell: str) -> set[str]:
    return set(re.findall(r"`(\w+)`", cell))


def test_every_message_is_in_the_table_and_every_one_of_the_table_exists():
    assert set(table()) == set(described())
    assert {name for name, (engines, _) in table().items() if engines} == ENGINES


@pytest.mark.parametrize("message", described())
def test_every_field_of_a_message_is_in_the_table_and_every_one_of_the_table_exists(message: str):
    engines, added = table()[message]
    assert not engines & added
    assert engines | added == described()[message]


def test_every_close_of_the_engine_is_there_and_every_one_of_the_page_exists():
    rows = re.findall(r"^\| (\d{4}) \| `([^`]+)` \|", section(PAGE, "Close codes"), re.MULTILINE)
    listed = {(int(code), reason) for code, reason in rows}
    assert listed >= ENGINES_CLOSES
    assert listed <= {(each["code"], each["reason"]) for each in DOCUMENT["channels"]["agent"]["x-closes"]}


def test_fields_of_a_position_that_the_page_names_are_sent():
    position: dict[str, Any] = DOCUMENT["components"]["schemas"]["SentPosition"]["properties"]
    named = names(section(PAGE, "A position").partition("\n\n")[0])
    assert {"totalTakeProfitLevels", "tpBatchStartLevel"} <= named
    assert named <= set(position)
