"""Events stored by another release: this one reads those of the first, and the next one reads those of this one."""

from __future__ import annotations

import asyncio
import json
import shutil
import sys
from collections.abc import Iterator
from decimal import Decimal
from functools import partial, reduce
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from asgiref.sync import async_to_sync, sync_to_async
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from websockets.asyncio.client import ClientConnection, connect

from positions import services, valkey
from positions.api.errors import camel
from positions.models import Agent, Position, PositionEvent, Wallet
from positions.prices.openings import put_openings
from testbed import forkserver
from testbed.processes import PATIENCE_SECONDS, ROOT
from tests.conftest import BONK, WIF, fresh_token, quote
from tests.live import Server, access_token, client, watching
from tests.positions.api.conftest import Api
from tests.positions.old_events import OLD_EVENTS, store

in_thread = sync_to_async
# Numbers as their digits.
read = partial(json.loads, parse_float=str, parse_int=str)


def as_sent(rows: list[dict[str, Any]] = OLD_EVENTS) -> list[dict[str, Any]]:
    """Return the old events as sent to clients, without their times."""
    sent = []
    for row in read(json.dumps(rows)):
        event = {"eventType": row["event_type"], "seq": row["seq"]}
        if row["position"] is None:
            event["positionId"] = row["position_id"]
        else:
            event["position"] = {camel(name): value for name, value in row["position"].items()}
        sent.append(event)
    return sent


def stored_part(event: dict[str, Any]) -> dict[str, Any]:
    """Return an event without its time, and its position without what it is worth."""
    known = {camel(name) for name in OLD_EVENTS[0]["position"]}
    # REST says why, too, where that is known.
    sent = {name: value for name, value in event.items() if name not in ("timestamp", "note")}
    if "position" in sent:
        sent["position"] = {name: value for name, value in sent["position"].items() if name in known}
    return sent


# Those of the first release


async def test_old_events_are_replayed_to_a_client_that_comes_back(server, alice):
    # Of a token whose price the server has heard, the highest price would be in them, too.
    text = json.dumps(OLD_EVENTS)
    rows = json.loads(reduce(lambda text, token: text.replace(token, fresh_token()), (BONK, WIF), text))
    agent = await in_thread(store)(alice, rows)
    query = {"token": access_token(alice), "agentId": str(agent.pk), "lastSeq": "0"}
    async with client(server, query=query) as socket:
        await socket.expect("connected")
        assert (await socket.expect("subscribed"))["data"]["recovered"] is True
        sent = []
        for _ in OLD_EVENTS:
            await socket.until("position_update")  # between them, the price of a token where one is known
            sent.append(stored_part(read(socket.raw)["data"]))
        assert sent == as_sent(rows)


@pytest.mark.django_db
def test_old_events_are_listed_over_rest(alice):
    agent = store(alice)
    answer = Api(alice).get(f"agents/{agent.pk}/events/")
    assert answer.status == 200, answer.text
    assert [stored_part(event) for event in read(answer.text)["events"]] == as_sent()


@pytest.mark.django_db
def test_old_events_say_what_was_earned_when_the_day_began(alice):
    agent = store(alice)
    moon_bag = OLD_EVENTS[3]["position"]
    figures = {
        name: Decimal(moon_bag[name]) for name in ("purchase_price", "purchase_amount", "total_invested_sol")
    }
    wallet = Wallet.objects.create(agent=agent, address=moon_bag["wallet_address"])

    async def begin_the_day() -> None:
        await put_openings([quote(BONK, "0.000003")])
        await valkey.close_async_client()

    PositionEvent.objects.filter(agent=agent).update(created_at=timezone.now())
    async_to_sync(begin_the_day)()
    # Sold since, at a loss: that is of today.
    Position.objects.create(
        pk=moon_bag["id"],
        agent=agent,
        wallet=wallet,
        token_address=BONK,
        token_symbol="BONK",
        remaining_amount=Decimal(0),
        realized_profit_sol=Decimal(-1),
        **figures,
    )
    today = Api(alice).get(f"agents/{agent.pk}/results/").data["today"]
    unrealised = (Decimal("0.000003") - figures["purchase_price"]) * Decimal(moon_bag["remaining_amount"])
    assert today["startProfitSol"] == round(Decimal(moon_bag["realized_profit_sol"]) + unrealised, 9)


@pytest.mark.django_db
def test_old_events_are_shown_and_exported_in_the_admin(alice):
    store(alice)
    admin = Client()
    admin.force_login(User.objects.create(username="root", is_staff=True, is_superuser=True))
    listing = reverse("admin:positions_positionevent_changelist")
    assert admin.get(listing).status_code == 200
    for row in OLD_EVENTS:
        page = admin.get(reverse("admin:positions_positionevent_change", args=[row["id"]])).content.decode()
        assert ("A1pha1111" in page) == (row["position"] is not None)
    chosen = {"action": "export_selected", "_selected_action": [row["id"] for row in OLD_EVENTS]}
    exported = admin.post(listing, chosen)
    assert exported.status_code == 200


# Of the next release, with one field more


class NextRelease:
    """This project with a field more of positions, a column, which is stored as docs/adr/0007 says."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "next"
        for package in ("nexgent", "positions", "realtime"):
            shutil.copytree(ROOT / package, self.root / package)  # what is compiled, too, and still valid
        shutil.copy(ROOT / "manage.py", self.root)
        self._replace(
            "positions/books/snapshots.py",
            "    updated_at: Timestamp\n",
            "    updated_at: Timestamp\n    note: str | None\n",
        )
        self._replace(
            "positions/books/snapshots.py",
            '"tp_batch_start_level": None},\n',
            '"tp_batch_start_level": None},\n    lambda data: {**data, "note": None},\n',
        )
        self._replace(
            "positions/books/live.py",
            """        f',"updatedAt":"{data["updated_at"]}"'\n""",
            """        f',"updatedAt":"{data["updated_at"]}","note":{_text_or_null(data["note"])}'\n""",
        )
        field = 'note = models.TextField(null=True, db_default="new")'
        self._replace("positions/models/positions.py", "    objects =", f"    {field}\n    objects =")

    def _replace(self, path: str, old: str, new: str) -> None:
        text = (self.root / path).read_text(encoding="utf-8")
        assert text.count(old) == 1, f"{path} has not one {old!r}"
        (self.root / path).write_text(text.replace(old, new), encoding="utf-8")

    def shell(self, code: str, environment: dict[str, str]) -> None:
        command = [sys.executable, "manage.py", "shell", "-v", "0", "-c", code]
        done = forkserver.run(command, cwd=self.root, env=environment, timeout=3 * PATIENCE_SECONDS)
        assert done.returncode == 0, done.stderr


@pytest.fixture
def next_release(transactional_db, tmp_path: Path) -> Iterator[NextRelease]:
    """Its migration has run, as it does before the first of its servers starts."""
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE positions_position ADD COLUMN note text DEFAULT 'new'")
    yield NextRelease(tmp_path)
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE positions_position DROP COLUMN note")


@pytest.fixture
def next_server(next_release: NextRelease, tmp_path: Path) -> Iterator[Server]:
    with Server("uvicorn", log=tmp_path / "log", root=next_release.root) as running:
        yield running


async def until(socket: ClientConnection, kind: str) -> dict[str, Any]:
    """Return the data of the next message of this type, which may have fields that this release does not describe."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            message = json.loads(await socket.recv())
            if message["type"] == kind:
                return dict(message["data"])


async def resumed(server: Server, user: User, agent: Agent, after: int, count: int) -> list[dict[str, Any]]:
    """Return the events that a client of the server gets that comes back with `after`."""
    query = {"token": access_token(user), "agentId": str(agent.pk), "lastSeq": str(after)}
    async with connect(f"{server.ws_url}?{urlencode(query)}", open_timeout=PATIENCE_SECONDS) as socket:
        assert (await until(socket, "subscribed"))["recovered"] is True
        return [await until(socket, "position_update") for _ in range(count)]


async def test_field_more_makes_no_stored_event_unreadable(next_server, alice):
    """A field needs its name, one step and its place in what is sent: events of the first release then have it, too."""
    agent = await in_thread(store)(alice)
    events = await resumed(next_server, alice, agent, 0, len(OLD_EVENTS))
    assert [event["position"]["note"] for event in events if "position" in event] == [None] * 5
    assert [stored_part(read(json.dumps(event))) for event in events][-1] == as_sent()[-1]


async def test_releases_side_by_side_read_what_the_other_stores_and_sends(
    next_release, next_server, server, alice, agent, position
):
    query = {"token": access_token(alice), "agentId": str(agent.pk)}

    def move(percentage: int) -> str:
        return (
            "from positions import services; from decimal import Decimal;"
            f"services.move_stop_loss(position_id='{position.pk}', percentage=Decimal({percentage}))"
        )

    # What the next one writes: received live here, replayed, and listed.
    async with watching(server, alice, agent) as socket:
        await in_thread(next_release.shell)(move(-1), next_server.environment)
        update = (await socket.expect("position_update"))["data"]
        assert (update["seq"], update["position"]["currentStopLossPercentage"]) == (2, -1)
    assert await PositionEvent.objects.filter(position__note="new").acount() == 1
    assert [event["seq"] for event in await resumed(server, alice, agent, 1, 1)] == [2]
    listed = await in_thread(Api(alice).get)(f"agents/{agent.pk}/events/")
    assert [event["seq"] for event in listed.data["events"]] == [1, 2]
    # What this one writes: received live there, and replayed.
    url = f"{next_server.ws_url}?{urlencode(query)}"
    async with connect(url, open_timeout=PATIENCE_SECONDS) as socket:
        assert (await until(socket, "initial_data"))["positions"][0]["note"] == "new"
        await in_thread(services.move_stop_loss)(position_id=position.pk, percentage=Decimal(-2))
        received = await until(socket, "position_update")
    replayed = await resumed(next_server, alice, agent, 0, 3)
    assert received["position"]["note"] is None
    assert [event["position"]["note"] for event in replayed] == [None, "new", None]
