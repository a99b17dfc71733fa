"""The wire, typed and pure: messages, close codes, error codes, group names. No Django, no I/O.

PROTOCOL names follow the wire: fields are camelCase there and snake_case here. What comes in is checked here, too,
so that a consumer only ever sees well-formed requests.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from enum import Enum
from typing import Any, Literal, NamedTuple
from uuid import UUID

import msgspec
from msgspec import UNSET, Struct, UnsetType

from positions.snapshots import LivePosition, Number, Timestamp, timestamp

PRICES_GROUP = "prices"


def agent_group(agent_id: UUID | str) -> str:
    """Return the channel-layer group that hears of this agent's positions."""
    return f"agent.{agent_id}"


class Close(NamedTuple):
    code: int
    reason: str
    reconnect: bool
    """Whether a client may come back by itself."""


class CloseReason(Enum):
    """Why the server closes a socket: code and reason as they stand on the wire."""

    REPLACED = Close(1000, "New connection established", reconnect=False)
    TIMEOUT = Close(1000, "Connection timeout", reconnect=True)
    SHUTDOWN = Close(1000, "Server shutdown", reconnect=True)
    AGENT_NOT_FOUND = Close(1008, "Agent not found", reconnect=False)
    AUTHENTICATION_FAILED = Close(1008, "Authentication failed", reconnect=False)
    TOKEN_EXPIRED = Close(1008, "Token expired", reconnect=True)
    ACCESS_REVOKED = Close(1008, "Access revoked", reconnect=False)
    RATE_LIMITED = Close(1008, "Rate limit exceeded", reconnect=True)
    TOO_BIG = Close(1009, "Message too big", reconnect=True)
    INTERNAL_ERROR = Close(1011, "Internal server error", reconnect=True)
    TRY_LATER = Close(1013, "Try again later", reconnect=True)


class ErrorCode(Enum):
    """What `error` messages say, by code."""

    AUTHENTICATION_FAILED = "authentication_failed"
    AGENT_NOT_FOUND = "agent_not_found"
    TOKEN_EXPIRED = "token_expired"  # noqa: S105
    ACCESS_REVOKED = "access_revoked"
    INVALID_JSON = "invalid_json"
    INVALID_MESSAGE = "invalid_message"
    UNKNOWN_TYPE = "unknown_type"
    BINARY_FRAME = "binary_frame"
    RATE_LIMITED = "rate_limited"
    TOO_BIG = "message_too_big"
    TRY_LATER = "try_again_later"
    INTERNAL_ERROR = "internal_error"
    TOKEN_REFUSED = "token_refused"  # noqa: S105


# From server to client


class ConnectedData(Struct, rename="camel"):
    agent_id: str
    timestamp: Timestamp
    connection_id: str
    ping_interval: int
    """Milliseconds."""
    token_expires_at: Timestamp


class Connected(Struct, tag_field="type", tag="connected"):
    """The socket is authorised."""

    data: ConnectedData


class InitialDataData(Struct, rename="camel"):
    positions: list[LivePosition]
    timestamp: Timestamp
    seq: int


class InitialData(Struct, tag_field="type", tag="initial_data"):
    """The whole truth up to event `seq`."""

    data: InitialDataData


class PositionUpdateData(Struct, rename="camel"):
    event_type: Literal["position_created", "position_updated", "position_closed"]
    seq: int
    timestamp: Timestamp
    position: LivePosition | UnsetType = UNSET
    position_id: str | UnsetType = UNSET


class PositionUpdate(Struct, tag_field="type", tag="position_update"):
    """An event: one change of one position."""

    data: PositionUpdateData


class PriceUpdate(Struct, rename="camel"):
    token_address: str
    price: Number
    """In SOL."""
    price_usd: Number | None


class PriceUpdateBatchData(Struct, rename="camel"):
    updates: list[PriceUpdate]
    timestamp: Timestamp


class PriceUpdateBatch(Struct, tag_field="type", tag="price_update_batch"):
    """New prices of tokens that the agent holds. Written by `price_batch`, from fragments, never through this type."""

    data: PriceUpdateBatchData


class Ping(Struct, tag_field="type", tag="ping"):
    timestamp: Timestamp


class Pong(Struct, tag_field="type", tag="pong"):
    timestamp: Timestamp


class SubscribedData(Struct, rename="camel"):
    agent_id: str
    seq: int
    recovered: bool


class Subscribed(Struct, tag_field="type", tag="subscribed"):
    data: SubscribedData


class RefreshedData(Struct, rename="camel"):
    token_expires_at: Timestamp


class Refreshed(Struct, tag_field="type", tag="refreshed"):
    """The connection lasts as long as the new token."""

    data: RefreshedData


class ClosingData(Struct, rename="camel"):
    code: int
    reason: str
    reconnect: bool
    retry_after: int
    """Milliseconds to wait before coming back."""


class Closing(Struct, tag_field="type", tag="closing"):
    """The last message before the server closes."""

    data: ClosingData


class ErrorData(Struct):
    code: str
    message: str


class Error(Struct, tag_field="type", tag="error"):
    data: ErrorData


_encoder = msgspec.json.Encoder()


def encode(message: Struct) -> str:
    """Return the message as the text of a frame."""
    return _encoder.encode(message).decode()


def now() -> str:
    return timestamp(datetime.now(UTC))


def closing(close: Close, *, retry_after_seconds: float) -> str:
    """Return the message that announces a close. A client that may return is told when, each at another moment."""
    wait = round(1000 * retry_after_seconds * random.uniform(0.5, 1.5)) if close.reconnect else 0  # noqa: S311
    return encode(Closing(ClosingData(close.code, close.reason, close.reconnect, wait)))


def error(code: ErrorCode, message: str) -> str:
    return encode(Error(ErrorData(code.value, message)))


def price_batch(fragments: Iterable[str], at: str) -> str:
    """Return a `price_update_batch` made of encoded fragments, of the moment `at`."""
    return f'{{"type":"price_update_batch","data":{{"updates":[{",".join(fragments)}],"timestamp":"{at}"}}}}'


# From client to server


class Malformed(Exception):
    """A frame that is no request. The message is fit for the client."""

    def __init__(self, code: ErrorCode, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


class PingRequest(NamedTuple):
    """`ping`: wants a `pong`."""


class PongRequest(NamedTuple):
    """`pong`: the client is alive."""


class SubscribeRequest(NamedTuple):
    """`subscribe`: the same agent again, or another one of the same user."""

    agent_id: str
    last_seq: int | None


class RefreshRequest(NamedTuple):
    """`refresh`: a new access token of the same user."""

    token: str


def parse(text: str) -> PingRequest | PongRequest | SubscribeRequest | RefreshRequest:
    """Return what the client asks for. Raises Malformed, which says what is wrong with the frame."""
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
        return _subscribe(message)
    if kind == "refresh":
        return _refresh(message)
    raise Malformed(ErrorCode.UNKNOWN_TYPE, f"unknown message type {kind[:40]!r}")


def _subscribe(message: Mapping[str, Any]) -> SubscribeRequest:
    data = _data(message)
    agent_id, last_seq = data.get("agentId"), data.get("lastSeq")
    if not isinstance(agent_id, str):
        raise Malformed(ErrorCode.INVALID_MESSAGE, "agentId must be a string")
    if last_seq is not None and (not isinstance(last_seq, int) or isinstance(last_seq, bool) or last_seq < 0):
        raise _bad_last_seq()
    return SubscribeRequest(agent_id, last_seq)


def _refresh(message: Mapping[str, Any]) -> RefreshRequest:
    token = _data(message).get("token")
    if not isinstance(token, str):
        raise Malformed(ErrorCode.INVALID_MESSAGE, "token must be a string")
    return RefreshRequest(token)


def _data(message: Mapping[str, Any]) -> Mapping[str, Any]:
    data = message.get("data", message)
    if not isinstance(data, dict):
        raise Malformed(ErrorCode.INVALID_MESSAGE, "data must be an object")
    return data


def _bad_last_seq() -> Malformed:
    return Malformed(ErrorCode.INVALID_MESSAGE, "lastSeq must be a whole number of 0 or more")


def parse_last_seq(text: str | None) -> int | None:
    """Return the `lastSeq` of a query; None where there is none. Raises Malformed."""
    if text is None:
        return None
    if not text.isascii() or not text.isdigit() or len(text) > 18:
        raise _bad_last_seq()
    return int(text)


def parse_agent_id(text: str | None) -> UUID | None:
    """Return the agent's id; None where the text is none. Only the canonical form is one."""
    try:
        agent_id = UUID(text or "")
    except ValueError:
        return None
    return agent_id if str(agent_id) == (text or "").lower() else None
