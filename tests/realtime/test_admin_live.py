"""The admin against real servers: exports that stream, and sockets that an operator disconnects."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from decimal import Decimal

import httpx
import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth.models import User
from django.contrib.sessions.backends.db import SessionStore

from positions.admin import export
from positions.admin.export import as_csv
from positions.models import Agent, Position, PositionEvent
from positions.prices.cache import put_prices
from positions.prices.quotes import Market
from positions.services import close_position, move_stop_loss, open_position
from realtime.hub.presence import Connected
from tests.conftest import WIF, quote
from tests.live import NO_TLS, PATIENCE_SECONDS, Server, access_token, client, watching
from tests.realtime.test_watchers import are_counted


@pytest.fixture
def session_key(transactional_db) -> str:
    """The session of a superuser, without the third of a second that a password costs."""
    root = User.objects.create(username="root", is_staff=True, is_superuser=True)
    session = SessionStore()
    session["_auth_user_id"] = str(root.pk)
    session["_auth_user_backend"] = "positions.accounts.logins.LockingBackend"
    session["_auth_user_hash"] = root.get_session_auth_hash()
    session.create()
    return str(session.session_key)


@asynccontextmanager
async def operator(server: Server, session_key: str) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(
        verify=NO_TLS, base_url=server.url, timeout=PATIENCE_SECONDS, follow_redirects=True
    ) as http:
        http.cookies.set("sessionid", session_key)
        await http.get("/admin/positions/position/")  # for the csrftoken
        yield http


async def act(http: httpx.AsyncClient, model: str, action: str, *keys: object) -> httpx.Response:
    form = {
        "action": action,
        "_selected_action": [str(key) for key in keys],
        "csrfmiddlewaretoken": http.cookies["csrftoken"],
    }
    return await http.post(f"/admin/positions/{model}/", data=form, headers={"Referer": str(http.base_url)})


async def test_positions_are_exported_digit_for_digit_and_start_no_formula(
    server, session_key, wallet, position
):
    @sync_to_async
    def prepare() -> Position:
        close_position(position_id=position.pk, proceeds_sol=Decimal("2.5"), reason="=HYPERLINK(1)")
        return open_position(
            wallet=wallet,
            token_address=WIF,
            token_symbol='+W"F,',
            tokens=Decimal("1.000000001"),
            spent_sol=Decimal(3),
            stop_loss_percentage=Decimal(-20),
        )

    wif = await prepare()
    pool = Market("thin", Decimal(900), Decimal(3), Decimal("0.4"))
    await put_prices([replace(quote(WIF, "3.5"), market=pool)])
    async with operator(server, session_key) as http:
        answer = await act(http, "position", "export_selected", position.pk, wif.pk)
    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == "text/csv; charset=utf-8"
    assert answer.headers["Content-Disposition"].startswith('attachment; filename="positions-2')
    found = {row["id"]: row for row in csv.DictReader(io.StringIO(answer.text, newline=""))}
    assert len(found) == 2
    bought, sold = found[str(wif.pk)], found[str(position.pk)]
    assert (bought["owner"], bought["agent"], bought["wallet_id"]) == ("alice", "alpha", wallet.pk)
    assert (bought["token_symbol"], bought["remaining_amount"]) == ("'+W\"F,", "1.000000001")
    assert (bought["current_stop_loss_percentage"], bought["closed_at"]) == ("-20", "")
    assert (bought["current_price"], bought["price_status"], bought["liquidity_usd"]) == (
        "3.5",
        "thin",
        "900",
    )
    assert (bought["position_value_sol"], bought["exit_value_sol"]) == ("3.500000004", "0.1")
    assert (sold["current_price"], sold["price_status"], sold["exit_value_sol"]) == ("", "", "")
    assert (sold["status"], sold["close_reason"], sold["realized_profit_sol"]) == (
        "closed",
        "'=HYPERLINK(1)",
        "0.5",
    )


async def test_events_are_exported_with_the_position_after_each(server, session_key, agent, position):
    await sync_to_async(move_stop_loss)(position_id=position.pk, percentage=Decimal(-5))
    keys = [key async for key in PositionEvent.objects.values_list("pk", flat=True)]
    async with operator(server, session_key) as http:
        answer = await act(http, "positionevent", "export_selected", *keys)
    found = list(csv.DictReader(io.StringIO(answer.text, newline="")))
    assert {(row["agent_id"], row["seq"]) for row in found} == {(str(agent.pk), "1"), (str(agent.pk), "2")}
    last = max(found, key=lambda row: row["seq"])
    assert json.loads(last["position"])["current_stop_loss_percentage"] == "-5"


async def test_export_is_written_in_chunks_while_rows_are_read(transactional_db, monkeypatch, position):
    monkeypatch.setattr(export, "ROWS_PER_CHUNK", 2)
    for number in range(4):
        await sync_to_async(move_stop_loss)(position_id=position.pk, percentage=Decimal(-5 - number))
    response = as_csv(PositionEvent.objects.order_by("seq"), [("seq", lambda row: row.seq)], name="x")
    chunks = [chunk.decode() async for chunk in response]
    assert chunks == ["seq\r\n1\r\n2\r\n", "3\r\n4\r\n", "5\r\n"]


async def test_export_of_someone_who_may_not_look_is_refused(server, transactional_db, alice, position):
    await User.objects.filter(pk=alice.pk).aupdate(is_staff=True)
    session = SessionStore()
    session["_auth_user_id"], session["_auth_user_backend"] = (
        str(alice.pk),
        "positions.accounts.logins.LockingBackend",
    )
    session["_auth_user_hash"] = alice.get_session_auth_hash()
    await session.acreate()
    async with operator(server, str(session.session_key)) as http:
        assert (await http.get("/admin/positions/position/")).status_code == 403
        http.cookies.setdefault("csrftoken", "x" * 32)
        answer = await act(http, "position", "export_selected", position.pk)
    assert answer.status_code == 403


async def test_disconnected_socket_is_closed_with_1013_and_may_come_back(
    server, session_key, alice, agent, position
):
    other = await Agent.objects.acreate(owner=alice, name="beta")
    query = {"token": access_token(alice), "agentId": str(agent.pk), "mode": "watch"}
    async with (
        watching(server, alice, agent) as one,
        watching(server, alice, other) as bystander,
        client(server, query=query) as watcher,
    ):
        await watcher.until("initial_data")
        await are_counted({agent.pk: Connected(owners=1, watchers=1)})
        async with operator(server, session_key) as http:
            page = await act(http, "agent", "disconnect_selected", agent.pk)
        assert "1 owning socket of 1 agent disconnected; clients reconnect by themselves." in page.text
        code, reason, messages = await one.closed()
        assert (code, reason) == (1013, "Try again later")
        assert messages[-1]["data"]["reconnect"] is True
        await watcher.send(type="ping")
        await watcher.expect("pong")
        async with operator(server, session_key) as http:
            page = await act(http, "agent", "disconnect_watchers", agent.pk)
        assert "1 watcher of 1 agent disconnected" in page.text
        assert (await watcher.closed())[:2] == (1013, "Try again later")
        async with watching(server, alice, agent):
            await bystander.send(type="ping")
            await bystander.expect("pong")
