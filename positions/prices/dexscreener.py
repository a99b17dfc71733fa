"""DexScreener: what the decentralised exchanges of Solana trade at. Needs no key.

`GET /tokens/v1/solana/<up to 30 addresses>` answers with an array of pairs: in practice the best one of each
token; several are coped with. https://docs.dexscreener.com/api/reference
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal, localcontext
from typing import Any
from urllib.parse import quote

from positions.prices.http import JsonApi, decimal, in_batches, mints, setting
from positions.prices.quotes import WRAPPED_SOL, Prices, SourceError, Token, quotes_in_sol, usable
from positions.prices.rate_limit import Sleep

ADDRESSES_PER_REQUEST = 30
REQUESTS_PER_MINUTE = 300


@dataclass(frozen=True, slots=True)
class Pair:
    """One market of one token."""

    base: str
    quote: str
    price: Decimal
    """One base in quotes."""
    price_usd: Decimal | None
    """One base in USD."""
    liquidity_usd: Decimal


class DexScreenerSource:
    """The price of a token is that of its most liquid pair with wrapped SOL.

    A token without one, but with another pair, is priced through USD: its most liquid pair's price in USD,
    divided by SOL in USD; where that is unknown, it is missing. SOL in USD is that of wrapped SOL's own most
    liquid pair (its price in USD has more digits than any quotient), else what the most liquid pair with
    wrapped SOL implies.
    """

    name = "dexscreener"
    simulated = False

    def __init__(self, *, per_minute: int = REQUESTS_PER_MINUTE, sleep: Sleep = asyncio.sleep) -> None:
        self._api = JsonApi(
            name="DexScreener",
            base_url=setting("DEXSCREENER_URL"),
            per_minute=per_minute,
            sleep=sleep,
        )

    async def fetch(self, tokens: Collection[Token]) -> Prices:
        """Ask once for every 30 tokens, wrapped SOL among them. Tokens without a market are missing."""
        answers, errors = await in_batches(mints(tokens), ADDRESSES_PER_REQUEST, self._pairs)
        by_token: dict[str, list[Pair]] = {}
        for pair in (pair for answer in answers for pair in answer):
            by_token.setdefault(pair.base, []).append(pair)
        sol_usd = _sol_usd(by_token)
        prices = {}
        for address in {token.address for token in tokens}:
            price = Decimal(1) if address == WRAPPED_SOL else _price(by_token.get(address, []), sol_usd)
            if price is not None:
                prices[address] = price
        return Prices(quotes_in_sol(prices, sol_usd=sol_usd, as_of=datetime.now(UTC)), sol_usd, errors)

    async def aclose(self) -> None:
        await self._api.aclose()

    async def _pairs(self, addresses: Sequence[str]) -> list[Pair]:
        path = ",".join(quote(address, safe="") for address in addresses)
        answer = await self._api.get(f"/tokens/v1/solana/{path}")
        if not isinstance(answer, list):
            raise SourceError("DexScreener's answer is not the documented list of pairs.")
        pairs = [pair for pair in map(_pair, answer) if pair is not None]
        if answer and not pairs:
            raise SourceError("DexScreener's answer is a list, but not one entry is a pair with a price.")
        return pairs


def _pair(item: Any) -> Pair | None:
    """Return the pair that one entry of the answer describes, or None where it describes none."""
    try:
        base, quoted = item["baseToken"]["address"], item["quoteToken"]["address"]
        price = usable(decimal(item["priceNative"]))
        price_usd = usable(decimal(item.get("priceUsd")))
        liquidity = item.get("liquidity") or {}
        liquidity_usd = decimal(liquidity.get("usd"))
    except (KeyError, TypeError, AttributeError):
        return None
    if price is None or not isinstance(base, str) or not isinstance(quoted, str):
        return None
    if liquidity_usd is None or not liquidity_usd.is_finite():
        liquidity_usd = Decimal(0)
    return Pair(base, quoted, price, price_usd, liquidity_usd)


def _most_liquid(pairs: Iterable[Pair]) -> Pair | None:
    return max(pairs, key=lambda pair: pair.liquidity_usd, default=None)


def _sol_usd(by_token: dict[str, list[Pair]]) -> Decimal | None:
    own = _most_liquid(pair for pair in by_token.get(WRAPPED_SOL, []) if pair.price_usd is not None)
    if own is not None:
        return own.price_usd
    quoted = _most_liquid(
        pair
        for pairs in by_token.values()
        for pair in pairs
        if pair.quote == WRAPPED_SOL and pair.price_usd is not None
    )
    if quoted is None or quoted.price_usd is None:
        return None
    with localcontext(prec=50):
        return usable(quoted.price_usd / quoted.price)


def _price(pairs: list[Pair], sol_usd: Decimal | None) -> Decimal | None:
    in_sol = _most_liquid(pair for pair in pairs if pair.quote == WRAPPED_SOL)
    if in_sol is not None:
        return in_sol.price
    other = _most_liquid(pair for pair in pairs if pair.price_usd is not None)
    if other is None or other.price_usd is None or sol_usd is None:
        return None
    with localcontext(prec=50):
        return other.price_usd / sol_usd
