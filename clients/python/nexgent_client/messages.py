"""The server's messages as typed objects: names in snake_case, numbers as Decimal, times as aware datetimes.

Unknown fields and types are ignored, so that a newer server can say more.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields
from datetime import datetime
from decimal import Decimal
from typing import Any, Literal, TypeVar, cast, get_type_hints

from nexgent_client.errors import ProtocolError

PriceStatus = Literal["live", "stale", "thin", "gone", "none"]
M = TypeVar("M")


@dataclass(slots=True, kw_only=True)
class Position:
    """What a wallet holds of a token, and what it is worth now. Sums in SOL unless the name says USD."""

    id: str
    agent_id: str
    wallet_address: str
    token_address: str
    token_symbol: str
    purchase_transaction_id: str | None = None
    purchase_price: Decimal
    """The average cost of a token held."""
    purchase_amount: Decimal
    """Tokens ever bought."""
    total_invested_sol: Decimal
    remaining_amount: Decimal
    """Tokens held now."""
    realized_profit_sol: Decimal
    cost_usd: Decimal | None = None
    realized_profit_usd: Decimal | None = None
    current_stop_loss_percentage: Decimal | None = None
    peak_price: Decimal | None = None
    last_stop_loss_update: datetime | None = None
    dca_count: int = 0
    last_dca_time: datetime | None = None
    lowest_price: Decimal | None = None
    dca_transaction_ids: list[str]
    take_profit_levels_hit: int = 0
    take_profit_transaction_ids: list[str]
    last_take_profit_time: datetime | None = None
    moon_bag_activated: bool = False
    moon_bag_amount: Decimal | None = None
    total_take_profit_levels: int | None = None
    """The last level of the plan of take-profits, those hit before included; None without a plan."""
    tp_batch_start_level: int | None = None
    """Levels that were hit when that plan began."""
    created_at: datetime
    updated_at: datetime
    current_price: Decimal
    current_price_usd: Decimal | None = None
    price_source: str = "live"
    price_timestamp: datetime | None = None
    purchase_price_usd: Decimal | None = None
    position_value_sol: Decimal
    position_value_usd: Decimal | None = None
    profit_loss_sol: Decimal
    profit_loss_usd: Decimal | None = None
    profit_loss_usd_at_cost: Decimal | None = None
    profit_loss_percent: Decimal
    price_change_percent: Decimal
    price_status: PriceStatus = "live"
    """Act on a price only while it is "live"."""
    liquidity_usd: Decimal | None = None
    exit_value_sol: Decimal | None = None
    """What selling all of it now would bring, before fees; None where that is not known."""


@dataclass(slots=True, kw_only=True)
class Connected:
    agent_id: str
    connection_id: str
    token_expires_at: datetime
    epoch: str | None = None
    mode: str | None = None


@dataclass(slots=True, kw_only=True)
class Snapshot:
    """All open positions, as of event `seq`."""

    positions: list[Position]
    seq: int


@dataclass(slots=True, kw_only=True)
class Changed:
    """A position was opened or has changed."""

    position: Position
    seq: int
    is_new: bool


@dataclass(slots=True, kw_only=True)
class Closed:
    position_id: str
    seq: int


@dataclass(slots=True, kw_only=True)
class PriceUpdate:
    token_address: str
    price: Decimal
    """SOL for one token."""
    price_usd: Decimal | None
    price_status: PriceStatus | None = None
    """None: as before."""
    pool: tuple[Decimal | None, Decimal | None] | None = None
    """The reserves of the market, tokens and SOL. None: as before; (None, None): not known any more."""


@dataclass(slots=True, kw_only=True)
class Prices:
    updates: list[PriceUpdate]


@dataclass(slots=True, kw_only=True)
class Subscribed:
    """The answer to a reconnect. `recovered`: what was missed follows; else a Snapshot does."""

    agent_id: str
    seq: int
    recovered: bool


@dataclass(slots=True, kw_only=True)
class Refreshed:
    token_expires_at: datetime


@dataclass(slots=True, kw_only=True)
class Closing:
    code: int
    reason: str
    reconnect: bool
    retry_after: int
    """Milliseconds."""


@dataclass(slots=True, kw_only=True)
class ServerError:
    code: str
    message: str


@dataclass(slots=True, kw_only=True)
class Ping:
    timestamp: str


Message = (
    Connected | Snapshot | Changed | Closed | Prices | Subscribed | Refreshed | Closing | ServerError | Ping
)


class Reader:
    """Reads the messages of one connection: with compact prices, tokens have keys that are valid for it only."""

    def __init__(self) -> None:
        self._tokens: dict[int, str] = {}

    def read(self, text: str | bytes) -> Message | None:
        """Return the message; None where its type is not known. Raises ProtocolError."""
        try:
            message = json.loads(text, parse_float=Decimal)
            return self._read(message, message.get("data"))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise ProtocolError(f"a message of the server cannot be read: {error!r}") from error

    def _read(self, message: Any, data: Any) -> Message | None:
        match message["type"]:
            case "connected":
                return _made(Connected, data)
            case "initial_data":
                return Snapshot(
                    positions=[self._position(each) for each in data["positions"]], seq=data["seq"]
                )
            case "position_update" if data["eventType"] == "position_closed":
                return Closed(position_id=data["positionId"], seq=data["seq"])
            case "position_update":
                position = self._position(data["position"])
                return Changed(
                    position=position, seq=data["seq"], is_new=data["eventType"] == "position_created"
                )
            case "price_update_batch":
                return Prices(updates=[_update(each) for each in data["updates"]])
            case "prices":
                return Prices(updates=[self._row(*row) for row in message["u"]])
            case "subscribed":
                return _made(Subscribed, data)
            case "refreshed":
                return _made(Refreshed, data)
            case "closing":
                return _made(Closing, data)
            case "error":
                return _made(ServerError, data)
            case "ping":
                return Ping(timestamp=message["timestamp"])
        return None

    def _position(self, data: Mapping[str, Any]) -> Position:
        if "priceKey" in data:
            self._tokens[data["priceKey"]] = data["tokenAddress"]
        return _made(Position, data)

    def _row(self, key: int, price: Any, price_usd: Any, status: Any = None, *more: Any) -> PriceUpdate:
        return PriceUpdate(
            token_address=self._tokens[key],
            price=Decimal(price),
            price_usd=_decimal(price_usd),
            price_status=status,
            pool=(_decimal(more[0]), _decimal(more[1])) if len(more) > 1 else None,
        )


def _update(data: Mapping[str, Any]) -> PriceUpdate:
    has_pool = "poolTokens" in data and "poolSol" in data
    return PriceUpdate(
        token_address=data["tokenAddress"],
        price=Decimal(data["price"]),
        price_usd=_decimal(data["priceUsd"]),
        price_status=data.get("priceStatus"),
        pool=(_decimal(data["poolTokens"]), _decimal(data["poolSol"])) if has_pool else None,
    )


def _decimal(value: Any) -> Decimal | None:
    return None if value is None else Decimal(value)


def _made(kind: type[M], data: Mapping[str, Any]) -> M:
    given = {name: convert(data[key]) for name, key, convert in _readers(cast(Any, kind)) if key in data}
    return kind(**given)


@functools.cache
def _readers(kind: type[Any]) -> list[tuple[str, str, Any]]:
    hints = get_type_hints(kind)
    found = []
    for field in fields(kind):
        first, *rest = field.name.split("_")
        key = first + "".join(map(str.title, rest))
        found.append(
            (field.name, key, _converter(hints[field.name], may_be_none=field.default is not MISSING))
        )
    return found


def _converter(hint: Any, *, may_be_none: bool) -> Any:
    if hint in {Decimal, Decimal | None}:
        return _decimal if may_be_none else Decimal
    if hint in {datetime, datetime | None}:
        return lambda value: None if value is None else datetime.fromisoformat(value)
    return lambda value: value
