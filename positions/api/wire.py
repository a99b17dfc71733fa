"""The REST API's responses: the socket's types, and those that only REST has."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Annotated
from uuid import UUID

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from positions.books.live import live
from positions.books.snapshots import (
    LivePosition,
    Number,
    StoredPosition,
    Timestamp,
    number,
    snapshot,
    stored,
    timestamp,
)
from positions.history.sales import sale_prices
from positions.models import Agent, Mode, Position, PositionEvent, Wallet
from positions.prices.cache import FeedStatus
from positions.prices.last_quotes import newest_prices
from positions.prices.quotes import UNKNOWN_MARKET, Prices, PriceStatus, Quote

Id = Annotated[str, Meta(extra_json_schema={"format": "uuid"})]
ModeName = Annotated[str, Meta(extra_json_schema={"enum": Mode.values})]
StatusName = Annotated[str, Meta(extra_json_schema={"enum": Position.Status.values})]
EventName = Annotated[str, Meta(extra_json_schema={"enum": PositionEvent.Type.values})]


class PositionOnRest(LivePosition, rename="camel", kw_only=True):
    """A position as on the socket; REST also returns closed ones."""

    status: StatusName
    closed_at: Timestamp | None
    close_reason: str | None
    sale_price: Number | None
    """What a closed position was sold at: on average, in SOL, net of fees. Null where it was never sold."""


class AgentOnRest(Struct, rename="camel", kw_only=True):
    id: Id
    name: str
    trading_mode: ModeName
    event_seq: int
    open_positions: int
    created_at: Timestamp
    updated_at: Timestamp


class WalletOnRest(Struct, rename="camel", kw_only=True):
    address: str
    agent_id: Id
    kind: ModeName
    created_at: Timestamp


class EventOnRest(Struct, rename="camel", kw_only=True):
    """The data of a `position_update`, with the position as it was then, without computed values, and a note."""

    event_type: EventName
    position: StoredPosition | UnsetType = UNSET
    position_id: Id | UnsetType = UNSET
    seq: int
    timestamp: Timestamp
    note: str | None
    """Why, as whoever made the change has said."""


class PriceOnRest(Struct, rename="camel", kw_only=True):
    token_address: str
    price: Number
    price_usd: Number | None
    timestamp: Timestamp
    """When the source gave this price."""
    price_status: PriceStatus
    liquidity_usd: Number | None
    pool_tokens: Number | None
    pool_sol: Number | None
    """The reserves of the pool that sets the price; null if the source does not report them."""
    answered_at: Timestamp
    """When the source last answered for the token."""


class PricesOnRest(Struct, rename="camel", kw_only=True):
    """Prices, each with its own status, and the status of the feed: null without a feed."""

    source: str | None
    simulated: bool | None
    stale: bool
    """Whether the source has not answered for too long, for instance because no feed is running."""
    sol_price_usd: Number | None
    updated_at: Timestamp | None
    errors: list[str]
    prices: list[PriceOnRest]


def positions_on_rest(positions: Sequence[Position]) -> list[PositionOnRest]:
    """Return the positions at the newest prices.

    One MGET, one query where the cache misses some, and one for the sales of closed positions.
    """
    prices = newest_prices({position.token_address for position in positions}) if positions else Prices({})
    sold = sale_prices(positions)
    return [position_on_rest(position, prices, sold) for position in positions]


def position_on_rest(position: Position, prices: Prices, sold: Mapping[UUID, Decimal]) -> PositionOnRest:
    """Return the position at its price; `sold`: what closed ones were sold at."""
    priced = live(snapshot(position), prices.quotes.get(position.token_address), sol_usd=prices.sol_usd)
    if position.status != Position.Status.OPEN:  # what the market does afterwards is none of its extremes
        priced.peak_price, priced.lowest_price = number(position.peak_price), number(position.lowest_price)
    return PositionOnRest(
        **msgspec.structs.asdict(priced),
        status=position.status,
        closed_at=timestamp(position.closed_at) if position.closed_at else None,
        close_reason=position.close_reason or None,
        sale_price=number(sold.get(position.pk)),
    )


def agent_on_rest(agent: Agent, *, open_positions: int) -> AgentOnRest:
    return AgentOnRest(
        id=str(agent.pk),
        name=agent.name,
        trading_mode=agent.trading_mode,
        event_seq=agent.event_seq,
        open_positions=open_positions,
        created_at=timestamp(agent.created_at),
        updated_at=timestamp(agent.updated_at),
    )


def wallet_on_rest(wallet: Wallet) -> WalletOnRest:
    return WalletOnRest(
        address=wallet.address,
        agent_id=str(wallet.agent_id),
        kind=wallet.kind,
        created_at=timestamp(wallet.created_at),
    )


def event_on_rest(event: PositionEvent) -> EventOnRest:
    return EventOnRest(
        event_type=event.event_type,
        position=UNSET if event.position is None else stored(event.position),
        position_id=str(event.position_id) if event.position is None else UNSET,
        seq=event.seq,
        timestamp=timestamp(event.created_at),
        note=event.note,
    )


def prices_on_rest(quotes: Sequence[Quote], feed: FeedStatus | None, *, now: datetime) -> PricesOnRest:
    return PricesOnRest(
        source=feed.source if feed else None,
        simulated=feed.simulated if feed else None,
        stale=feed is None or feed.is_stale(now),
        sol_price_usd=number(feed.sol_usd) if feed else None,
        updated_at=timestamp(feed.updated_at) if feed else None,
        errors=feed.errors if feed else [],
        prices=[_price(quote) for quote in quotes],
    )


def _price(quote: Quote) -> PriceOnRest:
    market = quote.market or UNKNOWN_MARKET
    return PriceOnRest(
        token_address=quote.token_address,
        price=number(quote.price),
        price_usd=number(quote.price_usd),
        timestamp=timestamp(quote.priced_at),
        price_status=quote.status,
        liquidity_usd=number(market.liquidity_usd),
        pool_tokens=number(market.pool_tokens),
        pool_sol=number(market.pool_sol),
        answered_at=timestamp(quote.as_of),
    )
