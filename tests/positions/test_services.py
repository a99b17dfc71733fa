from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.conf import LazySettings
from django.db import transaction
from django.utils import timezone

from positions import valkey
from positions.books.snapshots import snapshot
from positions.errors import (
    AlreadyOpen,
    InvalidAmount,
    NotEnoughTokens,
    PositionClosed,
    PositionsError,
    PriceUnknown,
)
from positions.models import Agent, Mint, Position, PositionEvent, Trade, Wallet
from positions.services import (
    book_airdrop,
    buy_more,
    close_position,
    move_stop_loss,
    open_position,
    take_profit,
    transfer_in,
    transfer_out,
)
from tests.conftest import BONK, WIF
from tests.positions.market import fresh_quote, put, quote
from tests.positions.threads import at_once

pytestmark = pytest.mark.django_db


def opening(wallet: Wallet, **changes: Any) -> dict[str, Any]:
    """Arguments of a purchase of 1,000 WIF for 10 SOL."""
    arguments: dict[str, Any] = {
        "wallet": wallet,
        "token_address": WIF,
        "token_symbol": "WIF",
        "tokens": Decimal(1000),
        "spent_sol": Decimal(10),
    }
    return arguments | changes


def refused(service, error: type[PositionsError], message: str, field: str | None, **arguments) -> None:
    """Assert that the service refuses, says so exactly, and leaves nothing behind."""
    before = (sorted(map(str, map(snapshot, Position.objects.all()))), PositionEvent.objects.count())
    with pytest.raises(PositionsError) as raised:
        service(**arguments)
    assert (type(raised.value), raised.value.message, raised.value.field) == (error, message, field)
    assert str(raised.value) == message
    assert before == (sorted(map(str, map(snapshot, Position.objects.all()))), PositionEvent.objects.count())


# open_position


def test_open_position_holds_what_was_bought(wallet: Wallet):
    moment = datetime(2026, 1, 31, 12, tzinfo=UTC)
    opened = open_position(
        **opening(wallet, transaction_id="5tx", stop_loss_percentage=Decimal("-12.5"), opened_at=moment)
    )
    position = Position.objects.get()
    assert snapshot(position) == snapshot(Position.objects.get(pk=opened.pk))
    assert (position.agent_id, position.wallet_id, position.status) == (wallet.agent_id, wallet.pk, "open")
    assert (position.token_address, position.token_symbol, position.purchase_transaction_id) == (
        WIF,
        "WIF",
        "5tx",
    )
    assert (position.purchase_price, position.purchase_amount) == (Decimal("0.01"), 1000)
    assert (position.remaining_amount, position.total_invested_sol, position.realized_profit_sol) == (
        1000,
        10,
        0,
    )
    assert (position.peak_price, position.lowest_price) == (Decimal("0.01"), Decimal("0.01"))
    assert (position.current_stop_loss_percentage, position.last_stop_loss_update) == (
        Decimal("-12.5"),
        moment,
    )
    assert (position.dca_count, position.take_profit_levels_hit, position.moon_bag_activated) == (0, 0, False)
    assert (position.created_at, position.closed_at, position.close_reason) == (moment, None, "")


def test_open_position_without_a_stop_loss_has_none(wallet: Wallet):
    opened = open_position(**opening(wallet))
    assert (opened.current_stop_loss_percentage, opened.last_stop_loss_update) == (None, None)


@pytest.mark.parametrize(
    ("changes", "error", "message", "field"),
    [
        ({"tokens": Decimal(0)}, InvalidAmount, "tokens must be more than 0, not 0", "tokens"),
        ({"tokens": 1.5}, InvalidAmount, "tokens must be a Decimal, not float", "tokens"),
        ({"spent_sol": Decimal(-1)}, InvalidAmount, "spent_sol must be more than 0, not -1", "spent_sol"),
        (
            {"spent_sol": Decimal("NaN")},
            InvalidAmount,
            "spent_sol must be a finite number, not NaN",
            "spent_sol",
        ),
        (
            {"token_address": "0xabc"},
            PositionsError,
            "token_address: “0xabc” is not a Solana address: base58 has no 0, O, I, l or other signs.",
            "token_address",
        ),
        (
            {"token_address": "1" * 65},
            PositionsError,
            "token_address must have at most 64 characters; it has 65",
            "token_address",
        ),
        (
            {"token_symbol": "x" * 33},
            PositionsError,
            "token_symbol must have at most 32 characters; it has 33",
            "token_symbol",
        ),
        (
            {"stop_loss_percentage": Decimal(-101)},
            InvalidAmount,
            "stop_loss_percentage must be at least -100 and below 100000, not -101",
            "stop_loss_percentage",
        ),
        (
            {"transaction_id": "x" * 129},
            PositionsError,
            f'transaction_id must have 1 to 128 printable characters; "{"x" * 40}\\u2026" has 129',
            "transaction_id",
        ),
    ],
)
def test_open_position_with_a_bad_argument_is_refused(wallet: Wallet, changes, error, message, field):
    refused(open_position, error, message, field, **opening(wallet, **changes))


def test_open_position_in_a_token_already_held_is_refused(position: Position):
    message = f"{position.wallet_id} already has an open position in {BONK}"
    arguments = opening(position.wallet, token_address=BONK)
    refused(open_position, AlreadyOpen, message, "token_address", **arguments)


def test_open_position_in_a_token_that_was_sold_opens_another(position: Position):
    close_position(position_id=position.pk, proceeds_sol=Decimal(1))
    assert open_position(**opening(position.wallet, token_address=BONK)).pk != position.pk


@pytest.mark.parametrize("left", ["0.0000000009", "0.000000000000000027", "0"])
def test_open_position_where_only_dust_is_left_closes_the_old_one(position: Position, left: str):
    """Releases without a smallest unit left such positions, and they blocked the token permanently."""
    Position.objects.filter(pk=position.pk).update(remaining_amount=Decimal(left))
    opened = open_position(**opening(position.wallet, token_address=BONK))
    position.refresh_from_db()
    assert (position.status, position.close_reason, position.remaining_amount) == (
        "closed",
        "nothing left",
        0,
    )
    assert list(Position.objects.open()) == [opened]
    kinds = list(PositionEvent.objects.order_by("seq").values_list("event_type", flat=True))
    assert kinds == ["position_created", "position_updated", "position_closed", "position_created"]


def test_open_position_where_one_unit_is_left_is_refused(position: Position):
    Position.objects.filter(pk=position.pk).update(remaining_amount=Decimal("0.000000001"))
    with pytest.raises(AlreadyOpen):
        open_position(**opening(position.wallet, token_address=BONK))


# buy_more


def test_buy_more_averages_the_cost_and_counts(position: Position):
    before = timezone.now()
    buy_more(position_id=position.pk, tokens=Decimal(1_000_000), spent_sol=Decimal(1), transaction_id="dca-1")
    buy_more(position_id=position.pk, tokens=Decimal(1_000_000), spent_sol=Decimal(6))
    position.refresh_from_db()
    assert position.purchase_price == Decimal("0.000003")
    assert (position.purchase_amount, position.remaining_amount) == (3_000_000, 3_000_000)
    assert (position.total_invested_sol, position.realized_profit_sol) == (9, 0)
    assert (position.dca_count, position.dca_transaction_ids) == (2, ["dca-1"])
    assert position.lowest_price == Decimal("0.000001")
    assert position.last_dca_time is not None
    assert before <= position.last_dca_time


@pytest.mark.parametrize(
    ("changes", "message", "field"),
    [
        (
            {"tokens": Decimal("1e-10")},
            "tokens must be at least 0.000000001, not 0.0000000001, which rounds to 0",
            "tokens",
        ),
        ({"tokens": Decimal(10**21 - 1)}, None, "tokens"),
        ({"spent_sol": Decimal(0)}, "spent_sol must be more than 0, not 0", "spent_sol"),
    ],
)
def test_buy_more_of_a_bad_amount_is_refused(position: Position, changes, message, field):
    arguments = {"position_id": position.pk, "tokens": Decimal(1), "spent_sol": Decimal(1)} | changes
    message = (
        message or f"tokens: {10**21 + 999_999} bought in all is too much: it must be less than {10**21}"
    )
    refused(buy_more, InvalidAmount, message, field, **arguments)


# take_profit


def test_take_profit_realizes_profit_and_counts(position: Position):
    take_profit(
        position_id=position.pk, tokens=Decimal(250_000), proceeds_sol=Decimal(1), transaction_id="tp-1"
    )
    take_profit(position_id=position.pk, tokens=Decimal(250_000), proceeds_sol=Decimal("0.75"), moon_bag=True)
    position.refresh_from_db()
    assert (position.remaining_amount, position.purchase_amount) == (500_000, 1_000_000)
    assert (position.purchase_price, position.total_invested_sol) == (Decimal("0.000002"), 2)
    assert position.realized_profit_sol == Decimal("0.75")
    assert (position.take_profit_levels_hit, position.take_profit_transaction_ids) == (2, ["tp-1"])
    assert (position.moon_bag_activated, position.moon_bag_amount) == (True, 500_000)
    assert (position.status, position.closed_at) == ("open", None)
    assert position.last_take_profit_time is not None


def test_take_profit_of_all_closes_the_position(position: Position):
    take_profit(position_id=position.pk, tokens=Decimal(1_000_000), proceeds_sol=Decimal(3), moon_bag=True)
    position.refresh_from_db()
    assert (position.status, position.close_reason) == ("closed", "take profit")
    assert (position.remaining_amount, position.realized_profit_sol) == (0, 1)
    assert position.closed_at is not None
    assert (position.moon_bag_activated, position.moon_bag_amount) == (False, None)


@pytest.mark.parametrize("tokens", ["999999.9999999991", "1000000.0000000009"])
def test_take_profit_of_all_but_dust_or_dust_more_closes(position: Position, tokens: str):
    sold = take_profit(position_id=position.pk, tokens=Decimal(tokens), proceeds_sol=Decimal("3.0000000001"))
    assert (sold.status, sold.remaining_amount, sold.realized_profit_sol) == ("closed", 0, 1)


def test_amounts_are_rounded_to_the_decimals_that_the_mint_is_known_to_have(
    position: Position, wallet: Wallet
):
    Mint.objects.create(address=BONK, decimals=5)
    buy_more(position_id=position.pk, tokens=Decimal("0.1234567"), spent_sol=Decimal(1), transaction_id="dca")
    position.refresh_from_db()
    assert position.remaining_amount == Decimal("1000000.12346")
    take_profit(position_id=position.pk, tokens=Decimal("1000000.1234"), proceeds_sol=Decimal(3))
    position.refresh_from_db()
    assert (position.status, position.remaining_amount) == ("open", Decimal("0.00006"))
    Mint.objects.update(decimals=4)
    open_position(**opening(wallet, token_address=BONK))  # what was left is nothing
    position.refresh_from_db()
    assert (position.status, position.close_reason) == ("closed", "nothing left")


def test_repeat_is_known_though_the_mint_s_decimals_became_known_in_between(position: Position):
    again: dict[str, Any] = {
        "position_id": position.pk,
        "tokens": Decimal("0.1234567"),
        "spent_sol": Decimal(1),
        "transaction_id": "x",
    }
    booked = buy_more(**again)
    Mint.objects.create(address=BONK, decimals=5)
    assert buy_more(**again).remaining_amount == booked.remaining_amount == Decimal("1000000.1234567")
    assert Trade.objects.filter(transaction_id="x").count() == 1


@pytest.mark.parametrize("number", ["1e999999999", "-1e999999999", "1e-999999999", "NaN", "sNaN", "Infinity"])
def test_number_out_of_all_bounds_is_refused_also_with_a_transaction_id(position: Position, number: str):
    amount: dict[str, Any] = {"position_id": position.pk, "tokens": Decimal(number), "transaction_id": "x"}
    services: list[tuple[Any, dict[str, Any]]] = [
        (buy_more, {"spent_sol": Decimal(1)}),
        (take_profit, {"proceeds_sol": Decimal(1)}),
        (transfer_in, {"cost_sol": Decimal(1)}),
        (transfer_out, {}),
        (book_airdrop, {}),
    ]
    for service, money in services:
        with pytest.raises(InvalidAmount, match=r"^tokens must be .*, not "):
            service(**amount, **money)
    assert Trade.objects.count() == 1


def test_take_profit_of_a_hundred_thousand_billion_is_right_to_the_lamport(wallet: Wallet):
    supply = Decimal("88123456789012.34567")
    opened = open_position(**opening(wallet, tokens=supply, spent_sol=Decimal("1.000000001")))
    sold = take_profit(position_id=opened.pk, tokens=supply, proceeds_sol=Decimal("2.000000003"))
    assert (sold.status, sold.realized_profit_sol) == ("closed", Decimal("1.000000002"))


def test_take_profit_of_more_than_held_is_refused(position: Position):
    refused(
        take_profit,
        NotEnoughTokens,
        "tokens: 1000000.5 to sell, 1000000 held",
        "tokens",
        position_id=position.pk,
        tokens=Decimal("1000000.5"),
        proceeds_sol=Decimal(1),
    )


def test_take_profit_for_less_than_nothing_is_refused(position: Position):
    refused(
        take_profit,
        InvalidAmount,
        "proceeds_sol must be 0 or more, not -1",
        "proceeds_sol",
        position_id=position.pk,
        tokens=Decimal(1),
        proceeds_sol=Decimal(-1),
    )


# move_stop_loss


@pytest.mark.parametrize("percentage", ["-100", "-20", "0", "5.1234", "99999.9999"])
def test_move_stop_loss_sets_it_and_when(position: Position, percentage: str):
    before = timezone.now()
    move_stop_loss(position_id=position.pk, percentage=Decimal(percentage), peak_price=Decimal("0.000009"))
    position.refresh_from_db()
    assert position.current_stop_loss_percentage == Decimal(percentage)
    assert position.peak_price == Decimal("0.000009")
    assert position.last_stop_loss_update is not None
    assert before <= position.last_stop_loss_update


def test_move_stop_loss_to_none_removes_it_with_one_event(position: Position):
    move_stop_loss(position_id=position.pk, percentage=Decimal(-20), peak_price=Decimal("0.000009"))
    move_stop_loss(position_id=position.pk, percentage=None)
    position.refresh_from_db()
    assert (position.current_stop_loss_percentage, position.last_stop_loss_update) == (None, None)
    assert position.peak_price == Decimal("0.000009")  # the position's, whatever guards it
    events = list(PositionEvent.objects.order_by("seq").values_list("seq", "event_type"))
    assert events == [(1, "position_created"), (2, "position_updated"), (3, "position_updated")]
    stored = PositionEvent.objects.get(seq=3).position
    assert (stored["current_stop_loss_percentage"], stored["last_stop_loss_update"]) == (None, None)


def test_move_stop_loss_without_a_percentage_is_a_mistake(position: Position):
    with pytest.raises(TypeError, match="percentage"):
        move_stop_loss(position_id=position.pk)  # type: ignore[call-arg]


def test_move_stop_loss_without_a_peak_leaves_the_peak(position: Position):
    move_stop_loss(position_id=position.pk, percentage=Decimal(5))
    position.refresh_from_db()
    assert position.peak_price == Decimal("0.000002")


def test_move_stop_loss_to_a_zero_with_an_exponent_is_zero(position: Position):
    move_stop_loss(position_id=position.pk, percentage=Decimal("0e-17000"))
    position.refresh_from_db()
    assert position.current_stop_loss_percentage == 0


OUT_OF_RANGE = "percentage must be at least -100 and below 100000"


@pytest.mark.parametrize(
    ("percentage", "message"),
    [
        (Decimal("-100.0001"), f"{OUT_OF_RANGE}, not -100.0001"),
        (Decimal(100_000), f"{OUT_OF_RANGE}, not 100000"),
        (Decimal("99999.99995"), f"{OUT_OF_RANGE}, not 99999.99995"),
        (Decimal("1e400"), f"{OUT_OF_RANGE}, not 1E+400"),
        (Decimal("-1e9999999"), f"{OUT_OF_RANGE}, not -1E+9999999"),
        (Decimal("NaN"), f"{OUT_OF_RANGE}, not NaN"),
        (Decimal("-Infinity"), f"{OUT_OF_RANGE}, not -Infinity"),
        (-20, "percentage must be a Decimal, not int"),
        (5.5, "percentage must be a Decimal, not float"),
    ],
)
def test_move_stop_loss_to_a_bad_percentage_is_refused(position: Position, percentage, message: str):
    refused(
        move_stop_loss,
        InvalidAmount,
        message,
        "percentage",
        position_id=position.pk,
        percentage=percentage,
    )


@pytest.mark.parametrize(
    ("percentage", "rounded"),
    [
        ("-30.000000000000004", "-30"),
        ("-100.00001", "-100"),
        ("5.12345", "5.1234"),
        ("1e-999", "0"),
        ("1e-9999999", "0"),
    ],
)
def test_move_stop_loss_rounds_to_four_decimals(position: Position, percentage: str, rounded: str):
    moved = move_stop_loss(position_id=position.pk, percentage=Decimal(percentage))
    assert moved.current_stop_loss_percentage == Decimal(rounded)


def test_move_stop_loss_with_a_bad_peak_is_refused(position: Position):
    refused(
        move_stop_loss,
        InvalidAmount,
        "peak_price must be more than 0, not 0",
        "peak_price",
        position_id=position.pk,
        percentage=Decimal(5),
        peak_price=Decimal(0),
    )


# close_position


def test_close_position_for_named_proceeds_realizes_them(position: Position):
    close_position(
        position_id=position.pk, proceeds_sol=Decimal("1.25"), reason="stop loss", transaction_id="sl-1"
    )
    position.refresh_from_db()
    assert (position.status, position.close_reason) == ("closed", "stop loss")
    assert (position.remaining_amount, position.realized_profit_sol) == (0, Decimal("-0.75"))
    assert position.take_profit_transaction_ids == ["sl-1"]
    assert position.closed_at is not None


def test_close_position_without_proceeds_sells_at_the_market_price(position: Position):
    put(fresh_quote(BONK, "0.0000031"))
    closed = close_position(position_id=position.pk)
    assert (closed.status, closed.close_reason, closed.realized_profit_sol) == (
        "closed",
        "manual",
        Decimal("1.1"),
    )


def test_close_position_without_proceeds_or_a_price_is_refused(position: Position):
    put(quote(WIF, "0.01"))
    message = "no market price of BONK is known: proceeds are required"
    refused(close_position, PriceUnknown, message, "proceeds_sol", position_id=position.pk)


def test_close_position_without_proceeds_or_a_cache_is_refused(
    position: Position, settings: LazySettings, tmp_path
):
    settings.NEXGENT = {**settings.NEXGENT, "REDIS_URL": f"unix://{tmp_path}/nobody.sock"}
    valkey.client.cache_clear()
    try:
        message = "the price cache cannot be reached: proceeds are required"
        refused(close_position, PriceUnknown, message, "proceeds_sol", position_id=position.pk)
    finally:
        valkey.client.cache_clear()


@pytest.mark.parametrize("note", ["", "x" * 201, "\x00"])
def test_sale_and_stop_loss_with_a_bad_note_are_refused(position: Position, note: str):
    message = f"note must have 1 to 200 characters, none of them NUL; it has {len(note)}"
    about = {"position_id": position.pk, "note": note}
    refused(move_stop_loss, PositionsError, message, "note", **about, percentage=None)
    refused(take_profit, PositionsError, message, "note", **about, tokens=Decimal(1), proceeds_sol=Decimal(1))


@pytest.mark.parametrize("reason", ["", "x" * 201])
def test_close_position_for_a_bad_reason_is_refused(position: Position, reason: str):
    message = f"reason must have 1 to 200 characters; it has {len(reason)}"
    refused(close_position, PositionsError, message, "reason", position_id=position.pk, reason=reason)


def test_close_position_for_bad_proceeds_is_refused(position: Position):
    refused(
        close_position,
        InvalidAmount,
        "proceeds_sol must be less than 100000000000, not 1E+400",
        "proceeds_sol",
        position_id=position.pk,
        proceeds_sol=Decimal("1e400"),
    )


# All of them


WRITES = {
    buy_more: {"tokens": Decimal(1), "spent_sol": Decimal(1)},
    take_profit: {"tokens": Decimal(1), "proceeds_sol": Decimal(1)},
    move_stop_loss: {"percentage": Decimal(5)},
    close_position: {"proceeds_sol": Decimal(1)},
}


@pytest.mark.parametrize("service", WRITES, ids=lambda service: service.__name__)
def test_write_to_a_closed_position_is_refused(position: Position, service):
    close_position(position_id=position.pk, proceeds_sol=Decimal(1))
    message = f"position {position.pk} is closed"
    refused(service, PositionClosed, message, None, position_id=position.pk, **WRITES[service])


@pytest.mark.parametrize("service", WRITES, ids=lambda service: service.__name__)
def test_write_to_an_unknown_position_is_refused(position: Position, service):
    with pytest.raises(Position.DoesNotExist):
        service(position_id=uuid.uuid4(), **WRITES[service])


@pytest.mark.parametrize("service", WRITES, ids=lambda service: service.__name__)
def test_write_in_a_transaction_that_fails_leaves_nothing(position: Position, service):
    before = snapshot(Position.objects.get())
    with transaction.atomic():
        service(position_id=position.pk, **WRITES[service])
        transaction.set_rollback(True)
    assert snapshot(Position.objects.get()) == before
    assert PositionEvent.objects.count() == 1


@pytest.mark.parametrize("service", WRITES, ids=lambda service: service.__name__)
def test_write_works_from_the_database_not_from_an_old_instance(position: Position, service):
    Position.objects.filter(pk=position.pk).update(token_symbol="renamed")
    assert service(position_id=position.pk, **WRITES[service]).token_symbol == "renamed"
    assert Position.objects.get().token_symbol == "renamed"


@pytest.mark.postgresql
@pytest.mark.django_db(transaction=True)
def test_buy_more_by_two_at_once_loses_neither(position: Position):
    def buy_ten_times() -> None:
        for _ in range(10):
            buy_more(position_id=position.pk, tokens=Decimal(1000), spent_sol=Decimal("0.002"))

    at_once(buy_ten_times, buy_ten_times)
    position.refresh_from_db()
    assert (position.remaining_amount, position.total_invested_sol) == (1_020_000, Decimal("2.04"))
    assert position.dca_count == 20
    assert Agent.objects.get().event_seq == 21


@pytest.mark.postgresql
@pytest.mark.django_db(transaction=True)
def test_take_profit_by_two_at_once_never_sells_more_than_held(position: Position):
    def sell() -> bool:
        try:
            take_profit(position_id=position.pk, tokens=Decimal(600_000), proceeds_sol=Decimal(2))
        except NotEnoughTokens:
            return False
        return True

    assert sorted(at_once(sell, sell)) == [False, True]
    position.refresh_from_db()
    assert position.remaining_amount == 400_000


@pytest.mark.postgresql
@pytest.mark.django_db(transaction=True)
def test_open_position_by_two_at_once_opens_one(wallet: Wallet):
    def try_to_open() -> bool:
        try:
            open_position(**opening(wallet))
        except AlreadyOpen:
            return False
        return True

    assert sorted(at_once(try_to_open, try_to_open)) == [False, True]
    assert Position.objects.count() == PositionEvent.objects.count() == 1


def test_close_at_an_old_market_price_is_refused(position: Position):
    put(quote(BONK, "0.000003", as_of=timezone.now() - timedelta(minutes=6)))
    with pytest.raises(PriceUnknown) as raised:
        close_position(position_id=position.pk)
    assert raised.value.message == "the price of BONK is stale and 6 minutes old: proceeds are required"
    assert Position.objects.open().filter(pk=position.pk).exists()
