from __future__ import annotations

from decimal import Decimal

import pytest
from django.conf import LazySettings
from django.contrib.auth.models import User

from positions.books.snapshots import snapshot
from positions.errors import PositionsError
from positions.models import Agent, Position, PositionEvent, Wallet
from positions.services.demo import create_demo, create_replay_positions, made_up_address
from tests.conftest import BONK

pytestmark = pytest.mark.django_db

CANDLES = {"ADA": Decimal("0.0000529"), "DASH": Decimal("0.07553338"), "ETH": Decimal("0.0994766")}


@pytest.fixture(autouse=True)
def debug_mode(settings: LazySettings) -> None:
    settings.DEBUG = True  # Django's test runner turns it off


def everything() -> list[object]:
    rows = [snapshot(position) for position in Position.objects.order_by("pk")]
    return [
        rows,
        list(User.objects.values_list("username", "password")),
        list(Agent.objects.values_list("pk", "name", "event_seq")),
        list(Wallet.objects.values_list("pk", "agent")),
        list(PositionEvent.objects.values_list("pk", "seq")),
    ]


@pytest.mark.both_databases
def test_demo_made_twice_is_made_once():
    create_demo()
    before = everything()
    create_demo()
    assert everything() == before


def test_demo_leaves_what_was_changed_as_it_is():
    create_demo()
    user = User.objects.get()
    user.set_password("changed")
    user.save()
    Agent.objects.filter(name="Momentum").update(name="renamed")
    Position.objects.open().first().delete()  # type: ignore[union-attr]
    before = everything()
    create_demo()
    assert everything() == before


@pytest.mark.both_databases
def test_demo_makes_an_agent_again_that_was_deleted():
    create_demo()
    Agent.objects.get(name="Dip buyer").delete()
    create_demo()
    assert (Agent.objects.count(), Position.objects.open().count()) == (2, 15)


@pytest.mark.parametrize("make", [create_demo, lambda: create_replay_positions(CANDLES)])
def test_demo_outside_debug_mode_is_refused(settings: LazySettings, make):
    settings.DEBUG = False
    with pytest.raises(PositionsError) as refused:
        make()
    assert refused.value.message == "the demo needs debug mode: its password is public"
    assert not User.objects.exists()


def test_replay_positions_are_bought_at_exactly_the_prices_given():
    create_replay_positions(CANDLES)
    rows = Position.objects.open().filter(agent__name="Replay", agent__owner__username="demo")
    assert {row.token_symbol: row.purchase_price for row in rows} == CANDLES
    assert {row.token_symbol: row.remaining_amount for row in rows} == {
        "ADA": 100_000,
        "DASH": 100,
        "ETH": 100,
    }
    assert all(1 <= row.total_invested_sol < 10 for row in rows)
    assert Wallet.objects.get().kind == "simulation"
    for row in rows:
        row.full_clean()
        assert row.token_address == made_up_address(f"token {row.token_symbol}")
        assert 43 <= len(row.token_address) <= 44


def test_replay_positions_made_twice_are_made_once_and_new_symbols_are_added():
    create_replay_positions(CANDLES)
    before = everything()
    create_replay_positions({symbol: price * 2 for symbol, price in CANDLES.items()})
    assert everything() == before
    create_replay_positions(CANDLES | {"XMR": Decimal("0.026")})
    assert (Agent.objects.count(), Position.objects.open().count()) == (1, 4)


def test_replay_positions_exist_next_to_the_demo():
    create_demo()
    create_replay_positions(CANDLES)
    assert (User.objects.count(), Agent.objects.count(), Position.objects.open().count()) == (1, 3, 18)


def test_replay_position_of_an_address_is_held_under_this_address():
    create_replay_positions({BONK: Decimal("0.0000001309")})
    row = Position.objects.get()
    assert (row.token_address, row.token_symbol, row.purchase_price) == (
        BONK,
        "DezXAZ8z",
        Decimal("1.309E-7"),
    )


@pytest.mark.parametrize("price", ["0.000000000000000001", "999999999900", "1e-12", "123.456"])
@pytest.mark.both_databases
def test_replay_position_of_an_extreme_price_can_be_held(price: str):
    create_replay_positions({"ADA": Decimal(price)})
    assert Position.objects.get().purchase_price == Decimal(price)


@pytest.mark.parametrize("price", ["0", "-1", "NaN", "Infinity"])
def test_replay_position_of_no_price_is_refused_and_none_is_made(price: str):
    with pytest.raises(PositionsError) as refused:
        create_replay_positions(CANDLES | {"XMR": Decimal(price)})
    assert refused.value.message == f"XMR: {price} is not a price"
    assert not Position.objects.exists()
