"""Trades in the admin: to look at and export; a correction by hand is a trade of its own."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.test import Client
from django.urls import reverse

from positions.models import Agent, Position, PositionEvent, Trade
from positions.services import buy_more, take_profit
from tests.positions.test_admin import admin, form_of, listing, page_of, text  # noqa: F401  a fixture
from tests.positions.test_trades import books_hold

pytestmark = pytest.mark.django_db


def test_position_page_shows_its_newest_trades(admin: Client, position: Position):  # noqa: F811
    take_profit(
        position_id=position.pk, tokens=Decimal("0.5"), proceeds_sol=Decimal("0.25"), transaction_id="sale-1"
    )
    page = text(admin.get(page_of(position)))
    assert "sale-1" in page
    assert "newest 50 trades" in page.lower()


def test_figures_corrected_by_hand_are_a_balance(admin: Client, position: Position):  # noqa: F811
    before = PositionEvent.objects.count()
    data = form_of(admin.get(page_of(position))) | {"remaining_amount": "7"}
    assert admin.post(page_of(position), data).status_code == 302
    fresh = books_hold(position)
    assert (fresh.remaining_amount, fresh.purchase_amount) == (7, 1_000_000)
    first, second = fresh.trades.all()
    assert (first.side, second.side, second.tokens, second.reconstructed) == ("purchase", "balance", 7, False)
    assert PositionEvent.objects.count() == before + 1


def test_other_fields_edited_by_hand_are_no_trade(admin: Client, position: Position):  # noqa: F811
    data = form_of(admin.get(page_of(position))) | {"token_symbol": "Bonk"}
    assert admin.post(page_of(position), data).status_code == 302
    assert books_hold(position).trades.count() == 1


def test_trades_can_be_looked_at_and_nothing_else(admin: Client, position: Position):  # noqa: F811
    trade = position.trades.get()
    assert "1000000" in text(admin.get(page_of(trade)))
    assert admin.post(page_of(trade), {"sol": "3"}).status_code == 403
    assert admin.get(reverse("admin:positions_trade_add")).status_code == 403
    assert (
        admin.post(reverse("admin:positions_trade_delete", args=[trade.pk]), {"post": "yes"}).status_code
        == 403
    )
    admin.post(listing("trade"), {"action": "delete_selected", "_selected_action": [trade.pk], "post": "yes"})
    assert Trade.objects.get().sol == 2


def test_trades_go_with_their_agent(admin: Client, position: Position, agent: Agent):  # noqa: F811
    path = reverse("admin:positions_agent_delete", args=[agent.pk])
    Position.objects.update(status="closed", closed_at=position.created_at)
    assert admin.post(path, {"post": "yes"}).status_code == 302
    assert not Trade.objects.exists()


@pytest.mark.parametrize("query", ["buy-1", "BONK", "A1pha"])
def test_trades_are_found(admin: Client, position: Position, query: str):  # noqa: F811
    buy_more(position_id=position.pk, tokens=Decimal(1), spent_sol=Decimal(1), transaction_id="buy-1")
    assert "buy-1" in text(admin.get(listing("trade"), {"q": query}))


def test_trades_are_exported_digit_for_digit(admin: Client, position: Position):  # noqa: F811
    buy_more(
        position_id=position.pk,
        tokens=Decimal("0.123456789"),
        spent_sol=Decimal("0.000000001"),
        transaction_id="=1+1",
        sol_usd=Decimal("150.5"),
    )
    data = {"action": "export_selected", "_selected_action": [str(each.pk) for each in Trade.objects.all()]}
    response: Any = admin.post(listing("trade"), data)

    async def download() -> bytes:
        return b"".join([part async for part in response.streaming_content])

    lines = async_to_sync(download)().decode().splitlines()
    assert lines[0].startswith("executed_at,recorded_at,wallet_id,token_address,token_symbol,side,tokens,sol")
    assert "purchase,0.123456789,0.000000001,0,150.5,'=1+1," in lines[1]
    assert len(lines) == 3
