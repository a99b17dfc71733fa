"""The first reliable price of each token on a day (UTC), which today's change is counted from.

In Redis or Valkey, beside the price cache: written by the feed, read by `positions.history.day`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Set
from datetime import UTC, date, datetime
from typing import cast

from positions.prices.cache import ENTRIES_PER_COMMAND, KEPT_FOR, encode_price, read_quotes
from positions.prices.quotes import Quote, judged
from positions.valkey import KEY_PREFIX, async_client, client

# HSETNX of many fields, for the same reason as SET_ALL (cache.py): when a day begins, every token has its first price.
KEEP_FIRST = """
for i = 2, #ARGV, 2 do
    redis.call('HSETNX', KEYS[1], ARGV[i], ARGV[i + 1])
end
redis.call('EXPIRE', KEYS[1], ARGV[1])
"""


class OpeningsKeeper:
    """Writes the first price of each token and day, once."""

    def __init__(self) -> None:
        self._kept: dict[str, date] = {}  # by token, the day whose first price is stored

    def keep_only(self, tokens: Set[str]) -> None:
        for token in self._kept.keys() - tokens:
            del self._kept[token]

    async def keep(self, quotes: Iterable[Quote]) -> None:
        """Write those of these that are reliable, and the first of their day. Raises valkey.Unavailable."""
        now = datetime.now(UTC)
        days: dict[datetime, date] = {}  # most prices of a round have the same time
        first = []
        for quote in quotes:
            day = days.get(quote.as_of)
            if day is None:
                day = days[quote.as_of] = quote.as_of.astimezone(UTC).date()
            if self._kept.get(quote.token_address) != day and judged(quote, now).status == "live":
                first.append(quote)
        if first:
            await put_openings(first)
            self._kept.update((quote.token_address, days[quote.as_of]) for quote in first)


async def put_openings(quotes: Collection[Quote]) -> None:
    """Store the first price that each of these tokens has on a day (UTC); one that is stored already is kept.

    One pipeline. Raises valkey.Unavailable.
    """
    fields: dict[date, list[str | bytes]] = {}
    for quote in quotes:
        fields.setdefault(quote.as_of.astimezone(UTC).date(), []).extend(
            (quote.token_address, encode_price(quote))
        )
    seconds = int(2 * KEPT_FOR.total_seconds())
    async with async_client().pipeline(transaction=False) as pipeline:
        for day, all_fields in fields.items():
            for begin in range(0, len(all_fields), 2 * ENTRIES_PER_COMMAND):
                some = all_fields[begin : begin + 2 * ENTRIES_PER_COMMAND]
                pipeline.eval(KEEP_FIRST, 1, _key(day), seconds, *some)
        await pipeline.execute()


def get_openings(token_addresses: Collection[str], day: date) -> dict[str, Quote]:
    """Return the first quotes that these tokens had on a day (UTC): one HMGET. Raises valkey.Unavailable."""
    if not token_addresses:
        return {}
    addresses = list(token_addresses)
    values = cast("list[bytes | None]", client().hmget(_key(day), addresses))
    return read_quotes(addresses, values)


def _key(day: date) -> str:
    return f"{KEY_PREFIX}openings:{day.isoformat()}"
