"""The page's types, which clients/javascript ships, name the fields that the server sends: no more, no fewer, each with
the kind of value that /api/asyncapi.yaml says."""

from __future__ import annotations

import re
from typing import Any

import msgspec
import pytest
from msgspec import Struct

from positions.api import schema, wire, wire_history, wire_overview, wire_trades
from positions.books import snapshots
from realtime.protocol import messages
from realtime.protocol.asyncapi import asyncapi
from tests.live import ROOT

TEXT = (ROOT / "tools/page/wire.d.ts").read_text()
INTERFACES = re.findall(
    r"^  interface (\w+)(?:<\w+>)?(?: extends (\w+))? \{\n(.*?)^  \}", TEXT, re.MULTILINE | re.DOTALL
)
DECLARED = {name: body for name, _, body in INTERFACES}
EXTENDED = {name: base for name, base, _ in INTERFACES}
FROM_SERVER = {
    name: kind
    for module in (messages, snapshots, schema, wire, wire_history, wire_overview, wire_trades)
    for name, kind in vars(module).items()
    if isinstance(kind, type) and issubclass(kind, Struct) and name in DECLARED
}
EVENTS = {"PositionChanged": {"eventType", "seq", "timestamp", "position", "positionId"}}
EVENTS["PositionClosed"] = EVENTS["PositionChanged"]
OF_THE_PAGE_ALONE = {"Session", "Page"}


def test_every_declared_type_is_one_of_the_server():
    assert set(DECLARED) == {*FROM_SERVER, *EVENTS, *OF_THE_PAGE_ALONE}


@pytest.mark.parametrize("name", sorted({*FROM_SERVER, *EVENTS}))
def test_declared_type_has_the_fields_that_the_server_sends(name: str):
    declared = set(re.findall(r"^    (\w+)\??:", DECLARED[name], re.MULTILINE))
    if name in EVENTS:
        assert declared == EVENTS[name] == fields(messages.PositionUpdateData)
        assert fields(wire.EventOnRest) == {*declared, "note"}
    else:
        inherited = fields(FROM_SERVER[name].__mro__[1])
        assert declared == fields(FROM_SERVER[name]) - inherited


def fields(kind: type) -> set[str]:
    if kind is Struct:
        return set()
    return {field.encode_name for field in msgspec.structs.fields(kind)}


# What the description of the socket says of each value

SCHEMAS: dict[str, dict[str, Any]] = asyncapi()["components"]["schemas"]
# Of JSON's numbers, those that are money or amounts are read as text; `PositionUpdateData` is two types here.
NAMES = {"number": "Digits", "integer": "number"}
# Later servers may have more of these than are described now.
OPEN = {
    "ClosingData": {"code": frozenset({"number"}), "reason": frozenset({"string"})},
    "ErrorData": {"code": frozenset({"string"})},
}
OBJECTS = sorted(SCHEMAS.keys() & DECLARED.keys())


@pytest.mark.parametrize("name", OBJECTS)
def test_declared_values_are_those_of_the_description(name: str):
    schema = SCHEMAS[name]
    described = {field: kind_of(value) for field, value in schema["properties"].items() if field != "type"}
    described.update(OPEN.get(name, {}))
    declared = {field: kind for field, (_, kind) in declared_fields(name).items()}
    assert declared == described
    optional = {field for field, (mark, _) in declared_fields(name).items() if mark}
    assert described.keys() - set(schema["required"]) <= optional


def test_declared_events_are_those_of_the_description():
    described = SCHEMAS["PositionUpdateData"]
    closed, changed = declared_fields("PositionClosed"), declared_fields("PositionChanged")
    assert "type PositionUpdateData = PositionChanged<SentPosition> | PositionClosed;" in TEXT
    for field, value in described["properties"].items():
        kinds = {kind for _, kind in (closed[field], changed[field])} - {frozenset({"undefined"})}
        declared = frozenset[str]().union(*kinds)
        assert declared == {"P" if kind == "SentPosition" else kind for kind in kind_of(value)}, field


def test_declared_row_of_compact_prices_is_that_of_the_description():
    found = re.search(r"type PriceRow = \[\n(.*?)\n  \];", TEXT, re.DOTALL)
    assert found
    declared = [alternatives(kind) for kind in re.findall(r"^    \w+\??: (.+),$", found[1], re.MULTILINE)]
    assert declared == [kind_of(each) for each in SCHEMAS["PriceRow"]["items"]]


def declared_fields(name: str) -> dict[str, tuple[str, frozenset[str]]]:
    """Return the fields of an interface, inherited ones, too: "?" where it is optional, and what it may be."""
    inherited = declared_fields(EXTENDED[name]) if EXTENDED[name] else {}
    own = re.findall(r"^    (\w+)(\??): (.+?);", DECLARED[name], re.MULTILINE)
    return inherited | {field: (mark, alternatives(kind)) for field, mark, kind in own}


def alternatives(kind: str) -> frozenset[str]:
    """Return what a type of wire.d.ts may be: names of its own, other than those below, are for the reader."""
    found = set(kind.split(" | "))
    if "PriceStatus" in found:
        [statuses] = re.findall(r"type PriceStatus = (.+);", TEXT)
        found = found - {"PriceStatus"} | set(statuses.split(" | "))
    return frozenset(found) - ({"undefined"} if len(found) > 1 else set())


def kind_of(schema: dict[str, Any]) -> frozenset[str]:
    """Return the same of a schema."""
    if "anyOf" in schema:
        return frozenset[str]().union(*map(kind_of, schema["anyOf"]))
    if "$ref" in schema:
        return frozenset({schema["$ref"].rpartition("/")[2]})
    if "enum" in schema:
        return frozenset("null" if each is None else f'"{each}"' for each in schema["enum"])
    if schema["type"] == "array":
        [item] = kind_of(schema["items"])
        return frozenset({f"{item}[]"})
    if schema.get("format") == "date-time":
        return frozenset({"Timestamp"})
    return frozenset({NAMES.get(schema["type"], schema["type"])})
