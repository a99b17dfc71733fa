"""The newest quote of each held token, and which of them have been sent to the servers. No I/O."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal

from positions.prices.quotes import (
    LEEWAY_SECONDS,
    UNKNOWN_MARKET,
    Market,
    Prices,
    PriceStatus,
    Quote,
    in_usd,
    is_stale,
)

STEP = Decimal("0.01")
"""Reserves and liquidity that move by less than this share are kept as they were: they change with every trade."""
ZERO = Decimal(0)


class KnownQuotes:
    """The newest quote of each token."""

    def __init__(self) -> None:
        self.latest: dict[str, Quote] = {}
        self._sent: dict[str, Quote] = {}  # empty after an outage

    def keep_only(self, tokens: Collection[str]) -> None:
        for known in (self.latest, self._sent):
            for token in known.keys() - set(tokens):
                del known[token]

    def restore(self, quotes: Iterable[Quote], now: datetime) -> None:
        """Take over quotes from before this feed began."""
        for quote in quotes:
            # At most now: if another machine's clock was ahead, the next answers would count as older.
            known = replace(quote, as_of=min(quote.as_of, now), is_stale=False)
            self.latest.setdefault(quote.token_address, known)

    def take(self, prices: Prices, now: datetime) -> dict[str, Quote]:
        """Take a round's answer; return what it changes, with tokens that are gone at their last price."""
        taken, latest = {}, now + timedelta(seconds=LEEWAY_SECONDS)
        for token, quote in prices.quotes.items():
            before = self.latest.get(token)
            if before is None or quote.as_of >= before.as_of:
                # It would stay the newest for as long as the source's clock is ahead.
                known = quote if quote.as_of <= latest else replace(quote, as_of=now)
                taken[token] = _steady(known, before)
        for token in prices.gone:
            if token in self.latest and token not in taken:
                taken[token] = _gone(self.latest[token], prices.sol_usd, now)
        self.latest.update(taken)
        return taken

    def news(self) -> list[Quote]:
        """Return what has not been sent to the servers; without the market if that has not changed."""
        news = []
        for token, quote in self.latest.items():
            sent = self._sent.get(token)
            if quote is sent:
                continue
            if not quote.same_market(sent):
                news.append(quote if quote.market else replace(quote, market=UNKNOWN_MARKET))
            elif not quote.same_price(sent):
                news.append(replace(quote, market=None) if quote.market else quote)
        return news

    def mark_sent(self, news: Iterable[Quote]) -> None:
        sent, latest = self._sent, self.latest
        for quote in news:
            token = quote.token_address
            sent[token] = latest[token]

    def send_all_again(self) -> None:
        self._sent.clear()

    def statuses(self, tokens: Iterable[str], now: datetime) -> Mapping[PriceStatus, int]:
        """Return how many of these tokens have a price of each status."""
        stale: dict[datetime, bool] = {}  # most quotes have the same time
        found: Counter[PriceStatus] = Counter()
        for token in tokens:
            quote = self.latest.get(token)
            if quote is None:
                found["none"] += 1
                continue
            if quote.as_of not in stale:
                stale[quote.as_of] = is_stale(quote.as_of, now)
            if stale[quote.as_of]:
                found["stale"] += 1
            else:
                found[quote.market.status if quote.market else "live"] += 1
        return found


def _steady(quote: Quote, before: Quote | None) -> Quote:
    """Return the quote, with those market figures of the one before that have hardly moved."""
    new, old = quote.market, before.market if before else None
    if new is None or old is None:
        return quote
    reserves = (old.pool_tokens, old.pool_sol)
    if not (_near(new.pool_tokens, old.pool_tokens) and _near(new.pool_sol, old.pool_sol)):
        reserves = (new.pool_tokens, new.pool_sol)
    liquidity = old.liquidity_usd if _near(new.liquidity_usd, old.liquidity_usd) else new.liquidity_usd
    steady = Market(new.status, liquidity, *reserves, new.priced_at)
    return replace(quote, market=old if steady == old else steady)


def _gone(last: Quote, sol_usd: Decimal | None, now: datetime) -> Quote:
    """Return the last price as that of a token without a market: nothing can be sold."""
    market = last.market
    if market is None or market.status != "gone":
        market = Market("gone", ZERO, ZERO, ZERO, last.priced_at)
    return replace(last, price_usd=in_usd(last.price, sol_usd) or last.price_usd, as_of=now, market=market)


def _near(one: Decimal | None, other: Decimal | None) -> bool:
    if one is None or other is None:
        return one is other
    return abs(one - other) <= STEP * other
