"""What the demo consists of."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
from django.conf import LazySettings
from django.contrib.auth import authenticate
from django.contrib.auth.models import User
from django.core.management import call_command
from django.db.models import F
from django.utils import timezone

from positions.models import Agent, Position, Wallet
from positions.prices.simulated import START_PRICES
from positions.services.demo import create_demo
from positions.services.demo_stories import TOKENS
from tests.positions.world import check

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def debug_mode(settings: LazySettings) -> None:
    settings.DEBUG = True  # Django's test runner turns it off


@pytest.fixture(scope="module")
def demo(django_db_setup: None, running_valkey: None, django_db_blocker: Any) -> Iterator[None]:
    """Made once: the tests here only look at it."""
    with django_db_blocker.unblock():
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("django.conf.settings.DEBUG", True)
            create_demo()
        yield
        call_command("flush", interactive=False, verbosity=0)


def test_demo_has_a_user_two_agents_three_wallets_and_fifteen_open_positions(demo: None):
    user = authenticate(username="demo", password="demo")
    assert user == User.objects.get()
    assert not User.objects.filter(is_staff=True).exists()
    wallets = Wallet.objects.values_list("agent__name", "kind")
    assert sorted(wallets) == [
        ("Dip buyer", "simulation"),
        ("Momentum", "live"),
        ("Momentum", "simulation"),
    ]
    assert Agent.objects.filter(owner=user).count() == Agent.objects.count() == 2
    assert Position.objects.open().count() == 15
    assert Position.objects.exclude(status="open").count() == 4


def test_demo_positions_are_in_the_wallets_of_their_agents_and_pass_validation(demo: None):
    assert not Position.objects.exclude(agent=F("wallet__agent")).exists()
    for row in [*Position.objects.all(), *Wallet.objects.all(), *Agent.objects.all()]:
        row.full_clean()
    for agent in Agent.objects.all():
        check(agent.pk)


def test_demo_positions_are_in_real_tokens_at_plausible_prices(demo: None):
    for position in Position.objects.all():
        assert TOKENS[position.token_symbol][1] == position.token_address
        assert Decimal("0.3") < position.purchase_price / START_PRICES[position.token_address] < Decimal(2)
    assert set(START_PRICES) == {mint for _, mint in TOKENS.values()}


def test_demo_positions_win_and_lose_old_and_young_with_all_kinds_of_history(demo: None):
    rows = list(Position.objects.open())
    won = [START_PRICES[row.token_address] > row.purchase_price for row in rows]
    assert Counter(won)[True] >= 5
    assert Counter(won)[False] >= 5
    now = timezone.now()
    ages = [(now - row.created_at).total_seconds() for row in rows]
    assert min(ages) < 3600 < 86_400 < max(ages)
    assert sum(row.dca_count > 0 for row in rows) >= 4
    assert sum(row.take_profit_levels_hit > 0 for row in rows) >= 3
    assert sum(row.current_stop_loss_percentage is not None for row in rows) >= 8
    assert sum(row.moon_bag_activated for row in rows) == 1
    planned = [(row.take_profit_levels_hit, row.total_take_profit_levels) for row in rows]
    # One is followed, and one was to its end.
    assert {(2, 4), (2, 2)} <= {plan for plan in planned if plan[1]}
    closed = Position.objects.exclude(status="open")
    assert {row.close_reason for row in closed} == {"manual", "stop loss", "take profit"}
    assert {row.realized_profit_sol > 0 for row in closed} == {True, False}


def test_demo_history_lies_between_opening_and_now_and_counts_its_transactions(demo: None):
    now = timezone.now()
    for row in Position.objects.all():
        moments = [row.last_dca_time, row.last_take_profit_time, row.last_stop_loss_update, row.closed_at]
        assert all(row.created_at <= moment <= now for moment in moments if moment)
        assert bool(row.last_dca_time) == bool(row.dca_count) == bool(row.dca_transaction_ids)
        assert row.dca_count == len(row.dca_transaction_ids)
        if row.status == "open":
            assert row.take_profit_levels_hit == len(row.take_profit_transaction_ids)
    ids = [row.purchase_transaction_id for row in Position.objects.all()]
    ids += [key for row in Position.objects.all() for key in row.dca_transaction_ids]
    assert len(set(ids)) == len(ids)
    assert all(re.fullmatch("[1-9A-HJ-NP-Za-km-z]{80,88}", str(key)) for key in ids)


def test_demo_wallets_have_addresses_that_look_and_are_made_up(demo: None):
    for address in Wallet.objects.values_list("address", flat=True):
        assert re.fullmatch("Demo[1-9A-HJ-NP-Za-km-z]{39,40}", address)
