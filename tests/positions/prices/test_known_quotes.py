"""What the feed knows, and which of it is sent to servers."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

from positions.prices.known_quotes import KnownQuotes
from positions.prices.quotes import Market, Prices, Quote
from tests.conftest import BONK, WIF

NOW = datetime(2026, 1, 31, 12, 0, tzinfo=UTC)
POOL = Market("live", Decimal(50_000), Decimal(16_666), Decimal(166))


def priced(market: Market | None = POOL, *, price: str = "0.01", token: str = BONK, after: int = 0) -> Quote:
    return Quote(token, Decimal(price), Decimal("1.5"), NOW + timedelta(seconds=after), market)


def sent_after(known: KnownQuotes, *quotes: Quote, gone: tuple[str, ...] = (), after: int = 0) -> list[Quote]:
    """Take a round's answer; return what is sent to servers."""
    answer = Prices({quote.token_address: quote for quote in quotes}, Decimal(150), gone=gone)
    known.take(answer, NOW + timedelta(seconds=after))
    news = known.news()
    known.mark_sent(news)
    return news


def test_market_is_sent_once_and_again_when_it_has_changed():
    known = KnownQuotes()
    assert [quote.market for quote in sent_after(known, priced())] == [POOL]
    assert sent_after(known, priced(after=1)) == []
    assert [quote.market for quote in sent_after(known, priced(price="0.011", after=2))] == [None]
    thin = Market("thin", POOL.liquidity_usd, POOL.pool_tokens, POOL.pool_sol)
    assert [quote.market for quote in sent_after(known, priced(thin, price="0.011", after=3))] == [thin]


def test_reserves_count_as_they_were_until_they_have_moved_by_more_than_a_percent():
    known = KnownQuotes()
    sent_after(known, priced())
    moved = Market("live", Decimal(50_400), Decimal(16_700), Decimal("167.6"))
    assert sent_after(known, priced(moved, after=1)) == []
    assert known.latest[BONK].market == POOL
    fallen = Market("live", Decimal(50_400), Decimal(17_000), Decimal(163))
    assert [quote.market for quote in sent_after(known, priced(fallen, after=2))] == [
        Market("live", Decimal(50_000), Decimal(17_000), Decimal(163))
    ]


def test_source_that_reports_no_market_clears_what_another_one_told():
    known = KnownQuotes()
    known.restore([priced(Market("gone"))], NOW)
    assert [quote.status for quote in sent_after(known, priced(None, after=1))] == ["live"]
    assert known.latest[BONK].market is None


def test_token_that_is_gone_keeps_its_last_price_and_its_time():
    known = KnownQuotes()
    sent_after(known, priced())
    [quote] = sent_after(known, gone=(BONK, WIF), after=90)
    assert (quote.status, quote.price, quote.priced_at) == ("gone", Decimal("0.01"), NOW)
    assert quote.as_of == NOW + timedelta(seconds=90)
    assert quote.market == Market("gone", Decimal(0), Decimal(0), Decimal(0), NOW)
    assert sent_after(known, gone=(BONK,), after=120) == []
    assert known.latest[BONK].priced_at == NOW
    assert WIF not in known.latest  # it never had a price
    assert [quote.status for quote in sent_after(known, priced(after=150))] == ["live"]


def test_answer_that_is_older_than_what_is_known_is_left_out():
    known = KnownQuotes()
    sent_after(known, priced(after=10))
    assert sent_after(known, priced(price="0.02", after=5)) == []


def test_quote_of_another_machine_whose_clock_is_ahead_gives_way_to_an_answer_of_now():
    known = KnownQuotes()
    known.restore([priced(after=300)], NOW)
    assert [quote.price for quote in sent_after(known, priced(price="0.02"))] == [Decimal("0.02")]


def test_statuses_are_counted_at_the_moment():
    known = KnownQuotes()
    sent_after(known, priced(Market("thin")), priced(token=WIF, after=50))
    assert known.statuses([BONK, WIF, "none"], NOW + timedelta(seconds=61)) == {
        "stale": 1,
        "live": 1,
        "none": 1,
    }


def test_source_whose_clock_is_ahead_blocks_nothing_later():
    known = KnownQuotes()
    [sent] = sent_after(known, priced(after=86_400))
    assert sent.as_of == NOW
    assert [quote.price for quote in sent_after(known, priced(price="0.02", after=1), after=1)] == [
        Decimal("0.02")
    ]
