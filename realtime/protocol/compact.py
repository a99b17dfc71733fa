"""Compact prices, the subprotocol `nexgent.compact.v1`: rows with a number for each token, in place of updates. Pure.

A row is made from the update's fragment, which each token has once a round, whatever its streams read.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import msgspec
from msgspec import Meta, Raw, Struct

from positions.books.quotes import PriceStatus
from positions.books.snapshots import Number

SUBPROTOCOL = "nexgent.compact.v1"


class PriceRow(Struct, array_like=True):
    """A token's new price, and what else has changed: elements at the end that have not changed are left out."""

    key: Annotated[int, Meta(description="The token's priceKey, valid for this connection.")]
    price: Annotated[Number, Meta(description="In SOL.")]
    price_usd: Number | None
    price_status: Annotated[PriceStatus, Meta(description="Where it has changed; else null.")] | None = None
    pool_tokens: Annotated[Number | None, Meta(description="With poolSol, where they have moved.")] = None
    pool_sol: Number | None = None


class Prices(Struct, tag_field="type", tag="prices"):
    """New prices, as rows, on a connection with the subprotocol nexgent.compact.v1: in place of price_update_batch."""

    t: Annotated[int, Meta(description="Milliseconds of the epoch.")]
    u: list[PriceRow]  # both written by `around_rows`, from rows, never through this type


_NULL = Raw(b"null")
_encode = msgspec.json.Encoder().encode
_read_fragment = msgspec.json.Decoder(dict[str, Raw]).decode


def choose(offered: Sequence[str]) -> str | None:
    """Return the subprotocol to accept of those that a client offers; None if none of them is known."""
    return SUBPROTOCOL if SUBPROTOCOL in offered else None


def row(key: int, fragment: str) -> str:
    """Return the row of an update's fragment."""
    # `{"tokenAddress":"…","price":1,"priceUsd":2}`: nearly always, without parsing it.
    numbers = fragment.partition('"price":')[2][:-1].replace(',"priceUsd":', ",", 1)
    if '"' not in numbers:
        return f"[{key},{numbers}]"
    update = _read_fragment(fragment)
    elements = [Raw(str(key).encode()), update["price"], update["priceUsd"]]
    if "priceStatus" in update or "poolSol" in update:
        elements.append(update.get("priceStatus", _NULL))
    if "poolSol" in update:
        elements += [update["poolTokens"], update["poolSol"]]
    return _encode(elements).decode()


def around_rows(milliseconds: int) -> tuple[bytes, bytes]:
    """Return what comes before and after the rows of a `prices` message of this time of the epoch."""
    return f'{{"type":"prices","t":{milliseconds},"u":['.encode(), b"]}"


def keyed_position(encoded: bytes, key: int) -> bytes:
    """Return an encoded position with its token's key."""
    return b'%b,"priceKey":%d}' % (encoded[:-1], key)


def keyed_update(text: str, key: int) -> str:
    """Return the `position_update` of a position that was created or updated, which it ends with, with its key."""
    return f'{text[:-3]},"priceKey":{key}}}}}}}'
