"""What a position is worth at a price: the computed fields of LivePosition, as data and as the JSON that is sent.

`encoded` writes by hand what encoding `live` gives, byte for byte (tests/positions/test_live.py): a socket that starts
is sent every position of its agent, and to make the struct took longer than all arithmetic.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from decimal import Decimal
from json.encoder import encode_basestring as _text
from typing import Any, Literal, NamedTuple

import msgspec
from msgspec import Raw

from positions.books.accounting import digits, exit_value, profit_usd_at_cost, value
from positions.books.quotes import UNKNOWN_MARKET, PriceStatus, Quote
from positions.books.snapshots import LivePosition, Number, holding, timestamp, wire_fields


class Figures(NamedTuple):
    """The fields of a LivePosition that depend on the price, as texts: numbers in plain digits."""

    peak_price: str | None
    lowest_price: str | None
    current_price: str
    current_price_usd: str | None
    price_source: Literal["live", "purchase"]
    price_timestamp: str | None
    purchase_price_usd: str | None
    position_value_sol: str
    position_value_usd: str | None
    profit_loss_sol: str
    profit_loss_usd: str | None
    profit_loss_usd_at_cost: str | None
    profit_loss_percent: str
    price_change_percent: str
    price_status: PriceStatus
    liquidity_usd: str | None
    exit_value_sol: str | None


def live(data: Mapping[str, Any], quote: Quote | None, *, sol_usd: Decimal | None) -> LivePosition:
    """Return a snapshot with its computed fields, at the quote's price.

    Without a quote the purchase price is used, and `sol_usd` (USD for one SOL, None where unknown) values it.
    """
    fields: dict[str, Any] = _figures(data, quote, sol_usd)._asdict()
    for name in _NUMBERS:
        if fields[name] is not None:
            fields[name] = Raw(fields[name].encode())
    return LivePosition(**wire_fields(data) | fields)


def encoded(data: Mapping[str, Any], quote: Quote | None, *, sol_usd: Decimal | None) -> bytes:
    """Return what encoding `live` gives: a position as it is sent."""
    now = _figures(data, quote, sol_usd)
    text = (
        f'{{"id":"{data["id"]}"'
        f',"agentId":"{data["agent_id"]}"'
        f',"walletAddress":{_text(data["wallet_address"])}'
        f',"tokenAddress":{_text(data["token_address"])}'
        f',"tokenSymbol":{_text(data["token_symbol"])}'
        f',"purchaseTransactionId":{_text_or_null(data["purchase_transaction_id"])}'
        f',"purchasePrice":{data["purchase_price"]}'
        f',"purchaseAmount":{data["purchase_amount"]}'
        f',"totalInvestedSol":{data["total_invested_sol"]}'
        f',"remainingAmount":{data["remaining_amount"]}'
        f',"realizedProfitSol":{data["realized_profit_sol"]}'
        f',"costUsd":{data["cost_usd"] or "null"}'
        f',"realizedProfitUsd":{data["realized_profit_usd"] or "null"}'
        f',"currentStopLossPercentage":{data["current_stop_loss_percentage"] or "null"}'
        f',"peakPrice":{now.peak_price or "null"}'
        f',"lastStopLossUpdate":{_time_or_null(data["last_stop_loss_update"])}'
        f',"dcaCount":{data["dca_count"]}'
        f',"lastDcaTime":{_time_or_null(data["last_dca_time"])}'
        f',"lowestPrice":{now.lowest_price or "null"}'
        f',"dcaTransactionIds":{_ids(data["dca_transaction_ids"])}'
        f',"takeProfitLevelsHit":{data["take_profit_levels_hit"]}'
        f',"takeProfitTransactionIds":{_ids(data["take_profit_transaction_ids"])}'
        f',"lastTakeProfitTime":{_time_or_null(data["last_take_profit_time"])}'
        f',"moonBagActivated":{"true" if data["moon_bag_activated"] else "false"}'
        f',"moonBagAmount":{data["moon_bag_amount"] or "null"}'
        f',"totalTakeProfitLevels":{_count_or_null(data["total_take_profit_levels"])}'
        f',"tpBatchStartLevel":{_count_or_null(data["tp_batch_start_level"])}'
        f',"createdAt":"{data["created_at"]}"'
        f',"updatedAt":"{data["updated_at"]}"'
        f',"currentPrice":{now.current_price}'
        f',"currentPriceUsd":{now.current_price_usd or "null"}'
        f',"priceSource":"{now.price_source}"'
        f',"priceTimestamp":{_time_or_null(now.price_timestamp)}'
        f',"purchasePriceUsd":{now.purchase_price_usd or "null"}'
        f',"positionValueSol":{now.position_value_sol}'
        f',"positionValueUsd":{now.position_value_usd or "null"}'
        f',"profitLossSol":{now.profit_loss_sol}'
        f',"profitLossUsd":{now.profit_loss_usd or "null"}'
        f',"profitLossUsdAtCost":{now.profit_loss_usd_at_cost or "null"}'
        f',"profitLossPercent":{now.profit_loss_percent}'
        f',"priceChangePercent":{now.price_change_percent}'
        f',"priceStatus":"{now.price_status}"'
        f',"liquidityUsd":{now.liquidity_usd or "null"}'
        f',"exitValueSol":{now.exit_value_sol or "null"}}}'
    )
    return text.encode()


def _figures(data: Mapping[str, Any], quote: Quote | None, sol_usd: Decimal | None) -> Figures:
    held = holding(data)
    status: PriceStatus = quote.status if quote else "none"
    market = (quote and quote.market) or UNKNOWN_MARKET
    if quote:
        price, price_usd = quote.price, _digits(quote.price_usd)
        if price:  # 0 says nothing of what SOL costs
            sol_usd = quote.sol_usd
    else:
        price, price_usd = held.purchase_price, "0"
    worth = value(held, price=price, sol_usd=sol_usd)
    sold = exit_value(
        held.remaining_amount, status=status, pool_tokens=market.pool_tokens, pool_sol=market.pool_sol
    )
    at_cost = profit_usd_at_cost(
        remaining_amount=held.remaining_amount,
        price=price,
        sol_usd=sol_usd,
        cost_usd=_decimal(data["cost_usd"]),
        realized_profit_usd=_decimal(data["realized_profit_usd"]),
    )
    price_digits = digits(price)
    peak, lowest = _extremes(data, quote, price_digits)
    return Figures(  # by position: by name takes twice as long
        peak,
        lowest,
        price_digits,
        price_usd,
        "live" if quote else "purchase",
        _of_quote(quote.priced_at) if quote else None,
        _digits(worth.purchase_price_usd),
        digits(worth.position_value_sol),
        _digits(worth.position_value_usd),
        digits(worth.profit_loss_sol),
        _digits(worth.profit_loss_usd),
        _digits(at_cost),
        digits(worth.profit_loss_percent),
        digits(worth.price_change_percent),
        status,
        _digits(market.liquidity_usd),
        _digits(sold),
    )


def _extremes(
    data: Mapping[str, Any], quote: Quote | None, price_digits: str
) -> tuple[str | None, str | None]:
    """Return the highest and lowest price, the current one included if it is live and no older than the position.

    The database follows within a minute, without an event (PositionQuerySet.follow_market).
    """
    peak, lowest = data["peak_price"], data["lowest_price"]
    if quote is not None and quote.status == "live" and _of_quote(quote.as_of) >= data["created_at"]:
        if peak is None or Decimal(peak) < quote.price:
            peak = price_digits
        if lowest is None or Decimal(lowest) > quote.price:
            lowest = price_digits
    return peak, lowest


def _text_or_null(text: str | None) -> str:
    return "null" if text is None else _text(text)


def _time_or_null(moment: str | None) -> str:
    return "null" if moment is None else f'"{moment}"'


def _count_or_null(count: int | None) -> int | str:
    return "null" if count is None else count


def _ids(ids: list[str]) -> str:
    return f"[{','.join(map(_text, ids))}]" if ids else "[]"


def _decimal(text: str | None) -> Decimal | None:
    return None if text is None else Decimal(text)


def _digits(number: Decimal | None) -> str | None:
    return None if number is None else digits(number)


_of_quote = functools.lru_cache(maxsize=1024)(timestamp)
"""Many positions are valued at the quotes of a few moments."""
_NUMBERS = tuple(
    field.name
    for field in msgspec.structs.fields(LivePosition)
    if field.name in Figures._fields and field.type in (Number, Number | None)
)
