"""Validates messages against /api/asyncapi.yaml, in every test that uses a client of tests/live.py.

Stricter than a client: it ignores unknown fields, which are errors here.
"""

from __future__ import annotations

from typing import Any

from jsonschema_rs import Draft7Validator

from realtime.protocol.asyncapi import asyncapi


def check_from_server(message: Any) -> None:
    """Assert that the server may say this."""
    _check(message, _FROM_SERVER, "the server")


def check_from_client(message: Any) -> None:
    """Assert that a client may say this."""
    _check(message, _FROM_CLIENT, "a client")


def _check(message: Any, validators: dict[str, Draft7Validator], who: str) -> None:
    kind = message.get("type") if isinstance(message, dict) else None
    assert kind in validators, (
        f"{who} sent a message that /api/asyncapi.yaml does not describe: {message!r:.500}"
    )
    errors = [
        f"{'.'.join(map(str, each.instance_path)) or kind}: {each.message:.300}"
        for each in validators[kind].iter_errors(message)
    ]
    assert not errors, f"{who} sent a {kind} unlike /api/asyncapi.yaml: {'; '.join(errors)}"


def _closed(schema: Any) -> Any:
    """Return the schema without room for fields that it does not name."""
    if isinstance(schema, list):
        return [_closed(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    closed = {key: _closed(value) for key, value in schema.items()}
    if schema.get("type") == "object" and "properties" in schema:
        closed["additionalProperties"] = False
    return closed


def _validators(action: str) -> dict[str, Draft7Validator]:
    document = asyncapi()
    components = document["components"]
    names = [
        reference["$ref"].rpartition("/")[2]
        for operation in document["operations"].values()
        if operation["action"] == action
        for reference in operation["messages"]
    ]
    schemas = {"components": {"schemas": _closed(components["schemas"])}}
    return {
        components["messages"][name]["name"]: Draft7Validator(
            {**_closed(components["messages"][name]["payload"]), **schemas}, validate_formats=True
        )
        for name in names
    }


_FROM_SERVER = _validators("send")
_FROM_CLIENT = _validators("receive")
