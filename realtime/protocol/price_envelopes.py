"""Prices between processes: `price.batch` and `price.layout` of envelopes.py, encoded once for all who send them on."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Any, NamedTuple

import msgspec
from msgspec import Raw, Struct

from positions.books.accounting import digits
from positions.books.snapshots import number
from positions.prices.quotes import UNKNOWN_MARKET, Market, Quote, usable
from realtime.protocol.envelopes import message_of
from realtime.protocol.messages import PriceUpdate, encode

logger = logging.getLogger(__name__)


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
        return message_of("price.batch", priced=self.priced)

    @property
    def priced(self) -> list[dict[str, Any]]:
        return [_priced(as_of, prices) for as_of, prices in self._moments.items()]


def layout_message(for_all: PriceMessage, *, shards: int, number: int, sent: Sequence[int]) -> dict[str, Any]:
    """Return the last message of a round that is sent by shard, with the prices that are for all processes."""
    return message_of("price.layout", shards=shards, round=number, sent=[*sent], priced=for_all.priced)


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
