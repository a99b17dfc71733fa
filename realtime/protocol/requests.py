"""The clients' messages: validated here, so that a consumer sees only well-formed requests. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, TypeVar
from uuid import UUID

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from positions.books.snapshots import Timestamp
from realtime.protocol.messages import ErrorCode


class Malformed(Exception):
    """A frame that is not a valid request. The message can be sent to the client."""

    def __init__(self, code: ErrorCode, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


class PingRequest(Struct):
    """Answered with `pong`."""

    timestamp: Timestamp | UnsetType = UNSET


class PongRequest(Struct):
    """Keeps the connection alive, as any frame does."""

    timestamp: Timestamp | UnsetType = UNSET


class SubscribeRequest(Struct, rename="camel"):
    """Subscribes to the same agent again, or to another one of the same user."""

    agent_id: str
    last_seq: Annotated[int, Meta(ge=0)] | None = None
    """The last event that the client received: the missed ones follow."""
    epoch: str | None = None
    """What `connected` said when that event came: after a restore, a snapshot follows instead."""


class RefreshRequest(Struct):
    """A new access token of the same user extends the connection."""

    token: str


# What a client may send, by `type`. A request's fields are in `data` or next to `type`; those of pings only next to it.
REQUESTS: dict[str, type[Struct]] = {
    "ping": PingRequest,
    "pong": PongRequest,
    "subscribe": SubscribeRequest,
    "refresh": RefreshRequest,
}
TYPES = {request: kind for kind, request in REQUESTS.items()}
OWN, WATCH = "own", "watch"
LAST_SEQ_MUST_BE = "lastSeq must be a whole number of 0 or more"
_MUST_BE = {
    "agentId": "agentId must be a string",
    "epoch": "epoch must be a string",
    "lastSeq": LAST_SEQ_MUST_BE,
    "token": "token must be a string",
}
R = TypeVar("R", bound=Struct)


def parse(text: str) -> PingRequest | PongRequest | SubscribeRequest | RefreshRequest:
    """Return the client's request. Raises Malformed, which says what is wrong with the frame."""
    try:
        message = msgspec.json.decode(text)
    except msgspec.DecodeError as problem:
        raise Malformed(ErrorCode.INVALID_JSON, f"not valid JSON: {problem}") from problem
    except RecursionError as problem:
        raise Malformed(ErrorCode.INVALID_JSON, "not valid JSON: nested too deep") from problem
    if not isinstance(message, dict):
        raise Malformed(ErrorCode.INVALID_MESSAGE, "a message must be a JSON object")
    kind = message.get("type")
    if not isinstance(kind, str):
        raise Malformed(ErrorCode.INVALID_MESSAGE, "type must be a string")
    if kind == "ping":
        return PingRequest()
    if kind == "pong":
        return PongRequest()
    if kind == "subscribe":
        return _request(message, SubscribeRequest)
    if kind == "refresh":
        return _request(message, RefreshRequest)
    raise Malformed(ErrorCode.UNKNOWN_TYPE, f"unknown message type {kind[:40]!r}")


def _request(message: Mapping[str, Any], kind: type[R]) -> R:
    data = message.get("data", message)
    if not isinstance(data, dict):
        raise Malformed(ErrorCode.INVALID_MESSAGE, "data must be an object")
    try:
        return msgspec.convert(data, kind)
    except msgspec.ValidationError as problem:
        # "Object missing required field `token`", "Expected `str`, got `int` - at `$.token`".
        field = re.search(r"`(?:\$\.)?(\w+)`$", str(problem))
        sentence = _MUST_BE.get(field[1]) if field else None
        raise Malformed(ErrorCode.INVALID_MESSAGE, sentence or str(problem)) from problem


def parse_last_seq(text: str | None) -> int | None:
    """Return the `lastSeq` of a query; None where there is none. Raises Malformed."""
    if text is None:
        return None
    if not text.isascii() or not text.isdigit() or len(text) > 18:
        raise Malformed(ErrorCode.INVALID_MESSAGE, LAST_SEQ_MUST_BE)
    return int(text)


def check_mode(text: str | None) -> None:
    """Raise Malformed if the `mode` of a query is none that there is."""
    if text not in {None, OWN, WATCH}:
        raise Malformed(
            ErrorCode.INVALID_MESSAGE,
            f"mode must be {OWN} or {WATCH}, not {text[:40]!r}: this socket watches",
        )


def parse_agent_id(text: str | None) -> UUID | None:
    """Return the agent's id; None where the text is none. Only the canonical form is one."""
    try:
        agent_id = UUID(text or "")
    except ValueError:
        return None
    return agent_id if str(agent_id) == (text or "").lower() else None
