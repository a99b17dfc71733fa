"""The database returns every digit, on PostgreSQL and on SQLite (NEXGENT_TEST_DATABASE=sqlite)."""

from __future__ import annotations

from decimal import Decimal, localcontext

import pytest
from django.core.exceptions import ValidationError
from django.db import DatabaseError, IntegrityError, transaction

from positions.models import Agent, Position

pytestmark = pytest.mark.django_db

AMOUNTS = [
    "0.000000000000000000",
    "0.000000000000000001",
    "0.000000123400000000",
    "0.100000000000000000",
    "1234567.123456789012345678",
    "999999999999999999999.999999999999999999",
]
PRICES = [
    "0.000000000000000000000000000000",
    "0.000000000000000000000000000001",
    "0.000000000000012310722383110000",
    "1234567.123456789012345678901234567890",
    "999999999999.999999999999999999999999999999",
]
SUMS = ["-99999999999.999999999", "-0.000000001", "0.000000000", "0.000000001", "99999999999.999999999"]
NOT_NEGATIVE = [
    "purchase_price",
    "purchase_amount",
    "total_invested_sol",
    "remaining_amount",
    "peak_price",
    "lowest_price",
    "moon_bag_amount",
]


@pytest.mark.parametrize("digits", AMOUNTS)
def test_amount_of_39_digits_comes_back_digit_for_digit(position: Position, digits: str):
    position.remaining_amount = position.moon_bag_amount = Decimal(digits)
    position.save()
    fresh = Position.objects.get(pk=position.pk)
    assert (f"{fresh.remaining_amount:f}", f"{fresh.moon_bag_amount:f}") == (digits, digits)


@pytest.mark.parametrize("digits", PRICES)
def test_price_of_42_digits_comes_back_digit_for_digit(position: Position, digits: str):
    position.purchase_price = Decimal(digits)
    position.save()
    assert f"{Position.objects.get(pk=position.pk).purchase_price:f}" == digits


@pytest.mark.parametrize("digits", SUMS)
def test_sum_of_sol_comes_back_to_the_lamport(position: Position, digits: str):
    Position.objects.filter(pk=position.pk).update(realized_profit_sol=Decimal(digits))
    assert f"{Position.objects.get(pk=position.pk).realized_profit_sol:f}" == digits


@pytest.mark.parametrize("digits", PRICES)
def test_price_is_found_by_its_digits(position: Position, digits: str):
    Position.objects.filter(pk=position.pk).update(purchase_price=Decimal(digits))
    assert Position.objects.filter(purchase_price=Decimal(digits)).exists()
    with localcontext(prec=50):
        other = Decimal(digits) + Decimal("1e-30")
    assert not Position.objects.filter(purchase_price=other).exists()


@pytest.mark.parametrize("digits", ["1", "1.5", "0.1000", "1E+3", "1E-30"])
def test_amount_written_in_another_way_is_the_same_amount(position: Position, digits: str):
    Position.objects.filter(pk=position.pk).update(purchase_price=Decimal(digits))
    in_full = Decimal(f"{Decimal(digits):.30f}")
    assert Position.objects.filter(purchase_price=in_full).exists()
    assert f"{Position.objects.get(pk=position.pk).purchase_price:f}" == f"{in_full:f}"


def test_amount_with_more_decimals_than_its_column_is_rounded_to_them(position: Position):
    Position.objects.filter(pk=position.pk).update(remaining_amount=Decimal("0.1234567890123456786"))
    assert Position.objects.get(pk=position.pk).remaining_amount == Decimal("0.123456789012345679")


def test_bulk_update_keeps_every_digit(position: Position):
    position.purchase_price = Decimal("1234567.123456789012345678")
    Position.objects.bulk_update([position], ["purchase_price"])
    assert Position.objects.get(pk=position.pk).purchase_price == Decimal("1234567.123456789012345678")


@pytest.mark.parametrize("name", NOT_NEGATIVE)
@pytest.mark.parametrize("number", ["-0.000000001", "-1", "-99999999999"])
def test_negative_amount_is_refused_by_the_database(position: Position, name: str, number: str):
    with pytest.raises(IntegrityError, match=f"position_{name}_not_negative"), transaction.atomic():
        Position.objects.filter(pk=position.pk).update(**{name: Decimal(number)})
    assert getattr(Position.objects.get(pk=position.pk), name) == getattr(position, name)


@pytest.mark.parametrize("name", NOT_NEGATIVE)
def test_zero_amount_is_accepted_by_the_database(position: Position, name: str):
    Position.objects.filter(pk=position.pk).update(**{name: Decimal(0)})
    assert getattr(Position.objects.get(pk=position.pk), name) == 0


@pytest.mark.parametrize("number", [Decimal("NaN"), Decimal("Infinity"), float("nan")])
def test_number_that_is_none_is_refused(position: Position, number):
    position.purchase_price = number
    with pytest.raises(ValidationError), transaction.atomic():
        position.save()
    assert Position.objects.get(pk=position.pk).purchase_price == Decimal("0.000002")


def test_number_too_large_for_its_column_is_refused(position: Position):
    position.remaining_amount = Decimal("1e21")
    # PostgreSQL refuses it itself; for SQLite, Django's conversion does.
    with pytest.raises((DatabaseError, ArithmeticError)), transaction.atomic():
        position.save()
    assert Position.objects.get(pk=position.pk).remaining_amount == 1_000_000


def test_event_seq_of_a_stale_agent_is_not_written_back(agent: Agent, position: Position):
    agent.name = "renamed"
    assert agent.event_seq == 0
    agent.save()
    agent.save(update_fields=["event_seq"])
    fresh = Agent.objects.get(pk=agent.pk)
    assert (fresh.name, fresh.event_seq) == ("renamed", 1)


def test_event_seq_of_a_new_agent_is_what_it_was_given(alice):
    assert Agent.objects.get(pk=Agent.objects.create(owner=alice, name="new", event_seq=7).pk).event_seq == 7
