"""What travels over the channel layer between processes, and how it is packed.

Five types: `position.event`, `socket.claimed`, `access.changed` and `socket.disconnect` go to an agent's group,
`price.batch` to the prices group. The members of all groups are hubs, one a server process. Names are snake_case,
decimals strings.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Any, Literal, NamedTuple
from uuid import UUID

import msgspec
from channels_redis.serializers import BaseMessageSerializer, registry
from msgspec import Struct

from positions.books.snapshots import number, timestamp
from positions.models import PositionEvent
from positions.prices.quotes import Quote, usable
from realtime.protocol.messages import PriceUpdate, encode

logger = logging.getLogger(__name__)


class MsgspecSerializer(BaseMessageSerializer):  # type: ignore[misc]
    """MessagePack that takes Decimals, UUIDs and datetimes, as strings; channels_redis' own raises on them."""

    as_bytes = staticmethod(msgspec.msgpack.Encoder().encode)
    from_bytes = staticmethod(msgspec.msgpack.Decoder().decode)


def register_serializer() -> None:
    """Make `"serializer_format": "msgspec"` known to channels_redis."""
    registry.register_serializer("msgspec", MsgspecSerializer)


class EventMessage(Struct):
    """`position.event`: a PositionEvent on its way."""

    agent_id: str
    seq: int
    event_type: Literal["position_created", "position_updated", "position_closed"]
    position_id: str
    position: dict[str, Any] | None
    """As positions.books.snapshots.snapshot makes it."""
    created_at: str


class ClaimMessage(Struct):
    """`socket.claimed`: a socket has taken an agent; every socket of a lower claim ends."""

    agent_id: str
    claim: int


class AccessMessage(Struct):
    """`access.changed`: who may watch an agent may have changed; look again."""

    agent_id: str


class DisconnectMessage(Struct):
    """`socket.disconnect`: an operator wants this agent's socket to connect anew."""

    agent_id: str


def event_message(event: PositionEvent) -> dict[str, Any]:
    """Return the message that takes a stored event to the sockets of its agent."""
    return {
        "type": "position.event",
        "agent_id": str(event.agent_id),
        "seq": event.seq,
        "event_type": str(event.event_type),
        "position_id": str(event.position_id),
        "position": event.position,
        "created_at": timestamp(event.created_at),
    }


def to_event(event: PositionEvent) -> EventMessage:
    """Return a stored event in the form in which the layer delivers it."""
    return msgspec.convert(event_message(event), EventMessage)


def claim_message(agent_id: str, claim: int) -> dict[str, Any]:
    return {"type": "socket.claimed", "agent_id": agent_id, "claim": claim}


def access_message(agent_id: UUID) -> dict[str, Any]:
    return {"type": "access.changed", "agent_id": str(agent_id)}


def disconnect_message(agent_id: UUID) -> dict[str, Any]:
    return {"type": "socket.disconnect", "agent_id": str(agent_id)}


class Priced(NamedTuple):
    """Prices of one moment, each as the part of a client's message that it becomes."""

    as_of: datetime
    fragments: dict[str, str]
    """By token."""


def price_message(quotes: Iterable[Quote]) -> dict[str, Any]:
    """Return the one message that takes a round of prices to every server process.

    Each token is encoded here, once for all processes. A hub that serves few of its tokens pays for little more than
    unpacking it: 0.3 µs a token, where a dictionary for each took 5 (`make bench`, growth).
    """
    moments: dict[datetime, dict[str, str]] = {}
    for quote in quotes:  # of one moment, but after an outage
        moments.setdefault(quote.as_of, {})[quote.token_address] = price_fragment(quote)
    return {
        "type": "price.batch",
        # In full: hubs compare it with what the cache says.
        "priced": [{"as_of": as_of.isoformat(), "fragments": named} for as_of, named in moments.items()],
    }


def price_fragment(quote: Quote) -> str:
    """Return one token's part of a client's `price_update_batch`."""
    update = PriceUpdate(quote.token_address, number(quote.price), number(quote.price_usd))
    return encode(update)


def read_prices(message: Mapping[str, Any]) -> Iterator[Priced]:
    """Return what a `price.batch` tells: as price_message wrote it, and in `updates` as other apps write it.

    An update that is none is logged, and left out.
    """
    for moment in message.get("priced", ()):
        yield Priced(datetime.fromisoformat(moment["as_of"]), moment["fragments"])
    updates = message.get("updates")
    for update in updates if isinstance(updates, list) else ():
        try:
            quote = _read_update(update)
        except (ValueError, msgspec.ValidationError) as error:
            logger.warning("a price batch has an update that is none: %s", error)
        else:
            yield Priced(quote.as_of, {quote.token_address: price_fragment(quote)})


def _read_update(update: Any) -> Quote:
    """Return the quote in one of another app's updates, numbers or strings of digits.

    Raises ValueError, which names what is wrong.
    """
    if not isinstance(update, dict) or not isinstance(update.get("token_address"), str):
        raise ValueError("token_address must be a string")
    price = usable(_decimal(update.get("price"), "price"))
    if price is None:
        raise ValueError(f"price must be positive and finite, not {update['price']!r}")
    price_usd = update.get("price_usd")
    as_of = update.get("as_of")
    return Quote(
        update["token_address"],
        price,
        None if price_usd is None else usable(_decimal(price_usd, "price_usd")),
        datetime.now(UTC)
        if as_of is None
        else msgspec.convert(as_of, datetime, strict=False).astimezone(UTC),
    )


def _decimal(value: Any, name: str) -> Decimal:
    try:
        return Decimal(str(value))
    except InvalidOperation as error:
        raise ValueError(f"{name} must be a number, not {value!r}") from error
