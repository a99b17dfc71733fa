"""Generates the socket's description, AsyncAPI 3.0, for /api/asyncapi.yaml. Changes no behaviour.

Every payload is described by the type with which the server encodes (messages.py) or validates it (requests.py).
"""

from __future__ import annotations

import functools
from typing import Any

import msgspec
from msgspec import Struct

from realtime.protocol.messages import MESSAGES, CloseReason
from realtime.protocol.requests import REQUESTS

# Of the protocol: the second number grows with what is added, the first with what old clients no longer understand.
VERSION = "1.2"
REF = "#/components/schemas/{name}"
DESCRIPTION = " ".join(
    [
        "One connection serves one agent. Text frames, UTF-8 JSON. A client ignores unknown types and fields.",
        "Prices and amounts are JSON numbers with exactly the digits stored in the database, up to 30: parse",
        "them as decimals. Times are ISO 8601, UTC, with milliseconds. Guarantees and rules for clients:",
        "docs/protocol.md.",
    ]
)
CHANNEL = {"$ref": "#/channels/agent"}
# The answer to each request, by its type. Any may be an `error` instead.
ANSWERS = {"ping": ["pong"], "subscribe": ["subscribed"], "refresh": ["refreshed"]}


def asyncapi(scheme: str = "ws", host: str = "127.0.0.1:4000", path: str = "/ws") -> dict[str, Any]:
    """Return the document of the socket at this host."""
    sent, received = _sent_messages(), _received_messages()
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Nexgent",
            "version": VERSION,
            "description": DESCRIPTION,
            "license": {"name": "MIT"},
        },
        "defaultContentType": "application/json",
        "servers": {
            "this": {
                "host": host,
                "protocol": scheme,
                "security": [{"$ref": f"#/components/securitySchemes/{name}"} for name in SECURITY],
            }
        },
        "channels": {
            "agent": {
                "address": path,
                "title": "One agent's positions",
                "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in [*sent, *received]},
                "bindings": {"ws": {"method": "GET", "query": QUERY, "bindingVersion": "0.1.0"}},
                "x-closes": CLOSES,
            }
        },
        "operations": _operations(list(sent)),
        "components": {
            "messages": sent | received,
            "schemas": schemas(),
            "securitySchemes": SECURITY,
        },
    }


@functools.cache
def schemas() -> dict[str, Any]:
    """Return the schema of each type, by its name. Draft 7, AsyncAPI's default."""
    _, components = msgspec.json.schema_components([*MESSAGES, *REQUESTS.values()], ref_template=REF)
    # What the type cannot express: which of its two optional fields comes with which event.
    kind = components["PositionUpdateData"]["properties"]["eventType"]["enum"]
    components["PositionUpdateData"]["oneOf"] = [
        {
            "properties": {"eventType": {"enum": [each for each in kind if each != "position_closed"]}},
            "required": ["position"],
            "not": {"required": ["positionId"]},
        },
        {
            "properties": {"eventType": {"enum": ["position_closed"]}},
            "required": ["positionId"],
            "not": {"required": ["position"]},
        },
    ]
    # msgspec writes it as later drafts do.
    components["PriceRow"]["items"] = components["PriceRow"].pop("prefixItems")
    return components


def _sent_messages() -> dict[str, Any]:
    messages = {}
    for each in MESSAGES:
        kind = str(each.__struct_config__.tag)
        messages[kind] = _message(kind, each, {"$ref": REF.format(name=each.__name__)})
    return messages


def _received_messages() -> dict[str, Any]:
    return {f"client_{kind}": _message(kind, each, _request(kind, each)) for kind, each in REQUESTS.items()}


def _message(kind: str, struct: type[Struct], payload: dict[str, Any]) -> dict[str, Any]:
    return {"name": kind, "title": kind, "summary": (struct.__doc__ or "").strip(), "payload": payload}


def _request(kind: str, struct: type[Struct]) -> dict[str, Any]:
    """Return the payload's schema: the request's fields next to `type`, or in `data` if any is required."""
    schema = schemas()[struct.__name__]
    tag = {"type": {"type": "string", "enum": [kind]}}
    beside = {
        "type": "object",
        "properties": tag | schema["properties"],
        "required": ["type", *schema["required"]],
    }
    if not schema["required"]:
        return beside
    data = {"$ref": REF.format(name=struct.__name__)}
    beside["not"] = {"required": ["data"]}
    inside = {"type": "object", "properties": tag | {"data": data}, "required": ["type", "data"]}
    return {"anyOf": [inside, beside]}


def _operations(sent: list[str]) -> dict[str, Any]:
    def named(names: list[str]) -> list[dict[str, str]]:
        return [{"$ref": f"#/channels/agent/messages/{name}"} for name in names]

    operations: dict[str, Any] = {
        "watch": {
            "action": "send",
            "channel": CHANNEL,
            "summary": "The server's messages: a snapshot of positions, every change of them, new prices.",
            "messages": named(sent),
        }
    }
    for kind, struct in REQUESTS.items():
        operations[kind] = {
            "action": "receive",
            "channel": CHANNEL,
            "summary": (struct.__doc__ or "").strip(),
            "messages": named([f"client_{kind}"]),
        }
        if kind in ANSWERS:
            operations[kind]["reply"] = {"channel": CHANNEL, "messages": named([*ANSWERS[kind], "error"])}
    return operations


QUERY = {
    "type": "object",
    "required": ["agentId"],
    "properties": {
        "agentId": {"type": "string", "format": "uuid", "description": "The agent to watch."},
        "token": {
            "type": "string",
            "description": "An access token, from POST /api/token/; or as `Authorization: Bearer`.",
        },
        "ticket": {
            "type": "string",
            "description": "Instead of a token: a ticket for one connection, from POST /api/socket-ticket/.",
        },
        "mode": {
            "type": "string",
            "enum": ["own", "watch"],
            "default": "own",
            "description": "watch: beside the socket that owns the agent; neither ends the other.",
        },
        "lastSeq": {
            "type": "integer",
            "minimum": 0,
            "description": "The last event that the client received: the missed ones follow.",
        },
        "epoch": {
            "type": "string",
            "description": "With lastSeq: what `connected` said then. After a restore, a snapshot follows instead.",
        },
    },
}
SECURITY: dict[str, Any] = {
    "query": {"type": "httpApiKey", "in": "query", "name": "token"},
    "ticket": {"type": "httpApiKey", "in": "query", "name": "ticket"},
    "header": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"},
}
# AsyncAPI cannot express closes.
CLOSES = [
    {"code": each.value.code, "reason": each.value.reason, "reconnect": each.value.reconnect}
    for each in CloseReason
]
