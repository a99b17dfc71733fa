"""Prices as a test wants them, on the way that those of a real market take: into the cache, and to the sockets."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation

from asgiref.sync import async_to_sync

from positions.prices.cache import FeedStatus, forget_prices, put_prices
from positions.prices.quotes import WRAPPED_SOL, Market, PriceStatus, Quote, in_usd, usable
from positions.valkey import close_async_client
from realtime.conf import conf
from realtime.publish.broadcast import broadcast_prices

Number = Decimal | int | str


class FakeMarket:
    """Stands in for the price feed.

    `sol_usd` is what SOL costs in USD, from the next prices on; None where nobody knows.
    """

    def __init__(self, sol_usd: Number | None = 200) -> None:
        self.sol_usd = sol_usd
        self._tokens = {WRAPPED_SOL}

    async def set_prices(
        self,
        prices: Mapping[str, Number],
        *,
        status: PriceStatus = "live",
        liquidity_usd: Number | None = None,
        pool: tuple[Number, Number] | None = None,
    ) -> list[Quote]:
        """Give tokens these prices in SOL, in one round, as the price feed would.

        pool: the reserves of their market, tokens and SOL. `stale` is a price of long ago: sockets ignore it where they
        have a newer one. Raises ValueError for what no feed sends, and what Redis or Valkey raises.
        """
        quotes = self._quotes(prices, status, liquidity_usd, pool)
        await put_prices(quotes, self._feed_status(len(quotes)))
        await broadcast_prices(quotes)
        return quotes

    def set_prices_sync(self, prices: Mapping[str, Number], *, status: PriceStatus = "live") -> None:
        """Like set_prices, for a test that is no coroutine, of the REST API for example."""

        async def set_and_close() -> None:
            try:
                await self.set_prices(prices, status=status)
            finally:
                await close_async_client()

        async_to_sync(set_and_close)()

    def forget(self) -> None:
        """Remove from the cache what this market has put there."""
        forget_prices(self._tokens)

    def _quotes(
        self,
        prices: Mapping[str, Number],
        status: PriceStatus,
        liquidity_usd: Number | None,
        pool: tuple[Number, Number] | None,
    ) -> list[Quote]:
        if status not in ("live", "thin", "gone", "stale"):
            raise ValueError(f"a price is live, thin, gone or stale, not {status!r}")
        now = as_of = datetime.now(UTC)
        if status == "stale":
            as_of -= timedelta(seconds=conf.PRICE_STALE_SECONDS + 1)
        tokens, sol = (None, None) if pool is None else map(decimal, pool)
        market = Market(
            "live" if status == "stale" else status,
            None if liquidity_usd is None else decimal(liquidity_usd),
            tokens,
            sol,
            as_of if status == "gone" else None,
        )
        sol_usd = self._sol_usd()
        found = [Quote(WRAPPED_SOL, Decimal(1), sol_usd, now)] if WRAPPED_SOL not in prices else []
        for token, given in prices.items():
            price = usable(decimal(given))
            if price is None:
                raise ValueError(
                    f"the price of {token} must be above 0 and have a column's digits, not {given}"
                )
            found.append(Quote(token, price, in_usd(price, sol_usd), as_of, market))
        self._tokens.update(prices)
        return found

    def _sol_usd(self) -> Decimal | None:
        return None if self.sol_usd is None else decimal(self.sol_usd)

    def _feed_status(self, priced: int) -> FeedStatus:
        now = datetime.now(UTC)
        return FeedStatus(
            source="fake",
            simulated=True,
            sol_usd=self._sol_usd(),
            updated_at=now,
            answered_at=now,
            interval_seconds=1.5,
            tokens=priced,
            priced=priced,
        )


def decimal(number: Number) -> Decimal:
    """Raises ValueError for what is no number, and for a float: it would not be the price that the test writes."""
    if isinstance(number, float):
        raise ValueError(f"a price is a Decimal, an integer or text, not the float {number}")
    try:
        return Decimal(number)
    except InvalidOperation:
        raise ValueError(f"{number!r} is not a number") from None
