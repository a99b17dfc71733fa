"""The admin's page of who takes what, and users' own quotas."""

from __future__ import annotations

import asyncio
import re
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from positions import valkey
from positions.models import Agent, Quota, Wallet
from positions.prices.asked import Asked, put_asked
from positions.services import open_position
from realtime.hub.ownership import Ownership
from tests.conftest import BONK, JUP, WIF
from tests.positions.api.conftest import Api

pytestmark = pytest.mark.django_db
USAGE = "/admin/positions/quota/"


@pytest.fixture
def admin(client: Client) -> Client:
    client.force_login(User.objects.create(username="root", is_staff=True, is_superuser=True))
    return client


def table(admin: Client, query: str = "") -> list[list[str]]:
    """Return the rows of the page, as they are read."""
    page = admin.get(f"{USAGE}{query}").content.decode()
    rows = re.findall(r"<tr>(.*?)</tr>", page.split("<tbody>")[1].split("</tbody>")[0], re.DOTALL)
    cells = [re.findall(r"<t[hd]>(.*?)</t[hd]>", row, re.DOTALL) for row in rows]
    return [[re.sub(r"<.*?>", "", cell).strip() for cell in row] for row in cells]


async def _work(alice: User, bob: User) -> None:
    owners: dict[int | str, float] = {alice.pk: 30.0, bob.pk: 10.0}
    asks = {BONK: 10, WIF: 30}
    await put_asked(Asked(until=datetime.now(UTC), seconds=15.0, asks=asks, waits={}, owners=owners))
    await Ownership().take("an agent", alice.pk)
    await valkey.close_async_client()


def test_usage_shows_what_each_user_takes_beside_its_quotas(
    admin: Client, alice: User, bob: User, wallet: Wallet, settings: Any
):
    settings.NEXGENT = settings.NEXGENT | {
        "USER_AGENTS": 10,
        "USER_WALLETS": 0,
        "USER_POSITIONS": 4,
        "USER_TOKENS": 3,
    }
    other = Wallet.objects.create(agent=Agent.objects.create(owner=alice, name="beta"), address="Beta")
    for where, token in [(wallet, BONK), (wallet, WIF), (other, BONK), (other, JUP)]:
        open_position(wallet=where, token_address=token, tokens=Decimal(1), spent_sol=Decimal(1))
    Quota.objects.create(user=bob, agents=1, positions=7)
    Agent.objects.create(owner=bob, name="bob's")
    asyncio.run(_work(alice, bob))
    for _ in range(3):
        Api(alice).get("agents/")
    assert table(admin, "?o=user") == [
        [
            *("alice", "2 of 10", "2", "4 of 4 reached", "3 of 3 reached"),
            *("1 of 1000", "3 of 6000", "75"),
        ],
        ["bob", "1 of 1 reached", "0", "0 of 7", "0 of 3", "0 of 1000", "0 of 6000", "25"],
        ["root", "0 of 10", "0", "0 of 4", "0 of 3", "0 of 1000", "0 of 6000", "0"],
    ]


def test_usage_is_sorted_by_every_column_searched_and_cut_into_pages(
    admin: Client, alice: User, bob: User, wallet: Wallet, settings: Any
):
    Agent.objects.bulk_create([Agent(owner=bob, name="one") for _ in range(9)])
    asyncio.run(_work(alice, bob))
    User.objects.bulk_create([User(username=f"user {number:03}") for number in range(150)])
    firsts = {
        order: table(admin, f"?o={order}")[0][0]
        for order in ("user", "-user", "-agents", "-wallets", "-sockets", "-share", "nonsense")
    }
    assert firsts == {
        "user": "alice",
        "-user": "user 149",
        "-agents": "bob",
        "-wallets": "alice",
        "-sockets": "alice",
        "-share": "alice",
        "nonsense": "alice",
    }
    assert [row[0] for row in table(admin, "?q=BO")] == ["bob"]
    assert (len(table(admin)), len(table(admin, "?p=2"))) == (100, 53)
    settings.NEXGENT = settings.NEXGENT | {"USER_AGENTS": 10}
    assert table(admin, "?near=on")[0][:2] == ["bob", "9 of 10 near"]


def test_usage_costs_the_same_number_of_queries_for_any_number_of_users(
    admin: Client, alice: User, position: Any
):
    def queries() -> int:
        with CaptureQueriesContext(connection) as captured:
            assert admin.get(f"{USAGE}?o=-requests").status_code == 200
        return len(captured)

    few = queries()
    users = User.objects.bulk_create([User(username=f"user {number}") for number in range(300)])
    Agent.objects.bulk_create([Agent(owner=user, name="one") for user in users])
    Quota.objects.bulk_create([Quota(user=user, agents=5) for user in users[:100]])
    assert queries() == few


def test_usage_without_valkey_shows_what_the_database_has(
    admin: Client, alice: User, agent: Agent, no_valkey: None
):
    page = admin.get(USAGE).content.decode()
    assert "Redis or Valkey cannot be reached" in page
    assert table(admin, "?q=alice") == [
        ["alice", "1 of 1000", "0 of 5000", "0 of 10000", "0 of 2000", "—", "—", "—"]
    ]


def test_user_gets_quotas_of_its_own_from_the_page(admin: Client, alice: User):
    page = admin.get(f"{USAGE}?q=alice").content.decode()
    add = reverse("admin:positions_quota_add")
    assert f'href="{add}?user={alice.pk}"' in page
    limits = {"agents": "5", "wallets": "", "positions": "0", "tokens": "", "requests_per_second": ""}
    assert admin.get(f"{add}?user={alice.pk}").status_code == 200
    assert admin.post(add, {"user": alice.pk, **limits}).status_code == 302
    assert table(admin, "?q=alice")[0][1:4] == ["0 of 5", "0 of 5000", "0"]
    change = reverse("admin:positions_quota_change", args=[alice.pk])
    assert change in admin.get(f"{USAGE}?q=alice").content.decode()
    refused = admin.post(change, {**limits, "agents": "-1"})
    assert "greater than or equal to 0" in refused.content.decode()
    assert admin.post(change, {**limits, "agents": ""}).status_code == 302
    assert table(admin, "?q=alice")[0][1] == "0 of 1000"


def test_usage_is_for_those_who_may_view_quotas(client: Client, alice: User):
    staff = User.objects.create(username="staff", is_staff=True)
    client.force_login(staff)
    assert client.get(USAGE).status_code == 403
    staff.user_permissions.add(Permission.objects.get(codename="view_quota"))
    assert client.get(USAGE).status_code == 200
    assert "/add/" not in client.get(USAGE).content.decode()
