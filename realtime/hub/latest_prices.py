"""The newest price of each token that a server process knows, and the status that its clients know."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Set
from contextlib import contextmanager
from datetime import UTC, datetime
from decimal import Decimal
from itertools import compress, repeat

from msgspec import UNSET

from positions.prices.cache import aget_quotes_and_feed
from positions.prices.lookup import fill_misses
from positions.prices.quotes import UNKNOWN_MARKET, WRAPPED_SOL, Market, PriceStatus, Quote, is_stale
from realtime.hub.queries import last_quotes
from realtime.protocol.messages import followed_by, says_more
from realtime.protocol.price_envelopes import Priced, decoded, encoded, full_fragment

LONG_AGO = datetime.min.replace(tzinfo=UTC)


class LatestPrices:
    """Filled by every price batch, and from the cache and the source for tokens that are new here.

    An older price never replaces a newer one, wherever they came from. Prices are stored as they are sent to clients:
    far more are sent than read. Fragments that are returned are news: with a token's status and reserves if clients
    know others, and without them otherwise, which is nearly always.
    """

    def __init__(self) -> None:
        self.sol_usd: Decimal | None = None
        """USD per SOL, for positions without a quote of their own; None where unknown."""
        self.shards: int | None = None
        """In how many groups the price feed sends, as the cache said last; None where it has not said yet."""
        self.version = 0
        """Higher after each change of a price."""
        self._known: dict[str, tuple[str, str, datetime]] = {}  # token → its fragment, its digits, as of when
        self._quotes: dict[str, Quote] = {}  # what `quote` has returned since the last change
        self._markets: dict[str, Market] = {}  # of the tokens of which more than the price is known
        self._stale: set[str] = set()  # sent to clients as stale
        self._looked_up: set[str] = set()  # in the database
        self._newest = LONG_AGO
        self._watched: list[dict[str, str]] = []

    def quote(self, token: str) -> Quote | None:
        """Return the token's price, digit for digit; None if it is not known here."""
        quote = self._quotes.get(token)
        if quote is None and (known := self._known.get(token)) is not None:
            market, stale = self._markets.get(token), token in self._stale
            quote = self._quotes[token] = decoded(token, known[1], known[2], market, is_stale=stale)
        return quote

    def knows(self, token: str) -> bool:
        """Return whether the token's price is known here."""
        return token in self._known

    def fragments(self, tokens: Iterable[str], *, in_full: bool = False) -> dict[str, str]:
        """Return the fragments of those of the tokens that are known: with the status where it is not `live`.

        `in_full`: with status and reserves, for a client that may have missed how they changed.
        """
        found = {}
        for token in tokens:
            if token in self._known:
                is_plain = not in_full and self._status(token) == "live"
                found[token] = self._known[token][0] if is_plain else self._in_full(token)
        return found

    def remember(self, priced: Priced) -> dict[str, str]:
        """Keep what is not older than what is known; return its fragments."""
        as_of, fragments, digits, markets = priced
        if as_of >= self._newest:  # than everything: the usual case, without a comparison for each token
            self._newest = as_of
        else:
            kept = [self._as_of(token) <= as_of for token in fragments]
            fragments, digits = dict(compress(fragments.items(), kept)), list(compress(digits, kept))
        known, tokens = self._known.keys(), fragments.keys()
        unknown = () if tokens <= known else tokens - known  # the usual case, without a set for each round
        self._known.update(zip(fragments, zip(fragments.values(), digits, repeat(as_of)), strict=False))
        self._quotes.clear()
        if more := self._judge(tokens, as_of, markets, unknown):
            fragments = fragments | more
        if WRAPPED_SOL in fragments:
            self._learn_sol_usd()
        self._changed(fragments)
        return fragments

    @contextmanager
    def changes(self) -> Iterator[dict[str, str]]:
        """Enter to be told the news from here on: the newest fragment of each token, with all that it has missed."""
        changed: dict[str, str] = {}
        self._watched.append(changed)
        try:
            yield changed
        finally:
            self._watched = [each for each in self._watched if each is not changed]

    def _changed(self, fragments: Mapping[str, str]) -> None:
        if not fragments:
            return
        self.version += 1
        for changed in self._watched:
            for token in changed.keys() & fragments.keys():
                changed[token] = followed_by(changed[token], fragments[token])
            changed.update((token, each) for token, each in fragments.items() if token not in changed)

    def _judge(
        self, tokens: Set[str], as_of: datetime, markets: Mapping[str, Market], unknown: Collection[str]
    ) -> dict[str, str]:
        """Judge these tokens as of that time; return the fragments that have more than the price.

        `unknown`: those without a price here before, whose status clients knew as `none`.
        """
        stale = is_stale(as_of, datetime.now(UTC))
        concerned = tokens if stale else {*unknown, *(self._stale & tokens), *(markets.keys() & tokens)}
        news = {}
        for token in concerned:
            before, status = self._market(token), None if token in unknown else self._status(token)
            market = markets.get(token, before)
            if market != before:
                self._markets[token] = market
            (self._stale.add if stale else self._stale.discard)(token)
            has_new_status = status != self._status(token)
            has_moved = (market.pool_tokens, market.pool_sol) != (before.pool_tokens, before.pool_sol)
            if has_new_status or has_moved:
                news[token] = self._in_full(token, status=has_new_status, reserves=has_moved)
        return news

    def aged(self, tokens: Iterable[str], now: datetime) -> dict[str, str]:
        """Return the fragments of those of the tokens that have become stale, once."""
        old = [
            token
            for token in tokens
            if token in self._known and token not in self._stale and is_stale(self._known[token][2], now)
        ]
        self._stale.update(old)
        for token in old:
            self._quotes.pop(token, None)
        news = {token: self._in_full(token, reserves=False) for token in old}
        self._changed(news)
        return news

    def renewed(self, fragments: Mapping[str, str]) -> dict[str, str]:
        """Return these fragments as they are now: something newer may have been sent since."""
        with_more = [token for token, fragment in fragments.items() if says_more(fragment)]
        return self.fragments(fragments) | self.fragments(with_more, in_full=True)

    async def read(self, tokens: Collection[str]) -> dict[str, str]:
        """Read these tokens from the cache; return the fragments of those whose price was not known.

        One MGET. Raises valkey.Unavailable. Safe to cancel.
        """
        return self.learn(await self.cached(tokens))

    async def ask_source(self, tokens: Iterable[str]) -> Collection[Quote]:
        """Request from the source what is not known of these tokens, to be learned: it may take two seconds.

        Raises valkey.Unavailable. Safe to cancel.
        """
        missing = [token for token in tokens if token not in self._known]
        return (await fill_misses(missing)).values() if missing else ()

    async def ask_database(self, tokens: Iterable[str]) -> Collection[Quote]:
        """Look up in the database what is not known of these tokens, once each, to be learned.

        One query, or none. Raises DATABASE_UNAVAILABLE.
        """
        missing = [token for token in tokens if token not in self._known and token not in self._looked_up]
        if not missing:
            return ()
        found = await last_quotes(missing)
        self._looked_up.update(missing)
        return found.values()

    async def cached(self, tokens: Collection[str]) -> Collection[Quote]:
        """Return the cached prices of these tokens. One MGET. Raises valkey.Unavailable."""
        if not tokens:
            return ()
        as_of = self._as_of(WRAPPED_SOL)
        quotes, feed = await aget_quotes_and_feed(tokens)
        if self._as_of(WRAPPED_SOL) == as_of:  # else a batch has brought it meanwhile
            self.sol_usd = feed.sol_usd if feed else None  # also None: without a recent price it is unknown
        if feed is not None:
            self.shards = 1 if feed.shards is UNSET else feed.shards
        return quotes.values()

    def is_news(self, quote: Quote) -> bool:
        """Return whether this quote is new to clients, and no newer one is known."""
        return self._is_newer(quote) and not self._is_known_to_clients(quote)

    def learn(self, quotes: Iterable[Quote]) -> dict[str, str]:
        """Keep what is newer than what is known; return the fragments of those that are news.

        Compared with what is known now, not when the cache was read: a batch that came meanwhile has been sent.
        """
        news = {}
        for quote in quotes:
            if not self._is_newer(quote):  # nearly all: the cache has what the batches brought
                continue
            token, price = quote.token_address, encoded(quote)
            is_new = token not in self._known
            if is_new or self._known[token][0] != price.fragment:
                news[token] = price.fragment
            self._known[token] = *price, quote.as_of
            self._quotes.pop(token, None)
            self._newest = max(self._newest, quote.as_of)
            market = {token: quote.market or UNKNOWN_MARKET}
            news |= self._judge({token}, quote.as_of, market, {token} if is_new else ())
            if token == WRAPPED_SOL:
                self._learn_sol_usd()
        self._changed(news)
        return news

    def _is_newer(self, quote: Quote) -> bool:
        """Return whether this quote is newer than what is known, or of the same time with another market."""
        as_of, token = self._as_of(quote.token_address), quote.token_address
        if as_of == quote.as_of:
            return (quote.market or UNKNOWN_MARKET) != self._market(token)
        return as_of < quote.as_of

    def _is_known_to_clients(self, quote: Quote) -> bool:
        known = self.quote(quote.token_address)
        return known is not None and (
            quote.same_price(known) and quote.same_market(known) and quote.is_stale == known.is_stale
        )

    def _market(self, token: str) -> Market:
        return self._markets.get(token, UNKNOWN_MARKET)

    def _status(self, token: str) -> PriceStatus:
        return "stale" if token in self._stale else self._market(token).status

    def _in_full(self, token: str, *, status: bool = True, reserves: bool | None = None) -> str:
        """Return the fragment with more than the price; with the reserves where they are known, unless `reserves`."""
        quote = self.quote(token)
        assert quote is not None  # noqa: S101  callers have looked
        if reserves is None:
            reserves = self._market(token).pool_sol is not None
        return full_fragment(quote, status=status, reserves=reserves)

    def _as_of(self, token: str) -> datetime:
        known = self._known.get(token)
        return known[2] if known else LONG_AGO

    def _learn_sol_usd(self) -> None:
        quote = self.quote(WRAPPED_SOL)
        self.sol_usd = quote.sol_usd if quote else None
