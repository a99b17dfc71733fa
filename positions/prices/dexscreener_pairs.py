"""DexScreener's answers: a list of pairs, each read as a pool. What is not as documented is left out, never guessed."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from positions.prices.http import decimal
from positions.prices.markets import Pool
from positions.prices.quotes import SourceError

ZERO = Decimal(0)
SMALLEST, LARGEST = Decimal("1e-30"), Decimal("1e30")


def parsed(answer: Any) -> list[Pool]:
    """Return the pools that an answer describes; what describes none is left out. Raises SourceError."""
    if not isinstance(answer, list):
        raise SourceError("DexScreener's answer is not the documented list of pairs.")
    pools = [pool for pool in map(_pool, answer) if pool is not None]
    if answer and not pools:
        raise SourceError("DexScreener's answer is a list, but not one entry is a pair with a price.")
    return pools


def _pool(item: Any) -> Pool | None:
    """Return the pool that one entry of the answer describes, or None where it describes none."""
    try:
        base, quoted = item["baseToken"]["address"], item["quoteToken"]["address"]
        price = _positive(item["priceNative"])
        liquidity = item.get("liquidity")
        reserves = liquidity or {}
        pool = Pool(
            address=str(item.get("pairAddress") or f"{base}/{quoted}"),
            exchange=str(item.get("dexId") or ""),
            base=base,
            quote=quoted,
            price=price or ZERO,
            base_usd=_positive(item.get("priceUsd")),
            liquidity_usd=None if liquidity is None else _amount(reserves.get("usd")) or ZERO,
            base_reserve=_amount(reserves.get("base")),
            quote_reserve=_amount(reserves.get("quote")),
            traded_usd=_traded(item.get("volume") or {}, item.get("txns") or {}),
        )
    except (KeyError, TypeError, AttributeError):
        return None
    is_sound = price is not None and isinstance(base, str) and isinstance(quoted, str)
    return pool if is_sound else None


def _traded(volume: Mapping[str, Any], trades: Mapping[str, Any]) -> Decimal:
    """Return what a pool trades in a day, in USD: no more than its last hours say, so that an ended curve fades.

    If no volume is reported, each trade of the day counts as a dollar.
    """
    spans = {"h24": 1, "h6": 4, "h1": 24}
    daily = [amount * spans[name] for name in spans if (amount := _amount(volume.get(name))) is not None]
    if daily:
        return min(daily)
    day = trades.get("h24") or {}
    return (_amount(day.get("buys")) or ZERO) + (_amount(day.get("sells")) or ZERO)


def _positive(value: object) -> Decimal | None:
    number = _amount(value)
    return number or None


def _amount(value: object) -> Decimal | None:
    """Return a number that an API sent; None for anything else, and for what no amount or price can be."""
    number = decimal(value)
    if number is None or not number.is_finite() or not (number == 0 or SMALLEST <= number <= LARGEST):
        return None
    return number
