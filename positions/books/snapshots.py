"""A position as data: stored with its event, and sent over the wire with what it is worth now.

There is one path from a row to what a client sees, for the socket's snapshot, its events and the REST API alike:
row → `snapshot` (digits as strings, kept with each event) → live.py (adds the computed fields at a price).

A snapshot carries the version of its shape. Events outlive releases, so a stored one is upgraded when it is read
(docs/adr/0007). To add a field: name it in StoredPosition, write it in live.py, and append a step to UPGRADES that
gives it a value in the events stored before it. Shapes only add: servers of the release before read new rows during a
rolling restart, and ignore what they do not know.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Raw, Struct

from positions.books.accounting import Holding, digits
from positions.books.quotes import PriceStatus

# A JSON number, its digits as the database holds them. Raw, since JSON libraries write a Decimal as a string, as a
# float, or (msgspec) with an exponent.
Number = Annotated[Raw, Meta(extra_json_schema={"type": "number"})]
# ISO 8601, UTC, milliseconds, "Z".
Timestamp = Annotated[str, Meta(extra_json_schema={"format": "date-time"})]


class StoredPosition(Struct, rename="camel", kw_only=True):
    """The stored fields of an open position, as docs/protocol.md names them."""

    id: str
    agent_id: str
    wallet_address: str
    token_address: str
    token_symbol: str
    purchase_transaction_id: str | None
    purchase_price: Number
    purchase_amount: Number
    total_invested_sol: Number
    remaining_amount: Number
    realized_profit_sol: Number
    cost_usd: Number | None
    realized_profit_usd: Number | None
    current_stop_loss_percentage: Number | None
    peak_price: Number | None
    last_stop_loss_update: Timestamp | None
    dca_count: int
    last_dca_time: Timestamp | None
    lowest_price: Number | None
    dca_transaction_ids: list[str]
    take_profit_levels_hit: int
    take_profit_transaction_ids: list[str]
    last_take_profit_time: Timestamp | None
    moon_bag_activated: bool
    moon_bag_amount: Number | None
    total_take_profit_levels: int | None
    tp_batch_start_level: int | None
    created_at: Timestamp
    updated_at: Timestamp


class LivePosition(StoredPosition, rename="camel", kw_only=True):
    """A position as clients see it: the stored fields, and those computed at the newest price."""

    current_price: Number
    current_price_usd: Number | None
    price_source: Literal["live", "purchase"]
    price_timestamp: Timestamp | None
    purchase_price_usd: Number | None
    position_value_sol: Number
    position_value_usd: Number | None
    profit_loss_sol: Number
    profit_loss_usd: Number | None
    profit_loss_usd_at_cost: Number | None
    profit_loss_percent: Number
    price_change_percent: Number
    price_status: PriceStatus
    liquidity_usd: Number | None
    exit_value_sol: Number | None


UPGRADES: tuple[Callable[[dict[str, Any]], dict[str, Any]], ...] = (
    lambda data: {**data, "cost_usd": None, "realized_profit_usd": None},
    lambda data: {**data, "total_take_profit_levels": None, "tp_batch_start_level": None},
)
"""The first turns a snapshot of version 1 into one of version 2, and so on."""
VERSION = 1 + len(UPGRADES)


def snapshot(position: object) -> dict[str, Any]:
    """Return a row of Position as JSON data: names in snake_case, decimals as strings of digits, times as sent."""
    return {"version": VERSION, **{name: read(position) for name, read in _READERS.items()}}


def upgraded(data: dict[str, Any]) -> dict[str, Any]:
    """Return a snapshot of any release in the shape of this one. One of a later release is returned as it is."""
    version: int = data.get("version", 1)  # there was none before there was a second release
    if version >= VERSION:
        return data
    for upgrade in UPGRADES[version - 1 :]:
        data = upgrade(data)
    return {**data, "version": VERSION}


def parsed(text: str) -> dict[str, Any] | None:
    """Return the snapshot that this JSON has, of whichever release, in the shape of this one.

    None where it is no snapshot, or has something else where there must be a number: it was written past Django.
    """
    try:
        data = _decode(text)
    except msgspec.DecodeError:
        data = json.loads(text)  # which takes NaN, and half of a surrogate pair
    if not isinstance(data, dict) or not isinstance(data.get("version", 1), int):
        return None
    data = upgraded(data)
    if not _READERS.keys() <= data.keys():
        return None
    # No generator: it takes half as long again, for every event of everybody who comes back.
    for name in _NUMBERS:
        value = data[name]
        if value is not None and not (isinstance(value, str) and _DIGITS.fullmatch(value)):
            return None
    return data


def stored(data: Mapping[str, Any]) -> StoredPosition:
    """Return a snapshot in its wire form, without the computed fields."""
    return StoredPosition(**wire_fields(data))


def holding(data: Mapping[str, Any]) -> Holding:
    """Return a snapshot's cost side."""
    return Holding(
        Decimal(data["purchase_price"]),
        Decimal(data["purchase_amount"]),
        Decimal(data["remaining_amount"]),
        Decimal(data["total_invested_sol"]),
        Decimal(data["realized_profit_sol"]),
    )


def wire_fields(data: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of a StoredPosition."""
    fields = {name: data[name] for name in _READERS}
    for name in _NUMBERS:
        if fields[name] is not None:
            fields[name] = Raw(fields[name].encode())
    return fields


def number(value: Decimal | None) -> Any:
    """Return the decimal as a JSON number of exactly its digits; None stays None."""
    return None if value is None else Raw(digits(value).encode())


def timestamp(moment: datetime) -> str:
    """Return the moment as the wire writes it: `2026-01-31T12:00:00.000Z`."""
    utc = moment if moment.tzinfo is UTC else moment.astimezone(UTC)
    return f"{utc.isoformat(timespec='milliseconds')[:-6]}Z"  # without "+00:00"


def _optional(read: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lambda value: None if value is None else read(value)


def _conversion(field: msgspec.structs.FieldInfo) -> Callable[[Any], Any] | None:
    """Return what turns this field's value in a row into that of a snapshot; None if nothing has to."""
    if field.name in _NUMBERS:
        return digits
    if field.type in (Timestamp, Timestamp | None):
        return timestamp
    if field.name in {"id", "agent_id"}:
        return str
    if field.type == list[str]:
        # Transaction ids are strings, even if something else was put into the list.
        return lambda ids: [str(item) for item in ids]
    return None


def _reader(field: msgspec.structs.FieldInfo) -> Callable[[object], Any]:
    """Return what reads this field off an instance."""
    convert = _conversion(field)
    if convert is None:
        return lambda position: getattr(position, field.name)
    optional = _optional(convert)
    return lambda position: optional(getattr(position, field.name))


_decode = msgspec.json.Decoder().decode
_DIGITS = re.compile(r"-?[0-9]{1,60}(\.[0-9]{1,60})?")
_FIELDS = msgspec.structs.fields(StoredPosition)
_NUMBERS = frozenset(field.name for field in _FIELDS if field.type in (Number, Number | None))
_READERS = {field.name: _reader(field) for field in _FIELDS}
