"""What a change of a JSON schema breaks: for clients that read what it describes, or for those that send it.

A reader breaks where something may come that could not come before, or something is gone that it relied on. A sender
breaks where something is refused that was accepted. Descriptions are no part of a contract. Nor are a new field of
what clients read, and a new value of a list that it had: clients ignore what they do not know (docs/protocol.md).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

Schema = dict[str, Any]

LOWER_BOUNDS = ("minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties")
UPPER_BOUNDS = ("maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties")
ALTERNATIVES = ("anyOf", "oneOf")


class Comparison:
    """Compares schemas of two documents, whose `$ref`s it follows. `sent`: by clients; otherwise they read it."""

    def __init__(self, old: Schema, new: Schema, *, sent: bool) -> None:
        self._old, self._new, self._sent = old, new, sent

    def breaks(self, old: Schema, new: Schema, at: str) -> list[str]:
        """Return one line for each break, which begins with where it is."""
        before, now = list(_alternatives(self._old, old)), list(_alternatives(self._new, new))
        found: list[str] = []
        met = set()
        for each in before:
            # What an alternative has become is the one that it differs from least.
            compared = [self._one(each, other, at) for other in now]
            closest = _fewest(compared)
            met.add(closest)
            # That a value is never null any more breaks no reader.
            if self._sent or _kind(each) != "null":
                found += compared[closest]
        if not self._sent:
            for number, other in enumerate(now):
                if number not in met:
                    back = [self._one(each, other, at) for each in before]
                    is_new = all(back) and _kind(other) not in map(_kind, before)
                    found += [f"{at}: may be {_kind(other)}"] if is_new else back[_fewest(back)]
        return list(dict.fromkeys(found))

    def _one(self, old: Schema, new: Schema, at: str) -> list[str]:
        was, now = _kind(old), _kind(new)
        wider, narrower = (now, was) if self._sent else (was, now)
        if wider != "any" and wider != narrower and (wider, narrower) != ("number", "integer"):
            return [f"{at}: {was} became {now}"]
        return [
            *self._values(old, new, at),
            *self._limits(old, new, at),
            *self._fields(old, new, at),
            *self._items(old, new, at),
        ]

    def _values(self, old: Schema, new: Schema, at: str) -> Iterator[str]:
        was, now = _values(old), _values(new)
        if was is not None and now is not None:
            for each in was:
                if each not in now:
                    yield f"{at}: value {each!r} removed"
        elif was is None and now is not None and self._sent:
            yield f"{at}: only certain values are accepted"
        elif was is not None and now is None and not self._sent:
            yield f"{at}: any value may come"

    def _limits(self, old: Schema, new: Schema, at: str) -> Iterator[str]:
        """Yield what is narrower for senders, or wider for readers."""
        narrow, wide = (new, old) if self._sent else (old, new)
        for names, tighter in ((LOWER_BOUNDS, max), (UPPER_BOUNDS, min)):
            for name in names:
                if name in narrow and (name not in wide or tighter(narrow[name], wide[name]) != wide[name]):
                    yield f"{at}: {name} {old.get(name)} became {new.get(name)}"
        for name in ("format", "pattern"):
            if name in narrow and narrow[name] != wide.get(name):
                yield f"{at}: {name} {old.get(name)} became {new.get(name)}"

    def _fields(self, old: Schema, new: Schema, at: str) -> Iterator[str]:
        was, now = old.get("properties", {}), new.get("properties", {})
        for name, schema in was.items():
            if name in now:
                yield from self.breaks(schema, now[name], f"{at}.{name}")
            else:
                yield f"{at}.{name}: removed"
        required_before, required_now = old.get("required", []), new.get("required", [])
        if self._sent:
            for name in required_now:
                if name not in required_before:
                    yield f"{at}.{name}: required"
        else:
            for name in required_before:
                if name in now and name not in required_now:
                    yield f"{at}.{name}: may be missing"
        others_before, others_now = (
            old.get("additionalProperties", True),
            new.get("additionalProperties", True),
        )
        if isinstance(others_before, dict) and isinstance(others_now, dict):
            yield from self.breaks(others_before, others_now, f"{at}.*")
        elif others_now is False and others_before is not False and self._sent:
            yield f"{at}: other fields are refused"

    def _items(self, old: Schema, new: Schema, at: str) -> Iterator[str]:
        was, now = old.get("items", {}), new.get("items", {})
        if isinstance(was, list) and isinstance(now, list):
            for number, each in enumerate(was):
                if number < len(now):
                    yield from self.breaks(each, now[number], f"{at}[{number}]")
                else:
                    yield f"{at}[{number}]: removed"
        elif isinstance(was, list) or isinstance(now, list):
            yield f"{at}: a row became a list, or a list a row"
        elif was or now:
            yield from self.breaks(was, now, f"{at}[]")


def _fewest(breaks: list[list[str]]) -> int:
    return min(range(len(breaks)), key=lambda number: len(breaks[number]))


def resolve(document: Schema, node: Schema) -> Schema:
    """Return what a `$ref` within the document stands for, or the node itself."""
    while "$ref" in node:
        found: Any = document
        for part in node["$ref"].removeprefix("#/").split("/"):
            found = found[part.replace("~1", "/").replace("~0", "~")]
        node = found
    return node


def _alternatives(document: Schema, schema: Schema) -> Iterator[Schema]:
    """Yield the schemas that this one stands for, each of one type and without `anyOf` or `oneOf`."""
    schema = resolve(document, schema)
    if isinstance(kinds := schema.get("type"), list):
        for kind in kinds:
            yield from _alternatives(document, {**schema, "type": kind})
        return
    for word in ALTERNATIVES:
        if word in schema:
            rest = {name: value for name, value in schema.items() if name != word}
            for each in schema[word]:
                for one in _alternatives(document, each):
                    yield from _alternatives(document, _both(rest, one))
            return
    yield schema


def _both(one: Schema, other: Schema) -> Schema:
    """Return a schema for what fits both, where the other one is the more exact."""
    both = {**one, **other}
    if "properties" in one or "properties" in other:
        both["properties"] = {**one.get("properties", {}), **other.get("properties", {})}
    if "required" in one or "required" in other:
        both["required"] = [*one.get("required", []), *other.get("required", [])]
    # What may not come with this alternative. (Of `not`, the documents use nothing else.)
    for name in other.get("not", {}).get("required", []):
        both.get("properties", {}).pop(name, None)
    return both


def _kind(schema: Schema) -> str:
    if "type" in schema:
        return str(schema["type"])
    if values := _values(schema):
        kinds = {NAMES[type(each)] for each in values}
        return kinds.pop() if len(kinds) == 1 else "any"
    return "object" if "properties" in schema else "any"


def _values(schema: Schema) -> list[Any] | None:
    return [schema["const"]] if "const" in schema else schema.get("enum")


NAMES = {
    str: "string",
    bool: "boolean",
    int: "integer",
    float: "number",
    list: "array",
    dict: "object",
    type(None): "null",
}
