"""What travels over the channel layer between processes, and how it is packed.

Eight types: `position.event`, `socket.claimed`, `access.changed`, `socket.disconnect` and `watchers.disconnect` go to
an agent's group, `price.batch` to the prices group. Where prices are sent by shard (shards.py), `price.layout` goes to
the prices group, `price.batch` and `price.joined` to the shards' groups. The members of all groups are hubs, one a
server process. Names are snake_case, decimals strings.

During a rolling restart, processes of two releases receive each other's messages, so each type has a version
(docs/adr/0007). To add a field that older processes may ignore, give it a default in its Struct; the version stays. If
they would go wrong without it, raise the number in VERSIONS: they skip such a message, and the reconciler makes up for
it. A message also names the installation that sent it, where that is known (positions/installations.py).
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Any, Literal, NamedTuple
from uuid import UUID

import msgspec
from channels_redis.serializers import BaseMessageSerializer, registry
from msgspec import Raw, Struct

from positions.books.accounting import digits
from positions.books.snapshots import number, timestamp, upgraded
from positions.installations import known_installation
from positions.models import PositionEvent
from positions.prices.quotes import UNKNOWN_MARKET, Market, Quote, usable
from realtime.protocol.messages import PriceUpdate, encode

logger = logging.getLogger(__name__)


class Received(dict[str, Any]):
    """A message that has come."""

    __slots__ = ("bytes",)

    bytes: int
    """How long it was on its way."""


class MsgspecSerializer(BaseMessageSerializer):  # type: ignore[misc]
    """MessagePack that takes Decimals, UUIDs and datetimes, as strings; channels_redis' own raises on them."""

    as_bytes = staticmethod(msgspec.msgpack.Encoder().encode)
    from_bytes = staticmethod(msgspec.msgpack.Decoder().decode)

    def deserialize(self, message: bytes) -> Received:
        received = Received(super().deserialize(message))
        received.bytes = len(message)
        return received


def register_serializer() -> None:
    """Make `"serializer_format": "msgspec"` known to channels_redis."""
    registry.register_serializer("msgspec", MsgspecSerializer)


VERSIONS = {
    "position.event": 1,
    "price.batch": 1,
    "price.layout": 1,
    "price.joined": 1,
    "access.changed": 1,
    "socket.claimed": 1,
    "socket.disconnect": 1,
    "watchers.disconnect": 1,
}
"""The version of each type that this release sends, and the newest that it reads; 1 where a message has none."""


def unreadable(message: Mapping[str, Any]) -> str | None:
    """Return how to name, in a log line, a message of an unknown type or version; None if both are known."""
    kind, version = message.get("type"), message.get("version", 1)
    newest = VERSIONS.get(kind) if isinstance(kind, str) else None
    if newest is None:
        return f"type {kind!r}"
    if not isinstance(version, int) or version > newest:
        return f"type {kind!r} and version {version!r}"
    return None


def foreign(message: Mapping[str, Any]) -> str | None:
    """Return the installation that sent a message, if it is known not to be this one."""
    sender, own = message.get("installation"), known_installation()
    return None if sender == own or not isinstance(sender, str) or own is None else sender


class EventMessage(Struct):
    """`position.event`: a PositionEvent."""

    agent_id: str
    seq: int
    event_type: Literal["position_created", "position_updated", "position_closed"]
    position_id: str
    position: dict[str, Any] | None
    """A snapshot in this release's shape (positions.books.snapshots)."""
    created_at: str


class ClaimMessage(Struct):
    """`socket.claimed`: a socket has taken an agent; every socket of a lower claim that owns it ends.

    A watcher sends one with a negative number, which ends none, to learn whether the group's messages reach it.
    """

    agent_id: str
    claim: int


class AccessMessage(Struct):
    """`access.changed`: who may watch an agent may have changed."""

    agent_id: str


class LayoutMessage(Struct):
    """`price.layout`: the last message of a round that is sent by shard. It has SOL's price, as a `price.batch` has.

    A release that does not know it would miss the others: it says so, and reads prices from the cache.
    """

    shards: int
    round: int
    """The same in the messages of the round's shards, beside the number of their `shard`."""
    sent: list[int]
    """The shards that have prices in this round."""


class JoinedMessage(Struct):
    """`price.joined`: a hub sends it to a group that it has joined, to learn whether the group's messages reach it."""

    group: str
    hub: str


class DisconnectMessage(Struct):
    """`socket.disconnect`, `watchers.disconnect`: an operator wants this agent's owner, or watchers, to reconnect."""

    agent_id: str


def event_message(event: PositionEvent) -> dict[str, Any]:
    """Return the message that takes a stored event to the sockets of its agent."""
    return _message(
        "position.event",
        agent_id=str(event.agent_id),
        seq=event.seq,
        event_type=str(event.event_type),
        position_id=str(event.position_id),
        position=event.position,
        created_at=timestamp(event.created_at),
    )


def read_event(message: Mapping[str, Any]) -> EventMessage:
    """Return the content of a `position.event` of any release. Raises msgspec.ValidationError."""
    event = msgspec.convert(message, EventMessage)
    if event.position is not None:
        event.position = upgraded(event.position)
    return event


def to_event(event: PositionEvent) -> EventMessage:
    """Return a stored event in the form in which the channel layer delivers it."""
    return msgspec.convert(event_message(event), EventMessage)


def claim_message(agent_id: str, claim: int) -> dict[str, Any]:
    return _message("socket.claimed", agent_id=agent_id, claim=claim)


def access_message(agent_id: UUID) -> dict[str, Any]:
    return _message("access.changed", agent_id=str(agent_id))


def disconnect_message(agent_id: UUID, *, watchers: bool = False) -> dict[str, Any]:
    """Return the message that makes an agent's owner reconnect, or its watchers."""
    return _message("watchers.disconnect" if watchers else "socket.disconnect", agent_id=str(agent_id))


def joined_message(group: str, hub_id: str) -> dict[str, Any]:
    return _message("price.joined", group=group, hub=hub_id)


def _message(kind: str, **fields: Any) -> dict[str, Any]:
    message = {"type": kind, "version": VERSIONS[kind], **fields}
    if (sender := known_installation()) is not None:
        message["installation"] = sender
    return message


class Priced(NamedTuple):
    """Prices of one moment."""

    as_of: datetime
    fragments: dict[str, str]
    """By token."""
    digits: Sequence[str]
    """Of the same tokens, in the same order."""
    markets: Mapping[str, Market] = {}
    """Of those whose market is news."""


def price_message(quotes: Iterable[Quote]) -> dict[str, Any]:
    """Return the one message that takes a round of prices to every server process.

    Each token is encoded here, once for all processes. A hub that serves few of its tokens pays for little more than
    unpacking it: 0.3 µs a token, where a dictionary for each took 5 (`make bench`, growth). A quote without a market
    says that it is as it was, which is so for nearly all: those that have one are listed in addition to the fragments.
    """
    message = PriceMessage()
    message.add(quotes)
    return message.content


class PriceMessage:
    """A price_message that is made little by little."""

    def __init__(self) -> None:
        self._moments: dict[datetime, dict[str, tuple[Quote, Encoded]]] = {}
        """By time, which is the same for all but after an outage; then by token."""

    def add(self, quotes: Iterable[Quote]) -> None:
        for quote in quotes:
            prices = self._moments.get(quote.as_of)
            if prices is None:
                prices = self._moments[quote.as_of] = {}
            prices[quote.token_address] = quote, encoded(quote)

    @property
    def content(self) -> dict[str, Any]:
        return _message("price.batch", priced=self.priced)

    @property
    def priced(self) -> list[dict[str, Any]]:
        return [_priced(as_of, prices) for as_of, prices in self._moments.items()]


def layout_message(for_all: PriceMessage, *, shards: int, number: int, sent: Sequence[int]) -> dict[str, Any]:
    """Return the last message of a round that is sent by shard, with the prices that are for all processes."""
    return _message("price.layout", shards=shards, round=number, sent=[*sent], priced=for_all.priced)


def _priced(as_of: datetime, prices: Mapping[str, tuple[Quote, Encoded]]) -> dict[str, Any]:
    priced = {
        "as_of": as_of.isoformat(),  # in full: hubs compare it with what the cache says
        "fragments": {token: each.fragment for token, (_, each) in prices.items()},
        "digits": [each.digits for _, each in prices.values()],
    }
    markets = {token: quote.market for token, (quote, _) in prices.items() if quote.market is not None}
    return priced | {"markets": msgspec.to_builtins(markets)} if markets else priced


class Encoded(NamedTuple):
    """A price in two forms: as sent to clients, and as read by processes, which never parse a fragment."""

    fragment: str
    """The token's part of a `price_update_batch`."""
    digits: str
    """The price and, where it is known, the price in USD: `0.5 100`."""


def full_fragment(quote: Quote, *, status: bool, reserves: bool) -> str:
    """Return the quote's fragment with its status, and with the pool's reserves: null if they are no longer known."""
    market, price_usd = quote.market or UNKNOWN_MARKET, quote.price_usd
    update = PriceUpdate(
        quote.token_address,
        Raw(digits(quote.price).encode()),
        None if price_usd is None else Raw(digits(price_usd).encode()),
    )
    if status:
        update.price_status = quote.status
    if reserves:
        update.pool_tokens, update.pool_sol = number(market.pool_tokens), number(market.pool_sol)
    return encode(update)


def encoded(quote: Quote) -> Encoded:
    """Return a price in both forms, with exactly the quote's digits."""
    price = digits(quote.price)
    if quote.price_usd is None:
        return Encoded(encode(PriceUpdate(quote.token_address, Raw(price.encode()), None)), price)
    price_usd = digits(quote.price_usd)
    update = PriceUpdate(quote.token_address, Raw(price.encode()), Raw(price_usd.encode()))
    return Encoded(encode(update), f"{price} {price_usd}")


def decoded(
    token: str, text: str, as_of: datetime, market: Market | None = None, *, is_stale: bool = False
) -> Quote:
    """Return the quote whose digits these are."""
    price, _, price_usd = text.partition(" ")
    return Quote(token, Decimal(price), Decimal(price_usd) if price_usd else None, as_of, market, is_stale)


def read_prices(message: Mapping[str, Any]) -> Iterator[Priced]:
    """Return the prices of a `price.batch`: as price_message wrote them, and in `updates` as other apps write them.

    An invalid update is logged and skipped.
    """
    for moment in message.get("priced", ()):
        fragments = moment["fragments"]
        # The first release sent no digits: they are in its fragments only.
        all_digits = moment.get("digits") or [_digits_in(fragment) for fragment in fragments.values()]
        markets = moment.get("markets")
        yield Priced(
            datetime.fromisoformat(moment["as_of"]),
            fragments,
            all_digits,
            msgspec.convert(markets, dict[str, Market], strict=False) if markets else {},
        )
    updates = message.get("updates")
    for update in updates if isinstance(updates, list) else ():
        try:
            quote = _read_update(update)
        except (ValueError, msgspec.ValidationError) as error:
            logger.warning("a price batch has an invalid update: %s", error)
        else:
            price = encoded(quote)
            yield Priced(quote.as_of, {quote.token_address: price.fragment}, [price.digits])


class _Numbers(Struct, rename="camel"):
    price: Decimal
    price_usd: Decimal | None


_read_numbers = msgspec.json.Decoder(_Numbers).decode


def _digits_in(fragment: str) -> str:
    numbers = _read_numbers(fragment)
    return str(numbers.price) if numbers.price_usd is None else f"{numbers.price} {numbers.price_usd}"


def _read_update(update: Any) -> Quote:
    """Return the quote of an update that another app sent, in numbers or strings of digits.

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
