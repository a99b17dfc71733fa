"""The comparison of contracts finds each kind of break, and nothing in what clients may ignore."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from tests.contracts.documents import Document, asyncapi_breaks, openapi_breaks
from tests.contracts.release import released
from tests.contracts.schemas import Comparison, Schema

DOCUMENTS = released()[1]


def fields(**properties: Schema) -> Schema:
    return {"type": "object", "properties": properties, "required": list(properties)}


TEXT, NUMBER, INTEGER, NULL = ({"type": each} for each in ("string", "number", "integer", "null"))
CREATED = fields(kind={"enum": ["created"]}, position=TEXT)
CLOSED = fields(kind={"enum": ["closed"]}, id=TEXT)


@pytest.mark.parametrize(
    ("old", "new", "read", "sent"),
    [
        # fields
        (fields(a=TEXT, b=TEXT), fields(a=TEXT), ["x.b: removed"], ["x.b: removed"]),
        (fields(a=TEXT), fields(a=TEXT, b=TEXT), [], ["x.b: required"]),
        (fields(a=TEXT), {**fields(a=TEXT), "required": []}, ["x.a: may be missing"], []),
        ({**fields(a=TEXT), "required": []}, fields(a=TEXT), [], ["x.a: required"]),
        (
            fields(a=TEXT),
            {**fields(a=TEXT), "additionalProperties": False},
            [],
            ["x: other fields are refused"],
        ),
        (
            {"type": "object", "additionalProperties": NUMBER},
            {"type": "object", "additionalProperties": TEXT},
            ["x.*: number became string"],
            ["x.*: number became string"],
        ),
        # types
        (fields(a=TEXT), fields(a=NUMBER), ["x.a: string became number"], ["x.a: string became number"]),
        (NUMBER, INTEGER, [], ["x: number became integer"]),
        (INTEGER, NUMBER, ["x: integer became number"], []),
        (TEXT, {"type": ["string", "null"]}, ["x: may be null"], []),
        (fields(a=TEXT), {"anyOf": [fields(a=TEXT), fields(b=TEXT)]}, ["x.a: removed"], []),
        ({"anyOf": [TEXT, NULL]}, TEXT, [], ["x: null became string"]),
        ({"anyOf": [TEXT, NUMBER]}, NUMBER, ["x: string became number"], ["x: string became number"]),
        ({"anyOf": [TEXT, NULL]}, {"type": ["string", "null"]}, [], []),
        (TEXT, {}, ["x: string became any"], []),
        ({}, TEXT, [], ["x: any became string"]),
        # values
        ({"enum": ["a", "b"]}, {"enum": ["a"]}, ["x: value 'b' removed"], ["x: value 'b' removed"]),
        ({"enum": ["a"]}, {"enum": ["a", "b"], "type": "string"}, [], []),
        ({"enum": ["a"]}, {"const": "b"}, ["x: value 'a' removed"], ["x: value 'a' removed"]),
        (TEXT, {"enum": ["a"]}, [], ["x: only certain values are accepted"]),
        ({"enum": ["a"]}, TEXT, ["x: any value may come"], []),
        # limits
        ({**TEXT, "maxLength": 9}, {**TEXT, "maxLength": 8}, [], ["x: maxLength 9 became 8"]),
        ({**TEXT, "maxLength": 8}, TEXT, ["x: maxLength 8 became None"], []),
        (NUMBER, {**NUMBER, "minimum": 0}, [], ["x: minimum None became 0"]),
        (TEXT, {**TEXT, "format": "uuid"}, [], ["x: format None became uuid"]),
        ({**TEXT, "format": "date-time"}, TEXT, ["x: format date-time became None"], []),
        (
            {**TEXT, "pattern": "a"},
            {**TEXT, "pattern": "b"},
            ["x: pattern a became b"],
            ["x: pattern a became b"],
        ),
        # lists and rows
        (
            {"type": "array", "items": TEXT},
            {"type": "array", "items": NUMBER},
            ["x[]: string became number"],
            ["x[]: string became number"],
        ),
        (
            {"type": "array", "items": [TEXT, TEXT]},
            {"type": "array", "items": [TEXT]},
            ["x[1]: removed"],
            ["x[1]: removed"],
        ),
        ({"type": "array", "items": [TEXT]}, {"type": "array", "items": [TEXT, NUMBER]}, [], []),
        # alternatives
        ({"oneOf": [CREATED, CLOSED]}, {"oneOf": [CLOSED, CREATED]}, [], []),
        ({"oneOf": [CREATED, CLOSED]}, CREATED, ["x.kind: value 'closed' removed", "x.id: removed"], None),
        ({**fields(n=TEXT), "oneOf": [CREATED]}, {"oneOf": [CREATED]}, ["x.n: removed"], ["x.n: removed"]),
        # words
        ({**TEXT, "description": "a", "title": "A"}, {**TEXT, "description": "b"}, [], []),
    ],
)
def test_change_of_a_schema_breaks_readers_and_senders(
    old: Schema, new: Schema, read: list[str], sent: list[str] | None
):
    assert Comparison(old, new, sent=False).breaks(old, new, "x") == read
    if sent is not None:
        assert Comparison(old, new, sent=True).breaks(old, new, "x") == sent


def test_references_are_followed_in_the_document_of_each():
    reference = {"$ref": "#/components/schemas/A"}
    old, new = ({"components": {"schemas": {"A": fields(a=each)}}} for each in (TEXT, NUMBER))
    assert Comparison(old, new, sent=False).breaks(reference, reference, "x") == ["x.a: string became number"]
    assert Comparison(old, new, sent=False).breaks(reference, fields(a=TEXT), "x") == []


GONE = object()
LIST = ("paths", "/api/positions/", "get")
SCHEMAS = ("components", "schemas")


@pytest.mark.parametrize(
    ("place", "value", "expected"),
    [
        ((*SCHEMAS, "Ping", "properties", "timestamp"), GONE, "ping.timestamp: removed"),
        (("operations", "watch", "messages", 0), GONE, "connected: removed"),
        (("operations", "refresh"), GONE, "client's refresh: removed"),
        (
            (*SCHEMAS, "SubscribeRequest", "required"),
            ["agentId", "lastSeq"],
            "client's subscribe.data.lastSeq: required",
        ),
        (("operations", "ping", "reply", "messages", 0), GONE, "answer pong to ping: removed"),
        (("channels", "agent", "address"), "/socket", "address: /ws became /socket"),
        (
            ("channels", "agent", "bindings", "ws", "query", "required"),
            ["agentId", "token"],
            "query.token: required",
        ),
        (
            ("channels", "agent", "x-closes", 0, "reconnect"),
            True,
            "close 1000 'New connection established', reconnect: False: removed",
        ),
        (("components", "securitySchemes", "header"), GONE, "security header: removed"),
    ],
)
def test_change_of_the_socket_is_found(place: tuple[Any, ...], value: object, expected: str):
    assert expected in asyncapi_breaks(DOCUMENTS["asyncapi"], changed("asyncapi", place, value))


@pytest.mark.parametrize(
    ("place", "value", "expected"),
    [
        (("paths", "/api/prices/"), GONE, "GET /api/prices/: removed"),
        (("paths", "/api/positions/", "post"), GONE, "POST /api/positions/: removed"),
        ((*LIST, "parameters", 0), GONE, "GET /api/positions/ query agent: removed"),
        ((*LIST, "parameters", 0, "required"), True, "GET /api/positions/ query agent: required"),
        (
            (*LIST, "parameters", 0, "schema"),
            {"type": "integer"},
            "GET /api/positions/ query agent: string became integer",
        ),
        ((*LIST, "responses", "401"), GONE, "GET /api/positions/ 401: removed"),
        (
            (*LIST, "responses", "200", "content"),
            {"text/csv": {}},
            "GET /api/positions/ 200: application/json removed",
        ),
        ((*LIST, "requestBody"), {"required": True}, "GET /api/positions/ body: required"),
        (
            (*SCHEMAS, "PositionOnRest", "properties", "peakPrice"),
            GONE,
            "GET /api/positions/ 200.results[].peakPrice: removed",
        ),
        (
            (*SCHEMAS, "OpenBody", "properties", "wallet", "maxLength"),
            8,
            "POST /api/positions/ body.wallet: maxLength 64 became 8",
        ),
    ],
)
def test_change_of_the_rest_api_is_found(place: tuple[Any, ...], value: object, expected: str):
    assert expected in openapi_breaks(DOCUMENTS["openapi"], changed("openapi", place, value))


def test_route_for_everyone_that_needs_a_token_is_found():
    old: Document = {"paths": {"/a": {"get": {"responses": {}}}}}
    new = copy.deepcopy(old)
    new["paths"]["/a"]["get"]["security"] = [{"jwtAuth": []}]
    assert openapi_breaks(old, new) == ["GET /a: needs a token"]
    assert openapi_breaks(new, old) == []


def test_what_is_only_added_breaks_nothing():
    new = copy.deepcopy(DOCUMENTS["openapi"])
    new["paths"]["/api/more/"] = {"get": {"responses": {}}}
    new["paths"]["/api/positions/"]["get"]["responses"]["418"] = {"description": "Tea."}
    assert openapi_breaks(DOCUMENTS["openapi"], new) == []
    for document, find in (("asyncapi", asyncapi_breaks), ("openapi", openapi_breaks)):
        assert find(DOCUMENTS[document], DOCUMENTS[document]) == []


def changed(name: str, place: tuple[Any, ...], value: object) -> Any:
    """Return the document with another value in one place, or with nothing there."""
    document = copy.deepcopy(DOCUMENTS[name])
    *way, last = place
    node = document
    for each in way:
        node = node[each]
    if value is GONE:
        del node[last]
    else:
        node[last] = value
    return document
