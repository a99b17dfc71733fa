from __future__ import annotations

from decimal import Decimal

import pytest
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.utils import timezone

from positions.books.accounting import Holding
from positions.models import Agent, Mode, Position, Wallet
from positions.services import close_position, open_position
from tests.conftest import BONK, WIF

pytestmark = pytest.mark.django_db


def unsaved(wallet: Wallet, **fields) -> Position:
    position = Position(agent_id=wallet.agent_id, wallet=wallet, token_address=BONK, token_symbol="BONK")
    position.holding = Holding(Decimal(1), Decimal(1), Decimal(1), Decimal(1))
    for name, value in fields.items():
        setattr(position, name, value)
    return position


def test_second_open_position_of_a_wallet_and_token_is_refused_by_the_database(position: Position):
    with pytest.raises(IntegrityError), transaction.atomic():
        unsaved(position.wallet).save()
    assert list(Position.objects.all()) == [position]


def test_second_open_position_of_a_wallet_and_token_is_refused_by_validation(position: Position):
    with pytest.raises(ValidationError) as refused:
        unsaved(position.wallet).full_clean()
    assert refused.value.messages == ["This wallet already has an open position in this token."]


def test_closed_positions_of_a_wallet_and_token_may_be_many(position: Position):
    for _ in range(2):
        close_position(position_id=position.pk, proceeds_sol=Decimal(1))
        position = open_position(
            wallet=position.wallet,
            token_address=BONK,
            token_symbol="BONK",
            tokens=Decimal(1),
            spent_sol=Decimal(1),
        )
    assert [Position.objects.open().count(), Position.objects.count()] == [1, 3]


def test_open_position_of_another_wallet_or_token_is_another_position(agent: Agent, position: Position):
    live = Wallet.objects.create(
        agent=agent, address="A1phaLive11111111111111111111111111111111111", kind=Mode.LIVE
    )
    unsaved(live).save()
    unsaved(position.wallet, token_address=WIF).save()
    assert Position.objects.open().count() == 3


@pytest.mark.parametrize("fields", [{"status": "closed"}, {"closed_at": timezone.now()}])
def test_closed_without_its_time_or_open_with_one_is_refused(wallet: Wallet, fields):
    with pytest.raises(IntegrityError, match="position_closed_at_says_closed"), transaction.atomic():
        unsaved(wallet, **fields).save()
    with pytest.raises(ValidationError) as refused:
        unsaved(wallet, **fields).full_clean()
    assert refused.value.messages == ["A closed position has a closing time, an open one has none."]


def test_addresses_keep_their_case(wallet: Wallet):
    unsaved(wallet).save()
    unsaved(wallet, token_address=BONK.swapcase()).save()
    other = Wallet.objects.create(agent=wallet.agent, address=wallet.address.swapcase(), kind=Mode.LIVE)
    assert set(Position.objects.values_list("token_address", flat=True)) == {BONK, BONK.swapcase()}
    assert Position.objects.get(token_address=BONK).wallet_id == wallet.address
    assert Wallet.objects.get(address=wallet.address.swapcase()) == other != wallet


@pytest.mark.parametrize("address", ["0xabc", "OOO", "I1", "l1", "two words", "tab\t", f"{BONK}\n", "é"])
def test_address_that_is_not_base58_is_refused(agent: Agent, address: str):
    message = f"“{address}” is not a Solana address: base58 has no 0, O, I, l or other signs."
    with pytest.raises(ValidationError) as refused:
        Wallet(agent=agent, address=address).full_clean()
    assert refused.value.message_dict == {"address": [message]}


def test_agent_has_several_wallets_of_a_kind(wallet: Wallet):
    second = Wallet(
        agent=wallet.agent, address="A1phaSecond1111111111111111111111111111111", kind=wallet.kind
    )
    second.full_clean()
    second.save()
    assert set(wallet.agent.wallets.all()) == {wallet, second}


def test_position_in_a_wallet_of_another_agent_is_refused_by_validation(position: Position, bob):
    position.agent = Agent.objects.create(owner=bob, name="stranger")
    with pytest.raises(ValidationError) as refused:
        position.full_clean()
    assert refused.value.message_dict == {"wallet": ["This wallet belongs to another agent."]}


def test_holding_of_a_position_is_its_cost_side(position: Position):
    assert Position.objects.get(pk=position.pk).holding == Holding(
        purchase_price=Decimal("0.000002"),
        purchase_amount=Decimal(1_000_000),
        remaining_amount=Decimal(1_000_000),
        total_invested_sol=Decimal(2),
        realized_profit_sol=Decimal(0),
    )
