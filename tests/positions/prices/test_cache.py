from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import msgspec

from positions import valkey
from positions.prices import cache
from positions.prices.cache import ENTRIES_PER_COMMAND, aget_prices, get_feed_status, put_prices
from positions.prices.openings import get_openings, put_openings
from positions.prices.quotes import Quote
from positions.services.sol_price import forget, sol_in_usd
from tests.conftest import BONK

MONDAY = datetime(2026, 11, 23, 23, 30, tzinfo=UTC)
TOKENS = [f"Token{number}" for number in range(ENTRIES_PER_COMMAND + 1)]


def quotes(price: int, moment: datetime) -> list[Quote]:
    return [Quote(token, Decimal(price), None, moment) for token in TOKENS]


async def test_first_price_of_a_day_is_kept_for_every_token():
    later = MONDAY + timedelta(minutes=15)
    tuesday = MONDAY + timedelta(hours=1)
    try:
        await put_openings(quotes(1, MONDAY)[:-1])
        await put_openings([*quotes(2, later), *quotes(3, tuesday)])
        await put_openings(quotes(4, tuesday))
    finally:
        await valkey.close_async_client()
    expected = {TOKENS[0]: 1, TOKENS[-2]: 1, TOKENS[-1]: 2}
    found = {token: quote.price for token, quote in get_openings(list(expected), MONDAY.date()).items()}
    assert found == expected
    assert {quote.price for quote in get_openings(TOKENS, tuesday.date()).values()} == {3}
    lives = [valkey.client().ttl(key) for key in valkey.client().keys("nexgent:openings:*")]
    assert len(lives) == 2
    assert all(0 < seconds <= 2 * 86_400 for seconds in lives)


async def test_entries_that_cannot_be_are_skipped_and_named_once(caplog):
    """Somebody else's, or of a machine whose clock is ahead: the others are read as ever."""
    cache._skip.cache_clear()
    forget()
    now = datetime.now(UTC)
    good = Quote(BONK, Decimal("0.5"), None, now)
    far = now + timedelta(hours=1)
    bad = {
        "Far": [good.price, None, "9999-12-31T23:59:59-10:00"],
        "Ahead": [good.price, None, far],
        "NaN": ["NaN", None, now],
        "Infinite": ["0.5", "Infinity", now],
        "Negative": ["-1", None, now],
        "Huge": ["1e40", None, now],
        "Pool": ["0.5", None, now, "live", None, "NaN", "1"],
        "Kind": {"price": 1},
        "Bytes": "0.5",
    }
    status = {"source": "x", "simulated": False, "updatedAt": far, "solUsd": "150", "intervalSeconds": 1}
    try:
        await put_prices([good])
        for token, entry in bad.items():
            valkey.client().set(f"{valkey.KEY_PREFIX}price:{token}", msgspec.json.encode(entry))
        valkey.client().set(f"{valkey.KEY_PREFIX}price:Text", b"\xff{")
        for _ in range(2):
            valkey.client().set(cache.FEED_KEY, msgspec.json.encode(status))
            prices = await aget_prices([*bad, BONK, "Text"])
            assert (dict(prices.quotes), prices.sol_usd) == ({BONK: good}, None)
            assert (get_feed_status(), sol_in_usd()) == (None, None)
            status |= {"updatedAt": now, "solUsd": "NaN"}
    finally:
        await valkey.close_async_client()
    assert [record.levelname for record in caplog.records] == ["WARNING"] * 2
