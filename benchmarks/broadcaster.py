"""The process that sends prices to server processes: `python -m benchmarks.broadcaster WAY`.

WAY is `ours` (the cache, then a round, as positions.prices.feed does) or `tutorial` (a message an agent).
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

import django
import msgspec

from benchmarks import market
from benchmarks.children import obey_async

django.setup()

from channels.layers import get_channel_layer  # noqa: E402

from positions.prices.cache import FeedStatus, put_prices  # noqa: E402
from positions.prices.quotes import Quote  # noqa: E402

Send = Callable[[int], Awaitable[None]]


def ours(tokens: int, agents: range) -> Send:
    from realtime.conf import conf
    from realtime.publish.rounds import make_round, send_round

    shards = conf.PRICE_SHARDS
    status = FeedStatus(
        source="simulated", simulated=True, sol_usd=market.SOL_USD, updated_at=datetime.now(UTC), interval_seconds=1.5,
        tokens=tokens, priced=tokens, errors=[], shards=shards if shards > 1 else msgspec.UNSET,
    )  # fmt: skip

    async def send(round_number: int) -> None:
        now = datetime.now(UTC)
        prices = [market.price(round_number, number) for number in range(tokens)]
        quotes = [
            Quote(market.token(number), price, price * market.SOL_USD, now)
            for number, price in enumerate(prices)
        ]
        await put_prices(quotes, status)
        await send_round(await make_round(quotes, shards=shards))

    return send


def tutorial(tokens: int, agents: range) -> Send:
    held = [(market.agent_id(number, tokens), market.holdings(number, tokens)) for number in agents]

    async def send(round_number: int) -> None:
        layer = get_channel_layer()
        timestamp = datetime.now(UTC).isoformat()
        prices = [market.price(round_number, number) for number in range(tokens)]
        updates = [
            {
                "tokenAddress": market.token(number),
                "price": float(price),
                "priceUsd": float(price * market.SOL_USD),
            }
            for number, price in enumerate(prices)
        ]
        for agent, numbers in held:
            message = {
                "type": "price.update",
                "updates": [updates[n] for n in numbers],
                "timestamp": timestamp,
            }
            await layer.group_send(f"agent_{agent}", message)

    return send


class Broadcaster:
    def __init__(self, way: str) -> None:
        self._make = {"ours": ours, "tutorial": tutorial}[way]

    async def prepare(self, *, tokens: int, first: int, agents: int) -> None:
        self._send = self._make(tokens, range(first, first + agents))
        await self._send(market.FIRST_ROUND - 1)  # clients that connect now find prices in the cache

    async def rounds(self, *, first_round: int, rounds: int, interval_seconds: float) -> Any:
        """Send the rounds; return when each began (CLOCK_MONOTONIC, shared by all processes) and the CPU time."""
        cpu_seconds = time.process_time()
        begin = time.monotonic()
        began = []
        for number in range(rounds):
            await asyncio.sleep(max(0.0, begin + number * interval_seconds - time.monotonic()))
            began.append(time.monotonic())
            await self._send(first_round + number)
        return {"began": began, "cpu_seconds": time.process_time() - cpu_seconds}


async def main() -> None:
    broadcaster = Broadcaster(sys.argv[1])
    await obey_async({"prepare": broadcaster.prepare, "rounds": broadcaster.rounds})


if __name__ == "__main__":
    asyncio.run(main())
