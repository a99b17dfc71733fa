"""A token whose mint or symbol is replaced: the position keeps its history."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from positions.books.trades import fold
from positions.errors import AlreadyOpen, InvalidAmount, PositionClosed, PositionsError
from positions.history.sales import sale_prices
from positions.models import Agent, LastQuote, Mint, Position, PositionEvent, Trade, Wallet
from positions.prices.last_quotes import newest_prices
from positions.services import buy_more, close_position, migrate_token, open_position, take_profit
from tests.conftest import BONK, JUP, WIF
from tests.positions.market import put, quote

pytestmark = pytest.mark.django_db


@pytest.fixture
def traded(position: Position) -> Position:
    """A million BONK for 2 SOL, half of it sold for 3, with a moon bag."""
    take_profit(position_id=position.pk, tokens=Decimal(500_000), proceeds_sol=Decimal(3), moon_bag=True)
    Position.objects.filter(pk=position.pk).update(
        peak_price=Decimal("0.000008"), lowest_price=Decimal("1e-6")
    )
    position.refresh_from_db()
    return position


def test_position_keeps_its_history_under_the_new_mint(traded: Position):
    before = PositionEvent.objects.count()
    moved = migrate_token(
        position_id=traded.pk,
        token_address=WIF,
        token_symbol="NEW",
        ratio=Decimal("0.001"),
        transaction_id="m",
    )
    traded.refresh_from_db()
    assert (moved.pk, traded.token_address, traded.token_symbol) == (traded.pk, WIF, "NEW")
    assert (traded.purchase_amount, traded.remaining_amount, traded.moon_bag_amount) == (1000, 500, 500)
    assert traded.purchase_price == Decimal("0.002")
    assert (traded.peak_price, traded.lowest_price) == (Decimal("0.008"), Decimal("0.001"))
    assert (traded.total_invested_sol, traded.realized_profit_sol) == (2, 2)
    assert traded.take_profit_levels_hit == 1
    [event] = PositionEvent.objects.order_by("seq")[before:]
    assert event.position is not None
    assert (event.event_type, event.position["token_address"]) == ("position_updated", WIF)
    assert (event.position["peak_price"], event.position["remaining_amount"]) == ("0.008", "500")
    sides = Trade.objects.order_by("executed_at").values_list("side", "tokens", "sol")
    assert list(sides) == [
        ("purchase", Decimal(1_000_000), Decimal(2)),
        ("sale", Decimal(500_000), Decimal(3)),
        ("migration", Decimal(500), Decimal(1)),
    ]
    assert fold(Trade.objects.order_by("executed_at")).holding == traded.holding


def test_what_is_sold_afterwards_is_profit_over_the_old_cost(traded: Position):
    migrate_token(position_id=traded.pk, token_address=WIF, ratio=Decimal("1.0000001"))
    buy_more(position_id=traded.pk, tokens=Decimal(1), spent_sol=Decimal("0.5"))
    closed = close_position(position_id=traded.pk, proceeds_sol=Decimal(2))
    assert (closed.status, closed.realized_profit_sol) == ("closed", Decimal("2.5"))  # 3 + 2 - 2 - 0.5


def test_sale_price_is_that_of_the_last_mint(traded: Position):
    migrate_token(position_id=traded.pk, token_address=WIF, ratio=Decimal("0.001"))
    closed = close_position(position_id=traded.pk, proceeds_sol=Decimal(5))
    assert sale_prices([closed]) == {closed.pk: Decimal("0.01")}


def test_amount_is_rounded_to_the_new_mint_s_decimals(traded: Position):
    Mint.objects.create(address=WIF, decimals=2)
    moved = migrate_token(position_id=traded.pk, token_address=WIF, ratio=Decimal("0.00000333"))
    assert moved.remaining_amount == Decimal("1.66")  # of 1.665
    assert moved.purchase_price * moved.remaining_amount == pytest.approx(1, rel=Decimal("1e-20"))
    Mint.objects.create(address=JUP, decimals=2)
    with pytest.raises(
        InvalidAmount, match=r"^ratio: tokens must be at least 0\.01, not 0\.00000166, which rounds to 0$"
    ):
        migrate_token(position_id=traded.pk, token_address=JUP, ratio=Decimal("1e-6"))


def test_symbol_alone_is_one_event_and_no_trade(position: Position):
    migrate_token(position_id=position.pk, token_symbol="BONK2\0")
    migrate_token(position_id=position.pk, token_symbol="BONK2")
    position.refresh_from_db()
    assert (position.token_address, position.token_symbol) == (BONK, "BONK2")
    assert PositionEvent.objects.count() == 2
    assert Trade.objects.count() == 1


def test_symbol_that_stood_in_for_the_old_address_stands_in_for_the_new_one(position: Position):
    migrate_token(position_id=position.pk, token_symbol="")
    assert migrate_token(position_id=position.pk, token_address=WIF).token_symbol == "EKpQ…zcjm"


def test_repeat_books_nothing_more(position: Position):
    again: dict[str, Any] = {"position_id": position.pk, "token_address": WIF, "ratio": Decimal(10)}
    for _ in range(2):
        assert migrate_token(**again, transaction_id="m").remaining_amount == 10_000_000
    with pytest.raises(PositionsError, match=rf"^ratio must be 1 where the mint stays {WIF}, not 10$"):
        migrate_token(**again)
    assert Trade.objects.count() == 2


def test_nothing_is_booked_before_it(position: Position):
    opened = position.created_at
    migrate_token(position_id=position.pk, token_address=WIF)
    with pytest.raises(PositionsError, match=r"^executed_at: a migration of .* states what was held then"):
        buy_more(
            position_id=position.pk,
            tokens=Decimal(1),
            spent_sol=Decimal(1),
            executed_at=opened + timedelta(microseconds=1),
        )


def test_token_that_the_wallet_holds_is_refused_unless_only_dust_is_left(position: Position, wallet: Wallet):
    other = open_position(wallet=wallet, token_address=WIF, tokens=Decimal(1), spent_sol=Decimal(1))
    with pytest.raises(AlreadyOpen, match=f"^{wallet.pk} already has an open position in {WIF}$"):
        migrate_token(position_id=position.pk, token_address=WIF)
    Position.objects.filter(pk=other.pk).update(remaining_amount=Decimal("1e-10"))
    assert migrate_token(position_id=position.pk, token_address=WIF).token_address == WIF
    other.refresh_from_db()
    assert other.status == "closed"


@pytest.mark.parametrize(
    ("changes", "message", "field"),
    [
        ({"token_address": None}, "token_address or a symbol is required", "token_address"),
        ({"token_address": "0x1"}, "token_address: “0x1” is not a Solana address", "token_address"),
        (
            {"token_symbol": "S" * 33},
            "token_symbol must have at most 32 characters; it has 33",
            "token_symbol",
        ),
        ({"ratio": Decimal(0)}, "ratio must be more than 0, not 0", "ratio"),
        ({"ratio": Decimal("1e12")}, "ratio must be less than 1000000000000, not 1000000000000", "ratio"),
        ({"ratio": 2}, "ratio must be a Decimal, not int", "ratio"),
        ({"ratio": Decimal("NaN")}, "ratio must be a finite number, not NaN", "ratio"),
    ],
)
def test_bad_argument_is_refused_by_name(
    position: Position, changes: dict[str, Any], message: str, field: str
):
    arguments: dict[str, Any] = {"position_id": position.pk, "token_address": WIF} | changes
    with pytest.raises(PositionsError) as refused:
        migrate_token(**arguments)
    assert refused.value.message.startswith(message)
    assert refused.value.field == field
    position.refresh_from_db()
    assert (position.token_address, PositionEvent.objects.count()) == (BONK, 1)


def test_closed_position_is_refused(position: Position):
    close_position(position_id=position.pk, proceeds_sol=Decimal(1))
    with pytest.raises(PositionClosed):
        migrate_token(position_id=position.pk, token_address=WIF)


def test_last_price_stands_in_for_that_of_the_new_mint(position: Position):
    put(quote(BONK, "0.000003", "0.00045"), sol_usd=Decimal(150))
    migrate_token(position_id=position.pk, token_address=WIF, ratio=Decimal("0.01"))
    stood_in = newest_prices([WIF]).quotes[WIF]
    assert (stood_in.price, stood_in.price_usd) == (Decimal("0.0003"), Decimal("0.045"))
    assert stood_in.status == "stale"  # its time is that of the old price
    migrate_token(position_id=position.pk, token_address=JUP)
    LastQuote.objects.filter(pk=WIF).update(price=Decimal(1))
    migrate_token(position_id=position.pk, token_address=WIF)
    assert newest_prices([WIF]).quotes[WIF].price == 1  # known by itself


def test_command_migrates_every_position_that_holds_the_token(position: Position, agent, bobs_bonk: Position):
    out, err = StringIO(), StringIO()
    open_position(wallet=bobs_bonk.wallet, token_address=WIF, tokens=Decimal(1), spent_sol=Decimal(1))
    with pytest.raises(CommandError, match=r"^1 of 2 positions were not migrated\.$"):
        call_command("migrate_token", BONK, mint=WIF, symbol="NEW", ratio="1e-2", stdout=out, stderr=err)
    assert out.getvalue() == f"NEW in {position.wallet_id}: 10000 {WIF}\n"
    message = f"{bobs_bonk.wallet_id} already has an open position in {WIF}"
    assert err.getvalue() == f"Position {bobs_bonk.pk} was not migrated: {message}.\n"


@pytest.mark.parametrize(
    ("token", "options", "message"),
    [
        (JUP, {"mint": WIF}, f"No open position holds {JUP}."),
        (BONK, {"mint": WIF, "ratio": "ten"}, 'ratio must be a number, such as 0.25 or 1.2e-7, not "ten"'),
        (BONK, {}, "1 of 1 positions were not migrated."),
    ],
)
def test_command_says_what_is_wrong(position: Position, token: str, options: dict[str, str], message: str):
    with pytest.raises(CommandError) as failed:
        call_command("migrate_token", token, **options, stderr=StringIO())
    assert str(failed.value) == message


@pytest.fixture
def bobs_bonk(bob) -> Position:
    wallet = Wallet.objects.create(agent=Agent.objects.create(owner=bob, name="beta"), address="Beta")
    return open_position(
        wallet=wallet, token_address=BONK, token_symbol="BONK", tokens=Decimal(5), spent_sol=Decimal(1)
    )
