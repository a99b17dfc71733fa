"""Trades, and a position's figures as the fold of them: every service, late bookings, repeats, cost in USD."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction
from django.db.models import QuerySet
from django.utils import timezone

from positions import valkey
from positions.books.trades import Books, Side, fold
from positions.errors import (
    AlreadyOpen,
    ImpossibleTrade,
    InvalidAmount,
    NotEnoughTokens,
    PositionClosed,
    PositionsError,
    PriceUnknown,
    TradesAreKept,
    TransactionIdTaken,
    UnseenWrite,
)
from positions.models import Agent, Mode, Position, PositionEvent, StoredAnswer, Trade, Wallet
from positions.services import (
    book_airdrop,
    buy_more,
    close_position,
    open_position,
    take_profit,
    transfer_in,
    transfer_out,
)
from tests.conftest import BONK, JUP, WIF
from tests.positions.market import fresh_quote, put
from tests.positions.threads import at_once

pytestmark = pytest.mark.django_db

D = Decimal
OUT_OF_RANGE = "sol_usd must be at least 0.000000001 and below 1000000000, not"
NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)


def minutes(count: float) -> datetime:
    return NOON + timedelta(minutes=count)


def opened(wallet: Wallet, **changes: Any) -> Position:
    """Buy 1,000 WIF for 10 SOL at noon, with SOL at 100 USD."""
    arguments: dict[str, Any] = {
        "wallet": wallet,
        "token_address": WIF,
        "token_symbol": "WIF",
        "tokens": D(1000),
        "spent_sol": D(10),
        "executed_at": NOON,
        "sol_usd": D(100),
    }
    return open_position(**arguments | changes)


def newest(position: Position) -> Trade:
    return position.trades.order_by("-executed_at", "-recorded_at")[0]


def books_hold(position: Position) -> Position:
    """Assert that the row's figures are the fold of its trades; return it fresh."""
    position = Position.objects.get(pk=position.pk)
    assert fold(position.trades.all()) == position.books
    assert position.books_digest == position.books.digest
    assert position.last_trade_at == newest(position).executed_at
    return position


# One trade a write


def test_every_service_books_one_trade_and_one_event(wallet: Wallet):
    position = opened(wallet, transaction_id="1", fee_sol=D("0.01"))
    key = position.pk
    buy_more(position_id=key, tokens=D(500), spent_sol=D(10), transaction_id="2", executed_at=minutes(1))
    take_profit(position_id=key, tokens=D(300), proceeds_sol=D(9), transaction_id="3", executed_at=minutes(2))
    book_airdrop(position_id=key, tokens=D(800), transaction_id="4", executed_at=minutes(3))
    transfer_in(position_id=key, tokens=D(1000), cost_sol=D(14), transaction_id="5", executed_at=minutes(4))
    transfer_out(position_id=key, tokens=D(100), transaction_id="6", executed_at=minutes(5))
    close_position(position_id=key, proceeds_sol=D(50), transaction_id="7", executed_at=minutes(6))
    booked = [
        (each.side, each.tokens, each.sol, each.transaction_id, each.executed_at)
        for each in Trade.objects.all()
    ]
    assert booked == [
        ("purchase", 1000, 10, "1", NOON),
        ("purchase", 500, 10, "2", minutes(1)),
        ("sale", 300, 9, "3", minutes(2)),
        ("airdrop", 800, 0, "4", minutes(3)),
        ("transfer_in", 1000, 14, "5", minutes(4)),
        ("transfer_out", 100, 1, "6", minutes(5)),
        ("sale", 2900, 50, "7", minutes(6)),
    ]
    first = Trade.objects.all()[0]
    assert (first.wallet_id, first.position_id, first.fee_sol, first.sol_usd) == (
        wallet.pk,
        key,
        D("0.01"),
        100,
    )
    assert not first.reconstructed
    assert PositionEvent.objects.count() == 7
    closed = books_hold(position)
    assert (closed.status, closed.closed_at, closed.dca_count) == ("closed", minutes(6), 1)
    assert (closed.last_dca_time, closed.last_take_profit_time) == (minutes(1), minutes(2))
    assert (closed.dca_transaction_ids, closed.take_profit_transaction_ids) == (["2"], ["3", "7"])


def test_airdrop_is_a_purchase_for_nothing(wallet: Wallet):
    book_airdrop(position_id=opened(wallet).pk, tokens=D(1000))
    position = books_hold(Position.objects.get())
    assert (position.purchase_price, position.purchase_amount) == (D("0.005"), 2000)
    assert (position.total_invested_sol, position.dca_count) == (10, 0)
    assert position.lowest_price == D("0.01")  # the price of a market, not of a gift


def test_transfer_in_is_a_purchase_at_its_stated_cost(wallet: Wallet):
    transfer_in(position_id=opened(wallet).pk, tokens=D(1000), cost_sol=D(30))
    position = books_hold(Position.objects.get())
    assert (position.purchase_price, position.total_invested_sol, position.dca_count) == (D("0.02"), 40, 0)


def test_transfer_out_makes_no_profit_in_either_currency(wallet: Wallet):
    position = opened(wallet, tokens=D(3), spent_sol=D(10))  # 3.333…: no rounding makes a profit either
    transfer_out(position_id=position.pk, tokens=D(1), sol_usd=D(300))
    position = books_hold(position)
    assert (position.remaining_amount, position.realized_profit_sol, position.realized_profit_usd) == (
        2,
        0,
        0,
    )
    transfer_out(position_id=position.pk, tokens=D(2), sol_usd=D(50))
    position = books_hold(position)
    assert (position.status, position.close_reason) == ("closed", "transfer out")
    assert (position.realized_profit_sol, position.realized_profit_usd, position.cost_usd) == (0, 0, 0)


def test_position_can_be_opened_by_an_airdrop_and_by_a_transfer(wallet: Wallet):
    airdrop = opened(wallet, side=Side.AIRDROP, spent_sol=D(0))
    assert (airdrop.purchase_price, airdrop.peak_price, airdrop.lowest_price) == (0, None, None)
    moved = opened(wallet, side=Side.TRANSFER_IN, token_address=JUP, token_symbol="JUP", spent_sol=D(5))
    assert (moved.purchase_price, moved.cost_usd) == (D("0.005"), 500)
    assert [each.side for each in Trade.objects.order_by("recorded_at")] == ["airdrop", "transfer_in"]
    buy_more(position_id=airdrop.pk, tokens=D(1000), spent_sol=D(1))
    assert books_hold(airdrop).dca_count == 1


# Cost in USD


def test_cost_in_usd_is_as_of_each_trade(wallet: Wallet):
    position = opened(wallet)  # 1,000 USD
    buy_more(position_id=position.pk, tokens=D(1000), spent_sol=D(10), sol_usd=D(200))  # and 2,000
    take_profit(position_id=position.pk, tokens=D(500), proceeds_sol=D(10), sol_usd=D(150))  # 1,500 for 750
    position = books_hold(position)
    assert (position.cost_usd, position.realized_profit_usd) == (2250, 750)
    close_position(position_id=position.pk, proceeds_sol=D(10), sol_usd=D(100))
    position = books_hold(position)
    assert (position.cost_usd, position.realized_profit_usd) == (0, -500)  # 1,500 + 1,000 - 3,000


def test_cost_in_usd_is_unknown_once_a_rate_is(wallet: Wallet):
    position = opened(wallet, sol_usd=None)  # long ago, and not named
    assert (position.cost_usd, position.realized_profit_usd) == (None, 0)
    buy_more(position_id=position.pk, tokens=D(1), spent_sol=D(1), sol_usd=D(100))
    close_position(position_id=position.pk, proceeds_sol=D(10), sol_usd=D(100))
    position = books_hold(position)
    assert (position.cost_usd, position.realized_profit_usd) == (0, None)


def test_rate_is_the_price_caches_for_what_is_booked_now(position: Position):
    put(sol_usd=D("151.123456789123"))
    buy_more(position_id=position.pk, tokens=D(1), spent_sol=D(1))
    buy_more(position_id=position.pk, tokens=D(1), spent_sol=D(1), sol_usd=D(99))
    recently, before = timezone.now() - timedelta(minutes=2), timezone.now() - timedelta(minutes=9)
    late = opened(position.wallet, sol_usd=None, executed_at=before)
    buy_more(position_id=late.pk, tokens=D(1), spent_sol=D(1), executed_at=recently)
    rates = list(Trade.objects.order_by("recorded_at").values_list("sol_usd", flat=True))
    assert rates == [None, D("151.123456789"), 99, None, D("151.123456789")]


def test_rate_of_a_feed_that_stopped_is_not_taken(position: Position):
    put(sol_usd=D(151), age=timedelta(minutes=6))
    buy_more(position_id=position.pk, tokens=D(1), spent_sol=D(1))
    assert newest(position).sol_usd is None


# Late bookings


def test_late_purchase_is_folded_in_where_it_belongs(wallet: Wallet):
    position = opened(wallet)
    take_profit(
        position_id=position.pk, tokens=D(500), proceeds_sol=D(10), executed_at=minutes(10), sol_usd=D(100)
    )
    assert books_hold(position).realized_profit_sol == 5
    # At 0.03: what was sold had cost 0.02, not 0.01.
    buy_more(position_id=position.pk, tokens=D(1000), spent_sol=D(30), executed_at=minutes(5), sol_usd=D(100))
    position = books_hold(position)
    assert (position.purchase_price, position.remaining_amount) == (D("0.02"), 1500)
    assert (position.realized_profit_sol, position.realized_profit_usd) == (0, 0)
    assert (position.last_dca_time, position.last_trade_at) == (minutes(5), minutes(10))
    assert PositionEvent.objects.count() == 3


def test_purchase_before_the_opening_one_opens_the_position(wallet: Wallet):
    position = opened(wallet)
    buy_more(position_id=position.pk, tokens=D(1), spent_sol=D(1), executed_at=minutes(-5))
    position = books_hold(position)
    assert (position.created_at, position.dca_count) == (minutes(-5), 1)


def test_trades_of_the_same_moment_stay_in_the_order_of_their_booking(wallet: Wallet):
    position = opened(wallet)
    for _ in range(3):
        take_profit(position_id=position.pk, tokens=D(300), proceeds_sol=D(1), executed_at=minutes(1))
        buy_more(position_id=position.pk, tokens=D(1), spent_sol=D(5), executed_at=minutes(1))
    sides = [each.side for each in books_hold(position).trades.all()]
    assert sides == ["purchase", *["sale", "purchase"] * 3]


def test_sale_of_what_was_not_held_yet_is_refused(wallet: Wallet):
    position = opened(wallet)
    buy_more(position_id=position.pk, tokens=D(500), spent_sol=D(10), executed_at=minutes(10))
    with pytest.raises(ImpossibleTrade) as refused:
        take_profit(position_id=position.pk, tokens=D(1200), proceeds_sol=D(1), executed_at=minutes(5))
    assert refused.value.field == "executed_at"
    assert refused.value.message == (
        "executed_at: the sale of 1200 at 2026-01-31T12:05:00+00:00 would then be more than was held, 1000"
    )
    assert books_hold(position).trades.count() == 2


def test_sale_that_leaves_too_little_for_a_later_one_is_refused(wallet: Wallet):
    position = opened(wallet)
    take_profit(position_id=position.pk, tokens=D(900), proceeds_sol=D(1), executed_at=minutes(5))
    buy_more(position_id=position.pk, tokens=D(900), spent_sol=D(10), executed_at=minutes(10))
    with pytest.raises(
        ImpossibleTrade, match=r"the sale of 900 at 2026-01-31T12:05:00\+00:00 would .*, 800$"
    ):
        transfer_out(position_id=position.pk, tokens=D(200), executed_at=minutes(1))
    assert books_hold(position).remaining_amount == 1000


def test_late_close_sells_what_is_left_in_the_end(wallet: Wallet):
    position = opened(wallet)
    take_profit(position_id=position.pk, tokens=D(400), proceeds_sol=D(4), executed_at=minutes(9))
    close_position(position_id=position.pk, proceeds_sol=D(12), executed_at=minutes(3))
    position = books_hold(position)
    assert (position.status, position.closed_at, position.realized_profit_sol) == ("closed", minutes(9), 6)


def test_late_close_at_the_market_price_is_refused(wallet: Wallet):
    put(fresh_quote(WIF, "0.01"))
    position = opened(wallet)
    with pytest.raises(PriceUnknown, match="a sale that is booked late needs its proceeds"):
        close_position(position_id=position.pk, executed_at=minutes(5))


@pytest.mark.parametrize(
    ("executed_at", "message"),
    [
        (datetime(2026, 1, 31), "executed_at must be a time with its zone, not 2026-01-31T00:00:00"),  # noqa: DTZ001
        ("2026-01-31T12:00:00Z", 'executed_at must be a time with its zone, not "2026-01-31T12:00:00Z"'),
        (
            datetime(2019, 1, 1, tzinfo=UTC),
            "executed_at must be 2020-03-16, when Solana began, or later, not 2019-01-01T00:00:00+00:00",
        ),
        (
            datetime.min.replace(tzinfo=UTC),
            "executed_at must be 2020-03-16, when Solana began, or later, not 0001-01-01T00:00:00+00:00",
        ),
    ],
)
def test_time_that_no_trade_can_have_is_refused(wallet: Wallet, executed_at, message: str):
    with pytest.raises(PositionsError) as refused:
        opened(wallet, executed_at=executed_at)
    assert (refused.value.message, refused.value.field) == (message, "executed_at")


def test_time_in_the_future_is_refused_but_for_a_little(wallet: Wallet):
    with pytest.raises(PositionsError, match="executed_at must not be in the future; it is 20"):
        opened(wallet, executed_at=timezone.now() + timedelta(minutes=2))
    ahead = timezone.now() + timedelta(seconds=30)
    position = opened(wallet, executed_at=ahead)
    buy_more(position_id=position.pk, tokens=D(1), spent_sol=D(1))  # now, but after it
    assert [each.executed_at for each in books_hold(position).trades.all()][1] > ahead


@pytest.mark.parametrize(
    ("changes", "message", "field"),
    [
        ({"fee_sol": D(-1)}, "fee_sol must be 0 or more, not -1", "fee_sol"),
        (
            {"fee_sol": D("10.1")},
            "fee_sol must be at most 10, the sum that it is part of, not 10.1",
            "fee_sol",
        ),
        ({"sol_usd": D(0)}, f"{OUT_OF_RANGE} 0", "sol_usd"),
        (
            {"sol_usd": D("NaN")},
            f"{OUT_OF_RANGE} NaN",
            "sol_usd",
        ),
        ({"sol_usd": 100}, "sol_usd must be a Decimal, not int", "sol_usd"),
        (
            {"sol_usd": D("1e999999")},
            f"{OUT_OF_RANGE} 1E+999999",
            "sol_usd",
        ),
    ],
)
def test_bad_terms_are_refused(wallet: Wallet, changes, message: str, field: str):
    with pytest.raises(InvalidAmount) as refused:
        opened(wallet, **changes)
    assert (refused.value.message, refused.value.field) == (message, field)
    assert not Trade.objects.exists()


def test_transfer_of_too_high_a_cost_is_refused_by_its_own_name(wallet: Wallet):
    position = opened(wallet)
    with pytest.raises(InvalidAmount, match="cost_sol: 100000000009 SOL in all is too much") as refused:
        transfer_in(position_id=position.pk, tokens=D(1), cost_sol=D(99_999_999_999))
    assert refused.value.field == "cost_sol"


def test_unknown_term_is_a_mistake(position: Position):
    with pytest.raises(TypeError, match="fees"):
        buy_more(position_id=position.pk, tokens=D(1), spent_sol=D(1), fees=D(1))  # type: ignore[call-arg]


def test_refused_trades_leave_nothing(position: Position):
    with pytest.raises(NotEnoughTokens):
        transfer_out(position_id=position.pk, tokens=D(1_000_001))
    with pytest.raises(InvalidAmount, match="cost_sol must be 0 or more"):
        transfer_in(position_id=position.pk, tokens=D(1), cost_sol=D(-1))
    with pytest.raises(InvalidAmount, match="tokens must be more than 0"):
        book_airdrop(position_id=position.pk, tokens=D(0))
    close_position(position_id=position.pk, proceeds_sol=D(1))
    with pytest.raises(PositionClosed):
        book_airdrop(position_id=position.pk, tokens=D(1))
    assert books_hold(position).trades.count() == 2


# Repeats


def writes(position: Position) -> dict[str, Any]:
    """Each service with a request of its own."""
    one = {"position_id": position.pk, "tokens": D(100)}
    return {
        "open": lambda **changes: opened(position.wallet, transaction_id="tx", **changes),
        "buy": lambda **changes: buy_more(**one | {"spent_sol": D(1), "transaction_id": "tx"} | changes),
        "sell": lambda **changes: take_profit(
            **one | {"proceeds_sol": D(1), "transaction_id": "tx"} | changes
        ),
        "airdrop": lambda **changes: book_airdrop(**one | {"transaction_id": "tx"} | changes),
        "transfer in": lambda **changes: transfer_in(
            **one | {"cost_sol": D(1), "transaction_id": "tx"} | changes
        ),
        "transfer out": lambda **changes: transfer_out(**one | {"transaction_id": "tx"} | changes),
        "close": lambda **changes: close_position(
            **{"position_id": position.pk, "proceeds_sol": D(1), "transaction_id": "tx"} | changes
        ),
    }


NAMES = ["open", "buy", "sell", "airdrop", "transfer in", "transfer out", "close"]


@pytest.mark.parametrize("name", NAMES)
def test_repeat_books_nothing_and_answers_with_the_position(position: Position, name: str):
    write = writes(position)[name]
    first = write()
    count = Trade.objects.count(), PositionEvent.objects.count()
    again = write()
    assert again.pk == first.pk
    assert again.books == first.books
    assert (Trade.objects.count(), PositionEvent.objects.count()) == count
    books_hold(first)


@pytest.mark.parametrize("name", NAMES)
def test_repeat_with_other_content_is_refused(position: Position, name: str):
    write = writes(position)[name]
    write()
    others: list[dict[str, Any]] = [{"fee_sol": D("0.5")}, {"executed_at": minutes(1)}, {"sol_usd": D(7)}]
    others.append({"reason": "stop loss"} if name == "close" else {"tokens": D(101)})
    for changes in others:
        with pytest.raises(TransactionIdTaken) as refused:
            write(**changes)
        assert refused.value.field == "transaction_id"
    assert Trade.objects.filter(transaction_id="tx").count() == 1


def test_repeat_is_known_however_its_numbers_are_written(position: Position):
    for tokens, spent in ((D("1.50"), D(2)), (D("1.5"), D("2.000"))):
        buy_more(position_id=position.pk, tokens=tokens, spent_sol=spent, transaction_id="tx", fee_sol=D(0))
    assert position.trades.count() == 2


def test_transaction_id_of_another_position_of_the_wallet_is_taken(position: Position):
    buy_more(position_id=position.pk, tokens=D(1), spent_sol=D(1), transaction_id="tx")
    with pytest.raises(TransactionIdTaken) as refused:
        opened(position.wallet, transaction_id="tx")
    assert refused.value.message == (
        "transaction_id: this wallet has booked it already, with other content: purchase of 1 BONK"
    )
    live = Wallet.objects.create(agent=position.agent, address="A1phaLive", kind=Mode.LIVE)
    assert opened(live, transaction_id="tx").purchase_transaction_id == "tx"


def test_repeat_of_a_close_at_the_market_needs_no_price_any_more(position: Position):
    put(fresh_quote(BONK, "0.000003"))
    closed = close_position(position_id=position.pk, transaction_id="tx")
    valkey.client().flushdb()
    again = close_position(position_id=position.pk, transaction_id="tx")
    assert again.realized_profit_sol == closed.realized_profit_sol
    with pytest.raises(PositionClosed):
        close_position(position_id=position.pk, transaction_id="another", proceeds_sol=D(1))


def test_open_without_an_id_twice_is_no_repeat(wallet: Wallet):
    opened(wallet)
    with pytest.raises(AlreadyOpen):
        opened(wallet)


def test_repeat_of_what_an_old_server_booked_books_nothing(position: Position):
    # As the release before wrote it: the row has the id, and there is no trade.
    Position.objects.filter(pk=position.pk).update(
        dca_transaction_ids=["old"], purchase_transaction_id="first", dca_count=1
    )
    buy_more(position_id=position.pk, tokens=D(1), spent_sol=D(1), transaction_id="old")
    again = open_position(
        wallet=position.wallet,
        token_address=BONK,
        token_symbol="BONK",
        tokens=D(1),
        spent_sol=D(1),
        transaction_id="first",
    )
    assert again.pk == position.pk
    assert position.trades.count() == 1


@pytest.mark.django_db(transaction=True)
def test_two_of_the_same_at_once_book_one_trade(position: Position):
    def again() -> Position:
        return buy_more(position_id=position.pk, tokens=D(5), spent_sol=D(1), transaction_id="tx")

    results = at_once(again, again, again)
    assert {each.pk for each in results} == {position.pk}
    assert books_hold(position).remaining_amount == 1_000_005


@pytest.mark.django_db(transaction=True)
def test_two_of_the_same_at_once_open_one_position(wallet: Wallet):
    def again() -> Position:
        return opened(wallet, transaction_id="tx")

    results = at_once(again, again, again)
    assert len({each.pk for each in results}) == 1
    assert Trade.objects.count() == 1


# Kept


def test_booked_trades_are_neither_changed_nor_deleted(position: Position):
    trade = position.trades.get()
    trade.sol = D(3)
    for forbidden in (
        trade.save,
        trade.delete,
        Trade.objects.all().delete,
        position.trades.all().delete,
        lambda: Trade.objects.update(sol=D(3)),
        lambda: Trade.objects.bulk_update([trade], ["sol"]),
        lambda: Trade.objects.bulk_create(
            [trade], update_conflicts=True, unique_fields=["id"], update_fields=["sol"]
        ),
    ):
        with pytest.raises(TradesAreKept, match="never changed or deleted"), transaction.atomic():
            forbidden()
    assert position.trades.get().sol == 2


def test_trades_of_a_position_that_stays_are_deleted_by_no_queryset(world):
    """Of whatever class, nor in the transaction that deletes another position."""
    trades: QuerySet[Trade] = QuerySet(Trade)
    kept = trades.filter(position=world.bonk)
    for forbidden in (
        kept.delete,
        trades.all().delete,
        lambda: kept._raw_delete("default"),
        lambda: trades.filter(position__in=Position.objects.all())._raw_delete("default"),
        lambda: (world.wif.delete(), trades.all().delete()),
    ):
        with pytest.raises(UnseenWrite, match="booked trades are kept"), transaction.atomic():
            forbidden()
    assert Trade.objects.count() == 2
    trades.filter(sol=-1).delete()  # none


def test_trades_go_with_their_position_and_agent(world):
    assert Trade.objects.count() == 2
    world.bonk.delete()
    assert Trade.objects.count() == 1
    Agent.objects.filter(pk=world.agent.pk).delete()
    assert Trade.objects.count() == 0


@pytest.mark.postgresql
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("table", ["position", "wallet"])
def test_trades_go_with_what_a_server_of_the_release_before_deletes(position: Position, table: str):
    """It knows neither trades nor answers, and deletes only what it knows."""
    user = position.agent.owner
    StoredAnswer.objects.create(
        user=user, trade=position.trades.get(), path="/", content={}, status=200, body=""
    )
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("DELETE FROM positions_position")
        cursor.execute(f"DELETE FROM positions_{table}")  # noqa: S608
    assert not Trade.objects.exists()
    assert StoredAnswer.objects.get().trade is None
    with connection.cursor() as cursor:
        for each in ("wallet", "agent", "positionevent"):
            cursor.execute(f"DELETE FROM positions_{each}")  # noqa: S608
        cursor.execute("DELETE FROM auth_user")
    assert not StoredAnswer.objects.exists()


def test_database_takes_a_transaction_id_once_a_wallet(position: Position):
    buy_more(position_id=position.pk, tokens=D(1), spent_sol=D(1), transaction_id="tx")
    copy = newest(position)
    with pytest.raises(IntegrityError), transaction.atomic():
        Trade(
            wallet=copy.wallet,
            position=position,
            side="purchase",
            tokens=D(1),
            sol=D(1),
            transaction_id="tx",
            executed_at=NOON,
        ).save()


# Changed beside the trades


def test_position_without_trades_gets_an_opening_balance_with_its_next_write(world):
    bare = world.unsaved(world.wallet, JUP)
    bare.save()
    assert (bare.last_trade_at, bare.trades.count()) == (None, 0)
    buy_more(position_id=bare.pk, tokens=D(10), spent_sol=D(10), sol_usd=D(100))
    first, second = books_hold(bare).trades.all()
    assert (first.side, first.tokens, first.sol, first.reconstructed) == ("balance", 10, 5, True)
    assert first.executed_at == bare.created_at
    assert (second.side, second.reconstructed) == ("purchase", False)
    fresh = Position.objects.get(pk=bare.pk)
    assert (fresh.purchase_price, fresh.cost_usd, fresh.dca_count) == (D("0.75"), None, 1)


def test_position_changed_beside_its_trades_keeps_its_figures_and_gets_a_balance(position: Position):
    Position.objects.filter(pk=position.pk).update(remaining_amount=D(7))
    take_profit(position_id=position.pk, tokens=D(2), proceeds_sol=D(1))
    fresh = books_hold(position)
    assert (fresh.remaining_amount, fresh.realized_profit_usd) == (5, None)
    assert [each.side for each in fresh.trades.all()] == ["purchase", "balance", "sale"]


def test_nothing_is_booked_before_a_balance(position: Position):
    Position.objects.filter(pk=position.pk).update(remaining_amount=D(7))
    with pytest.raises(PositionsError, match=r"executed_at: a balance of .* states what was held then"):
        take_profit(position_id=position.pk, tokens=D(2), proceeds_sol=D(1), executed_at=minutes(0))
    assert position.trades.count() == 1


def test_fold_of_nothing_is_nothing():
    assert fold([]) == Books()
