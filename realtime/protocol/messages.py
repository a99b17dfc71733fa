"""The server's messages, typed and pure: messages, close codes, error codes, group names. No Django, no I/O.

Fields are camelCase on the wire and snake_case here. The clients' messages are in requests.py. asyncapi.py
generates the description of both from these types.
"""

from __future__ import annotations

import random
from collections.abc import Iterable
from datetime import UTC, datetime
from enum import Enum
from typing import Annotated, Literal, NamedTuple
from uuid import UUID

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from positions.books.quotes import PriceStatus
from positions.books.snapshots import LivePosition, Number, Timestamp, timestamp
from realtime.protocol.compact import Prices

PRICES_GROUP = "prices"


def agent_group(agent_id: UUID | str) -> str:
    """Return the channel-layer group for this agent's messages."""
    return f"agent.{agent_id}"


class Close(NamedTuple):
    code: int
    reason: str
    reconnect: bool
    """Whether a client may reconnect by itself."""


class CloseReason(Enum):
    """Why the server closes a socket: code and reason as sent on the wire."""

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
    """The codes of `error` messages."""

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
    ping_interval: Annotated[int, Meta(description="Milliseconds.")]
    token_expires_at: Timestamp
    epoch: Annotated[
        str, Meta(description="Given back with lastSeq. It changes when the database is restored.")
    ]
    mode: Annotated[
        Literal["own", "watch"],
        Meta(description="Whether the socket owns its agent, or watches it beside the one that does."),
    ]


class Connected(Struct, tag_field="type", tag="connected"):
    """The socket is authorised."""

    data: ConnectedData


class SentPosition(LivePosition, rename="camel", kw_only=True):
    price_key: (
        Annotated[
            int, Meta(description="With compact prices: stands for the token, valid for this connection.")
        ]
        | UnsetType
    ) = UNSET  # added to encoded positions (compact.py), never through this type


class InitialDataData(Struct, rename="camel"):
    positions: list[SentPosition]
    timestamp: Timestamp
    seq: int


class InitialData(Struct, tag_field="type", tag="initial_data"):
    """A snapshot of all open positions, as of event `seq`."""

    data: InitialDataData


class PositionUpdateData(Struct, rename="camel"):
    event_type: Literal["position_created", "position_updated", "position_closed"]
    seq: int
    timestamp: Timestamp
    position: SentPosition | UnsetType = UNSET
    position_id: str | UnsetType = UNSET


class PositionUpdate(Struct, tag_field="type", tag="position_update"):
    """An event: one change of one position."""

    data: PositionUpdateData


class PriceUpdate(Struct, rename="camel"):
    token_address: str
    price: Annotated[Number, Meta(description="In SOL.")]
    price_usd: Number | None
    price_status: Annotated[PriceStatus, Meta(description="Where it has changed.")] | UnsetType = UNSET
    pool_tokens: (
        Annotated[
            Number | None,
            Meta(description="In the pool, with poolSol, where they have moved; null if no longer known."),
        ]
        | UnsetType
    ) = UNSET
    pool_sol: Number | UnsetType | None = UNSET


class PriceUpdateBatchData(Struct, rename="camel"):
    updates: list[PriceUpdate]
    timestamp: Timestamp


class PriceUpdateBatch(Struct, tag_field="type", tag="price_update_batch"):
    """New prices of tokens that the agent holds, or the price of a token that the preceding event introduced."""

    data: PriceUpdateBatchData  # written by `price_batch`, from fragments, never through this type


class Ping(Struct, tag_field="type", tag="ping"):
    """The client answers with `pong`."""

    timestamp: Timestamp


class Pong(Struct, tag_field="type", tag="pong"):
    """Answers the client's `ping`."""

    timestamp: Timestamp


class SubscribedData(Struct, rename="camel"):
    agent_id: str
    seq: int
    recovered: bool


class Subscribed(Struct, tag_field="type", tag="subscribed"):
    """Answers `subscribe`, and a connect with `lastSeq`: missed events follow, or a new snapshot."""

    data: SubscribedData


class RefreshedData(Struct, rename="camel"):
    token_expires_at: Timestamp


class Refreshed(Struct, tag_field="type", tag="refreshed"):
    """The connection stays open until the new token expires."""

    data: RefreshedData


class ClosingData(Struct, rename="camel"):
    code: Annotated[int, Meta(extra_json_schema={"enum": sorted({each.value.code for each in CloseReason})})]
    reason: Annotated[str, Meta(extra_json_schema={"enum": [each.value.reason for each in CloseReason]})]
    reconnect: bool
    retry_after: Annotated[int, Meta(description="Milliseconds to wait before reconnecting.")]


class Closing(Struct, tag_field="type", tag="closing"):
    """The last message before the server closes."""

    data: ClosingData


class ErrorData(Struct):
    code: Annotated[str, Meta(extra_json_schema={"enum": [each.value for each in ErrorCode]})]
    message: str


class Error(Struct, tag_field="type", tag="error"):
    """A request or the connection failed. The socket stays open unless `closing` follows."""

    data: ErrorData


MESSAGES: tuple[type[Struct], ...] = (
    Connected,
    InitialData,
    PositionUpdate,
    PriceUpdateBatch,
    Prices,
    Ping,
    Pong,
    Subscribed,
    Refreshed,
    Closing,
    Error,
)

_encoder = msgspec.json.Encoder()
_read_raw = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


def encode(message: Struct) -> str:
    """Return the message as a text frame."""
    return _encoder.encode(message).decode()


def initial_data(positions: Iterable[bytes], at: str, seq: int) -> bytes:
    """Return an `initial_data` of encoded positions, with the timestamp `at`, in the form that is sent.

    As bytes: a snapshot may have tens of megabytes, and every copy of it takes milliseconds.
    """
    parts = [b'{"type":"initial_data","data":{"positions":[']
    for position in positions:
        parts += (position, b",")
    if len(parts) > 1:
        del parts[-1]
    parts.append(f'],"timestamp":"{at}","seq":{seq}}}}}'.encode())
    return b"".join(parts)


def type_of(text: str | bytes) -> str:
    """Return the type of an encoded message: it comes first."""
    head = text[9:40]
    return (head if isinstance(head, str) else head.decode(errors="replace")).partition('"')[0]


def now() -> str:
    return timestamp(datetime.now(UTC))


def closing(close: Close, *, retry_after_seconds: float, not_before_seconds: float = 0.0) -> str:
    """Return the message that announces a close. Clients that may reconnect get a random delay, to spread them out."""
    seconds = not_before_seconds + retry_after_seconds * random.uniform(0.5, 1.5)  # noqa: S311
    wait = round(1000 * seconds) if close.reconnect else 0
    return encode(Closing(ClosingData(close.code, close.reason, close.reconnect, wait)))


def error(code: ErrorCode, message: str) -> str:
    return encode(Error(ErrorData(code.value, message)))


def too_big(limit_bytes: int) -> str:
    """Return the error text for a message that is too long."""
    return f"a message may have at most {limit_bytes} bytes"


def says_more(fragment: str) -> bool:
    """Return whether a fragment says more than the price."""
    return '"priceStatus":' in fragment or '"poolSol":' in fragment


def followed_by(older: str, newer: str) -> str:
    """Return the newer fragment of a token, with what only the older one says: a client that missed it gets both."""
    if not says_more(older):
        return newer
    return _encoder.encode(_read_raw(older) | _read_raw(newer)).decode()


def around_prices(at: str) -> tuple[bytes, bytes]:
    """Return what comes before and after the encoded fragments of a `price_update_batch` with the timestamp `at`."""
    return b'{"type":"price_update_batch","data":{"updates":[', f'],"timestamp":"{at}"}}}}'.encode()
