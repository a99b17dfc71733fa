"""Rows that no write of ours makes, as a dump or SQL may bring them: they hide no other row, and crash nobody."""

from __future__ import annotations

import io
import json
import re
from collections import deque
from decimal import Decimal
from typing import Any, NoReturn

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.db import connection
from django.test import Client

from positions.books.snapshots import snapshot
from positions.models import Agent, Position, PositionEvent, Trade, Wallet
from positions.services import close_position, open_position
from realtime.hub.holdings import read_holdings
from realtime.hub.missed import Gap, decoded, read_events
from realtime.protocol.envelopes import EventMessage, to_event
from tests.conftest import BONK
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
ROWS: dict[str, tuple[Any, dict[str, dict[str, str]]]] = {
    "figures that are no numbers": (Position, {name: {name: "NaN"} for name in FIGURES}),
    "huge figures": (
        Position,
        {
            "huge": {
                "purchase_price": f"{10**12 - 1}.{10**30 - 1}",
                "remaining_amount": f"{10**21 - 1}.{10**18 - 1}",
                "total_invested_sol": f"{10**11 - 1}.{10**9 - 1}",
            }
        },
    ),
    "times": (
        Position,
        {
            "far": dict.fromkeys(TIMES, FAR),
            **{time: dict.fromkeys(TIMES, time) for time in BEYOND},
            "long ago": {"created_at": LONG_AGO},
        },
    ),
    "texts": (
        Position,
        {
            "ids": {"dca_transaction_ids": "5", "take_profit_transaction_ids": '{"a": 1}'},
            "no ids": {"dca_transaction_ids": "null"},
            "symbol": {"token_symbol": "\x1b[2J\u202e=1+1"},
            "token": {"token_address": "<script>\"'"},
        },
    ),
    "events": (
        PositionEvent,
        {
            "number": {"position": "5"},
            "empty": {"position": "{}"},
            "version": {"position": '{"version": "x"}'},
            "type": {"event_type": "weird"},
            "far": {"created_at": FAR},
            "infinite": {"created_at": "infinity"},
        },
    ),
    "trades that are no numbers": (
        Trade,
        {"NaN": {"tokens": "NaN", "sol": "NaN", "fee_sol": "NaN", "sol_usd": "NaN"}},
    ),
    "huge trades": (
        Trade,
        {"huge": {"tokens": f"{10**21 - 1}", "sol": f"{10**11 - 1}", "sol_usd": f"{10**11 - 1}"}},
    ),
    "trades": (
        Trade,
        {
            "far": {"executed_at": FAR},
            "infinite": {"executed_at": "infinity", "recorded_at": "-infinity"},
            "side": {"side": "weird"},
        },
    ),
}
"""What is read together: rows of a model, and what is wrong with each. Other figures are in other sums."""
REST = ("agents/", "wallets/", "prices/", "positions/?status=all", "trades/")
REST_OF_ONE = (
    *("positions/{position}/", "agents/{agent}/events/"),
    *("agents/{agent}/results/", "agents/{agent}/value-history/"),
)
ADMIN = (
    *("", "positions/agent/", "positions/position/", "positions/trade/", "positions/positionevent/"),
    "positions/wallet/",
)
ADMIN_OF_ONE = ("positions/agent/{agent}/change/", "positions/position/{position}/change/")


def spoil(model: Any, row: Any = None, **values: str) -> None:
    """Change this row, or all, as SQL does."""
    columns = ", ".join(f"{name} = %s" for name in values)
    key = (
        None if row is None else model._meta.pk.get_db_prep_value(row.pk, connection)
    )  # SQLite keeps it as text
    where = "" if row is None else "WHERE id = %s"
    parameters = [*values.values(), *([] if row is None else [key])]
    with connection.cursor() as cursor:
        cursor.execute(f"UPDATE {model._meta.db_table} SET {columns} {where}", parameters)  # noqa: S608


def no_number(name: str) -> NoReturn:
    raise AssertionError(f"{name} is not JSON")


def read_everything(*positions: Position) -> str:
    """Read one owner's positions by every way; return what check_books says."""
    each = [{"position": position.pk, "agent": position.agent_id} for position in positions]
    owner = Client(headers={"Authorization": f"Bearer {access_token(positions[0].agent.owner)}"})
    for path in (*REST, *(path.format(**keys) for path in REST_OF_ONE for keys in each)):
        answer = owner.get(f"/api/{path}")
        assert answer.status_code == 200, path
        json.loads(answer.content, parse_constant=no_number)
    for position in positions:  # as the socket does
        held = read_holdings(str(position.agent_id), position.agent.owner_id)
        assert held is not None
        assert [*held.positions()] == [snapshot(Position.objects.get(pk=position.pk))]
        agent_id, events = str(position.agent_id), list[EventMessage]()
        [rows] = read_events([Gap(agent_id, 0, 9)])
        deque(decoded(agent_id, rows, events), maxlen=0)
        stored = PositionEvent.objects.filter(agent=position.agent_id).order_by("seq")
        assert events == [to_event(event) for event in stored if event.is_readable]
    staff = Client()
    staff.force_login(User.objects.create_superuser("root"))
    for path in (*ADMIN, *(path.format(**keys) for path in ADMIN_OF_ONE for keys in each)):
        assert staff.get(f"/admin/{path}").status_code == 200, path
    call_command("export_trades", stdout=io.StringIO())
    said = io.StringIO()
    try:
        call_command("check_books", stdout=said)
    except CommandError:
        assert any(str(position.pk) in said.getvalue() for position in positions)
    return said.getvalue()


@pytest.mark.parametrize(("model", "cases"), ROWS.values(), ids=ROWS)
def test_row_is_read_by_every_way(alice: User, model: Any, cases: dict[str, dict[str, str]]):
    """Each in an agent of its own."""
    positions = {}
    for number, (name, values) in enumerate(cases.items()):
        agent = Agent.objects.create(owner=alice, name=name)
        wallet = Wallet.objects.create(agent=agent, address=f"A1pha{number + 1}")
        position = positions[name] = open_position(
            wallet=wallet,
            token_address=BONK,
            token_symbol="BONK",
            tokens=Decimal(1_000_000),
            spent_sol=Decimal(2),
        )
        of_it = {} if model is Position else {"position_id": position.pk}
        spoil(model, model.objects.get(**(of_it or {"pk": position.pk})), **values)
    said = read_everything(*positions.values())
    if model is Trade:
        assert all(str(position.pk) in said for position in positions.values())
    for name in {"purchase_price", "remaining_amount"} & positions.keys():
        assert re.search(rf"^{positions[name].pk} .*{name}: stored", said, re.MULTILINE), name


@pytest.mark.parametrize("number", ["abc", "1e999999", "Infinity", f"{10**60}"])
def test_number_that_is_only_text_on_sqlite(position: Position, number: str):
    if connection.vendor == "sqlite":
        spoil(Position, purchase_price=number)
        assert "purchase_price: stored 0, " in read_everything(position)


@pytest.mark.parametrize(
    ("column", "texts"),
    {
        "realized_profit_sol": ["00.5", "+1.5", "1.2.3", "-0.000", "-0.50", "7", "1e-7", ".5", f"0.{'1' * 60}", " 1.5"],
        "created_at": [
            "2026-02-31 00:00:00", "2026-01-01 00:00:00", "2026-01-01T00:00:00+02:00", "2026-01-01 00:00:00.1+02:00",
            "2026-01-01", "20260101", "2026-01-01 00:00:00.9999", "0000-01-01 00:00:00", "", "infinity",
        ],
    }.items(),
)  # fmt: skip
def test_text_on_sqlite_that_django_would_not_write(position: Position, column: str, texts: list[str]):
    for text in texts if connection.vendor == "sqlite" else ():
        spoil(Position, **{column: text})
        held = read_holdings(str(position.agent_id), position.agent.owner_id)
        assert held is not None
        assert [*held.positions()] == [snapshot(Position.objects.get(pk=position.pk))], text


def test_figure_that_is_no_number_can_be_put_right(position: Position):
    spoil(Position, purchase_price="NaN")
    close_position(position_id=position.pk, proceeds_sol=position.total_invested_sol)
    position.refresh_from_db()
    assert position.status == "closed"
