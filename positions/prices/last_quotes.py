"""The last known quote of each token, in the database: used where the cache has lost it or it has expired.

The feed writes them in the background, a few at a time: no round waits for it. All others read.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import UTC, datetime
from decimal import Decimal, localcontext

from django.db.models import TextField
from django.db.models.functions import Cast

from positions.books.accounting import digits
from positions.books.quotes import MarketStatus
from positions.models import LastQuote
from positions.prices.cache import get_prices
from positions.prices.quotes import UNKNOWN_MARKET, Market, Prices, Quote, is_credible, judged, usable
from positions.valkey import Unavailable

CACHE_AWAY = "The price cache cannot be reached."
_FIGURES = ("price", "price_usd", "as_of", "priced_at", "status", "liquidity_usd", "pool_tokens", "pool_sol")


def known_prices(token_addresses: Collection[str]) -> Prices:
    """Return the newest quotes of these tokens: one MGET, and one query where the cache misses some.

    Raises valkey.Unavailable.
    """
    cached = get_prices(token_addresses)
    missing = set(token_addresses) - cached.quotes.keys()
    return Prices({**cached.quotes, **read_last_quotes(missing)}, cached.sol_usd)


def newest_prices(token_addresses: Collection[str]) -> Prices:
    """Like known_prices; without the cache, all come from the database, and `errors` says so."""
    try:
        return known_prices(token_addresses)
    except Unavailable:
        return Prices(read_last_quotes(token_addresses), errors=[CACHE_AWAY])


def read_last_quotes(token_addresses: Collection[str]) -> dict[str, Quote]:
    """Return what was last known of these tokens: one query; none for none."""
    if not token_addresses:
        return {}
    now = datetime.now(UTC)
    rows = LastQuote.objects.filter(pk__in=list(token_addresses)).annotate(stored=Cast("price", TextField()))
    # What is no number is read as 0, which a price may be.
    quotes = (_quote(row) for row in rows if row.price or not row.stored.strip("0."))
    return {quote.token_address: judged(quote, now) for quote in quotes if is_credible(quote, now)}


def write_last_quotes(quotes: Iterable[Quote]) -> None:
    """Write these quotes: one statement."""
    LastQuote.objects.bulk_create(
        [_row(quote) for quote in quotes],
        update_conflicts=True,
        unique_fields=["token_address"],
        update_fields=_FIGURES,
    )


def carry_over(old: str, new: str, ratio: Decimal) -> None:
    """Use the last price of a mint for the one that replaces it, until a source knows that.

    `ratio`: how many new tokens each old one became. A position that once had a price keeps one.
    """
    quotes = newest_prices([old, new]).quotes
    quote = quotes.get(old)
    if quote is None or new in quotes:
        return
    with localcontext(prec=50):
        price = usable(quote.price / ratio)
        in_usd = None if quote.price_usd is None else usable(quote.price_usd / ratio)
    if price is not None:
        # Not live: nothing is sold at a price that no market of this mint has made.
        is_gone = quote.market is not None and quote.market.status == "gone"
        market = Market("gone" if is_gone else "thin", priced_at=quote.priced_at)
        write_last_quotes([Quote(new, price, in_usd, quote.as_of, market)])


def _quote(row: LastQuote) -> Quote:
    priced_at = None if row.priced_at == row.as_of else row.priced_at
    status: MarketStatus = row.status  # type: ignore[assignment]
    market = Market(
        status, _plain(row.liquidity_usd), _plain(row.pool_tokens), _plain(row.pool_sol), priced_at
    )
    known = None if market == UNKNOWN_MARKET else market
    return Quote(row.token_address, Decimal(digits(row.price)), _plain(row.price_usd), row.as_of, known)


def _plain(figure: Decimal | None) -> Decimal | None:
    """Return the figure without the zeros that its column adds."""
    return None if figure is None else Decimal(digits(figure))


def _row(quote: Quote) -> LastQuote:
    market = quote.market or UNKNOWN_MARKET
    return LastQuote(
        token_address=quote.token_address,
        price=quote.price,
        price_usd=quote.price_usd,
        as_of=quote.as_of,
        priced_at=quote.priced_at,
        status=market.status,
        liquidity_usd=market.liquidity_usd,
        pool_tokens=market.pool_tokens,
        pool_sol=market.pool_sol,
    )
