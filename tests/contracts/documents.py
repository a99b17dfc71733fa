"""What breaks a client between two versions of the socket's document (AsyncAPI) or of the REST API's (OpenAPI)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tests.contracts.schemas import Comparison, Schema, resolve

Document = dict[str, Any]


def asyncapi_breaks(old: Document, new: Document) -> list[str]:
    """Return one line for each: messages of both directions, the address and its query, closes, answers."""
    return list(dict.fromkeys(_socket(old, new)))


def openapi_breaks(old: Document, new: Document) -> list[str]:
    """Return one line for each: paths, methods, parameters, bodies and responses."""
    return list(dict.fromkeys(_rest(old, new)))


def _socket(old: Document, new: Document) -> Iterator[str]:
    for action, sent in (("send", False), ("receive", True)):
        compare = Comparison(old, new, sent=sent)
        was, now = _messages(old, action), _messages(new, action)
        for name, message in was.items():
            at = f"client's {name}" if sent else name
            if name in now:
                yield from compare.breaks(message["payload"], now[name]["payload"], at)
            else:
                yield f"{at}: removed"
    yield from _missing(_answers(old), _answers(new))
    before, after = old["channels"]["agent"], new["channels"]["agent"]
    if before["address"] != after["address"]:
        yield f"address: {before['address']} became {after['address']}"
    was, now = (each["bindings"]["ws"]["query"] for each in (before, after))
    yield from Comparison(old, new, sent=True).breaks(was, now, "query")
    yield from _missing(_closes(before), _closes(after))
    schemes = [dict.fromkeys(each["components"]["securitySchemes"]) for each in (old, new)]
    yield from (f"security {name}: removed" for name in schemes[0] if name not in schemes[1])


def _messages(document: Document, action: str) -> dict[str, Schema]:
    messages = (
        resolve(document, message)
        for operation in document["operations"].values()
        if operation["action"] == action
        for message in operation["messages"]
    )
    return {each["name"]: each for each in messages}


def _answers(document: Document) -> list[str]:
    return [
        f"answer {resolve(document, answer)['name']} to {name}"
        for name, operation in document["operations"].items()
        for answer in operation.get("reply", {}).get("messages", [])
    ]


def _closes(channel: Schema) -> list[str]:
    return [
        f"close {each['code']} {each['reason']!r}, reconnect: {each['reconnect']}"
        for each in channel["x-closes"]
    ]


def _missing(before: list[str], now: list[str]) -> Iterator[str]:
    yield from (f"{each}: removed" for each in before if each not in now)


def _rest(old: Document, new: Document) -> Iterator[str]:
    for path, methods in old["paths"].items():
        for method, operation in methods.items():
            at = f"{method.upper()} {path}"
            now = new["paths"].get(path, {}).get(method)
            if now is None:
                yield f"{at}: removed"
                continue
            yield from _parameters(old, new, operation, now, at)
            yield from _body(old, new, operation, now, at)
            yield from _responses(old, new, operation, now, at)
            if _is_open(operation) and not _is_open(now):
                yield f"{at}: needs a token"


def _parameters(old: Document, new: Document, before: Schema, after: Schema, at: str) -> Iterator[str]:
    def named(document: Document, operation: Schema) -> dict[str, Schema]:
        found = (resolve(document, each) for each in operation.get("parameters", []))
        return {f"{each['in']} {each['name']}": each for each in found}

    was, now = named(old, before), named(new, after)
    for name, parameter in was.items():
        if name not in now:
            yield f"{at} {name}: removed"
            continue
        yield from Comparison(old, new, sent=True).breaks(
            parameter["schema"], now[name]["schema"], f"{at} {name}"
        )
    for name, parameter in now.items():
        if parameter.get("required") and not was.get(name, {}).get("required"):
            yield f"{at} {name}: required"


def _body(old: Document, new: Document, before: Schema, after: Schema, at: str) -> Iterator[str]:
    was, now = (each.get("requestBody", {}) for each in (before, after))
    if now.get("required") and not was.get("required"):
        yield f"{at} body: required"
    yield from _contents(Comparison(old, new, sent=True), was, now, f"{at} body")


def _responses(old: Document, new: Document, before: Schema, after: Schema, at: str) -> Iterator[str]:
    for status, response in before["responses"].items():
        if status in after["responses"]:
            pair = resolve(old, response), resolve(new, after["responses"][status])
            yield from _contents(Comparison(old, new, sent=False), *pair, f"{at} {status}")
        else:
            yield f"{at} {status}: removed"


def _contents(compare: Comparison, before: Schema, after: Schema, at: str) -> Iterator[str]:
    now = after.get("content", {})
    for kind, content in before.get("content", {}).items():
        if kind in now:
            yield from compare.breaks(content.get("schema", {}), now[kind].get("schema", {}), at)
        else:
            yield f"{at}: {kind} removed"


def _is_open(operation: Schema) -> bool:
    return not operation.get("security") or {} in operation["security"]
