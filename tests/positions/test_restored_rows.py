"""Rows that no write of ours makes, as a dump or SQL may bring them: they hide no other row, and crash nobody."""

from __future__ import annotations

import io
import json
from typing import Any, NoReturn

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.db import connection
from django.test import Client

from positions.books.snapshots import snapshot
from positions.models import Position, PositionEvent, Trade
from positions.services import close_position
from realtime.hub.holdings import read_holdings
from realtime.hub.missed import Gap, read_events
from realtime.protocol.envelopes import to_event
from tests.live import access_token

FAR, LONG_AGO = "9999-12-31 23:59:59+00:00", "0001-01-01 00:00:00+00:00"
BEYOND = ("infinity", "-infinity", "12026-01-01 00:00:00+00:00", "0044-03-15 00:00:00+00:00 BC")
"""Times that PostgreSQL has, and Python has not; on SQLite, text that is no time."""
TIMES = ("created_at", "updated_at", "last_trade_at", "last_dca_time")
FIGURES = (
    *("purchase_price", "purchase_amount", "remaining_amount", "total_invested_sol", "realized_profit_sol"),
    *("current_stop_loss_percentage", "cost_usd", "realized_profit_usd", "peak_price", "lowest_price"),
    "moon_bag_amount",
)
POSITIONS = {
    **{f"{name} NaN": {name: "NaN"} for name in FIGURES},
    "huge": {
        "purchase_price": f"{10**12 - 1}.{10**30 - 1}",
        "remaining_amount": f"{10**21 - 1}.{10**18 - 1}",
        "total_invested_sol": f"{10**11 - 1}.{10**9 - 1}",
    },
    "far": dict.fromkeys(TIMES, FAR),
    **{time: dict.fromkeys(TIMES, time) for time in BEYOND},
    "long ago": {"created_at": LONG_AGO},
    "ids": {"dca_transaction_ids": "5", "take_profit_transaction_ids": '{"a": 1}'},
    "no ids": {"dca_transaction_ids": "null"},
    "symbol": {"token_symbol": "\x1b[2J\u202e=1+1"},
    "token": {"token_address": "<script>\"'"},
}
EVENTS = {
    "number": {"position": "5"},
    "empty": {"position": "{}"},
    "version": {"position": '{"version": "x"}'},
    "type": {"event_type": "weird"},
    "far": {"created_at": FAR},
    "infinite": {"created_at": "infinity"},
}
TRADES = {
    "NaN": {"tokens": "NaN", "sol": "NaN", "fee_sol": "NaN", "sol_usd": "NaN"},
    "huge": {"tokens": f"{10**21 - 1}", "sol": f"{10**11 - 1}", "sol_usd": f"{10**11 - 1}"},
    "far": {"executed_at": FAR},
    "infinite": {"executed_at": "infinity", "recorded_at": "-infinity"},
    "side": {"side": "weird"},
}
REST = (
    *("agents/", "wallets/", "prices/", "positions/?status=all", "positions/{position}/", "trades/"),
    *("agents/{agent}/events/", "agents/{agent}/results/", "agents/{agent}/value-history/"),
)
ADMIN = (
    *("", "positions/agent/", "positions/agent/{agent}/change/", "positions/position/", "positions/trade/"),
    *("positions/position/{position}/change/", "positions/positionevent/", "positions/wallet/"),
)


def spoil(model: Any, **values: str) -> None:
    columns = ", ".join(f"{name} = %s" for name in values)
    with connection.cursor() as cursor:
        cursor.execute(f"UPDATE {model._meta.db_table} SET {columns}", list(values.values()))  # noqa: S608


def no_number(name: str) -> NoReturn:
    raise AssertionError(f"{name} is not JSON")


def read_everything(position: Position) -> str:
    """Read the position by every way; return what check_books says."""
    keys = {"position": position.pk, "agent": position.agent_id}
    owner = Client(headers={"Authorization": f"Bearer {access_token(position.agent.owner)}"})
    for path in REST:
        answer = owner.get(f"/api/{path.format(**keys)}")
        assert answer.status_code == 200, path
        json.loads(answer.content, parse_constant=no_number)
    held = read_holdings(str(position.agent_id), position.agent.owner_id)  # as the socket does
    assert held is not None
    assert [*held.positions()] == [snapshot(Position.objects.get(pk=position.pk))]
    [events] = read_events([Gap(str(position.agent_id), 0, 9)])
    readable = [event for event in PositionEvent.objects.order_by("seq") if event.is_readable]
    assert events == [to_event(event) for event in readable]
    staff = Client()
    staff.force_login(User.objects.create_superuser("root"))
    for path in ADMIN:
        assert staff.get(f"/admin/{path.format(**keys)}").status_code == 200, path
    call_command("export_trades", stdout=io.StringIO())
    said = io.StringIO()
    try:
        call_command("check_books", stdout=said)
    except CommandError:
        assert str(position.pk) in said.getvalue()
    return said.getvalue()


@pytest.mark.parametrize("values", POSITIONS.values(), ids=POSITIONS)
def test_position_is_read_by_every_way(position: Position, values: dict[str, str]):
    spoil(Position, **values)
    said = read_everything(position)
    if "NaN" in values.values() and values.keys() & {"purchase_price", "remaining_amount"}:
        assert f"{next(iter(values))}: stored" in said


@pytest.mark.parametrize("values", EVENTS.values(), ids=EVENTS)
def test_event_is_read_by_every_way(position: Position, values: dict[str, str]):
    spoil(PositionEvent, **values)
    read_everything(position)


@pytest.mark.parametrize("values", TRADES.values(), ids=TRADES)
def test_trade_is_read_by_every_way_and_named(position: Position, values: dict[str, str]):
    spoil(Trade, **values)
    assert str(position.pk) in read_everything(position)


@pytest.mark.parametrize("number", ["abc", "1e999999", "Infinity", f"{10**60}"])
def test_number_that_is_only_text_on_sqlite(position: Position, number: str):
    if connection.vendor == "sqlite":
        spoil(Position, purchase_price=number)
        assert "purchase_price: stored 0, " in read_everything(position)


def test_figure_that_is_no_number_can_be_put_right(position: Position):
    spoil(Position, purchase_price="NaN")
    close_position(position_id=position.pk, proceeds_sol=position.total_invested_sol)
    position.refresh_from_db()
    assert position.status == "closed"
