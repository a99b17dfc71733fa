"""The admin as a superuser sees it: real pages, through Django's test client."""

from __future__ import annotations

import asyncio
import html
import re
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission, User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from positions import valkey
from positions.admin import closing
from positions.books.snapshots import timestamp
from positions.models import Agent, Mint, Position, PositionEvent, Trade, Wallet
from positions.prices.quotes import Market, Quote
from positions.services import close_position, open_position, plan_take_profits, take_profit
from realtime.hub.presence import Presence
from realtime.hub.watchers import Watch, new_place, take_places
from tests.conftest import BONK, JUP, WIF
from tests.positions.market import fresh_quote, put, quote
from tests.positions.world import CLOSED, UPDATED, World, check

pytestmark = pytest.mark.django_db


@pytest.fixture
def admin(client: Client) -> Client:
    client.force_login(User.objects.create(username="root", is_staff=True, is_superuser=True))
    return client


def listing(model: str) -> str:
    return reverse(f"admin:positions_{model}_changelist")


def page_of(row: Agent | Wallet | Position | PositionEvent | Mint | Trade) -> str:
    return reverse(f"admin:positions_{row._meta.model_name}_change", args=[row.pk])


def text(response) -> str:
    """Return the page as it is read: without tags, white space as single spaces."""
    assert response.status_code == 200
    plain = re.sub(r"<(script|style).*?</\1>|<[^>]*>", " ", response.content.decode(), flags=re.DOTALL)
    return re.sub(r"\s+", " ", html.unescape(plain))


def rows(response) -> list[list[str]]:
    """Return the cells of a list page."""
    body = re.search("<tbody>(.*)</tbody>", response.content.decode(), re.DOTALL)
    found = re.findall("<tr>(.*?)</tr>", body[1], re.DOTALL) if body else []
    cells = [re.findall(r'<t[dh] class="field[^>]*>(.*?)</t[dh]>', row, re.DOTALL) for row in found]
    return [[html.unescape(re.sub("<[^>]*>", "", cell)).strip() for cell in row] for row in cells]


def symbols(response) -> list[str]:
    return sorted(row[0] for row in rows(response))


def said(response) -> list[tuple[str, str]]:
    return [(message.level_tag, str(message)) for message in response.context["messages"]]


def connect(agent: Agent, *, watchers: int = 0) -> None:
    """Be a hub that has the owning socket of this agent, and so many watchers."""

    async def report() -> None:
        presence = Presence("test")
        presence.add(str(agent.pk))
        await presence._write(everything=True, expire_seconds=60)
        await take_places([Watch(str(agent.pk), agent.owner_id, new_place()) for _ in range(watchers)])
        await valkey.close_async_client()

    asyncio.run(report())


def more_of_everything(wallet: Wallet) -> None:
    for number in "23456":
        owner = User.objects.create(username=f"owner {number}")
        agent = Agent.objects.create(owner=owner, name=f"agent {number}")
        other = Wallet.objects.create(agent=agent, address=f"Wa{number}")
        for token in (BONK, WIF):
            open_position(
                wallet=other, token_address=token, token_symbol="X", tokens=Decimal(1), spent_sol=Decimal(1)
            )


# Every page


@pytest.mark.parametrize("model", ["agent", "wallet", "position", "positionevent", "trade"])
@pytest.mark.both_databases
def test_list_page_costs_the_same_number_of_queries_for_one_row_and_many(admin, position, model):
    admin.get(listing(model))
    with CaptureQueriesContext(
        connection,
    ) as one:  # without a cached price, as the others: the database is asked for all of these at once
        assert len(rows(admin.get(listing(model)))) == 1
    more_of_everything(position.wallet)
    with CaptureQueriesContext(connection) as many:
        assert len(rows(admin.get(listing(model)))) >= 6
    assert len(many) == len(one)


def mgets() -> int:
    """Return how many times the cache was read since the server started."""
    statistics: Any = valkey.client().info("commandstats")
    calls: int = statistics.get("cmdstat_mget", {"calls": 0})["calls"]
    return calls


def test_position_list_asks_the_cache_once(own_valkey, admin, position):
    more_of_everything(position.wallet)
    before = mgets()
    admin.get(listing("position"))
    assert mgets() - before == 1


def test_agent_page_asks_the_cache_once(own_valkey, admin, position, agent):
    for token in (WIF, JUP):
        open_position(
            wallet=position.wallet,
            token_address=token,
            token_symbol="X",
            tokens=Decimal(1),
            spent_sol=Decimal(1),
        )
    before = mgets()
    admin.get(page_of(agent))
    assert mgets() - before == 1


def test_start_page_costs_the_same_number_of_queries_for_one_row_and_many(admin, position):
    admin.get("/admin/")
    with CaptureQueriesContext(connection) as one:
        admin.get("/admin/")
    more_of_everything(position.wallet)
    with CaptureQueriesContext(connection) as many:
        admin.get("/admin/")
    assert len(many) == len(one)


@pytest.mark.parametrize("model", ["agent", "wallet", "position", "positionevent", "trade"])
def test_pages_are_for_staff_only(client, alice, position, model):
    client.force_login(alice)
    assert client.get(listing(model)).status_code == 302


def test_every_page_works_without_valkey(admin, position, agent, wallet, no_valkey):
    response = admin.get(listing("position"))
    assert said(response) == [
        ("warning", "The price cache cannot be reached: values use the last prices stored in the database.")
    ]
    assert rows(response)[0][6:8] == ["0.000002 (purchase price)", "2"]
    assert rows(admin.get(listing("agent")))[0][-1] == "—"
    assert "Connected: —" in text(admin.get(page_of(agent)))
    assert "0.000002 (purchase price)" in text(admin.get(page_of(agent)))
    assert "0.000002 (purchase price)" in text(admin.get(page_of(position)))
    for path in (listing("wallet"), listing("positionevent"), page_of(wallet)):
        assert admin.get(path).status_code == 200


# The start page


def test_start_page_shows_what_is_held_who_is_connected_and_how_prices_do(admin, position, agent):
    connect(agent)
    put(quote(BONK, "0.000003"), sol_usd=Decimal(150))
    page = text(admin.get("/admin/"))
    for part in ("Agents 1", "Open positions 1", "Events within the last hour 1", "Sockets 1"):
        assert part in page
    assert re.search(r"Prices simulated \(made up\): 0 of 0 tokens priced \d+ s ago", page)


def test_start_page_without_prices_and_without_valkey_says_so(admin, no_valkey):
    page = text(admin.get("/admin/"))
    assert "Sockets —" in page
    assert "Prices unknown: Redis or Valkey cannot be reached" in page


def test_start_page_where_no_broadcaster_has_run_says_so(admin):
    assert "Prices none: no broadcaster has run within the last day" in text(admin.get("/admin/"))


# Links


def links(response) -> list[str]:
    return [
        html.unescape(each)
        for each in re.findall(r'href="(/admin/positions/[^"]*)"', response.content.decode())
    ]


def test_every_link_from_page_to_page_leads_somewhere(admin, position, agent, wallet):
    event = PositionEvent.objects.get()
    pages = [listing(model) for model in ("agent", "wallet", "position", "positionevent")]
    pages += [page_of(row) for row in (agent, wallet, position, event)]
    found = {link for path in pages for link in links(admin.get(path))}
    agent_only = f"?agent__id__exact={agent.pk}"
    assert found >= {
        f"{listing('position')}{agent_only}&status__exact=open",
        f"{listing('positionevent')}{agent_only}",
        f"{listing('position')}?wallet__exact={wallet.pk}",
        f"{listing('positionevent')}?q={position.pk}",
        *(page_of(row) for row in (agent, wallet, position)),
    }
    for link in sorted(found):
        answer = admin.get(link)
        assert answer.status_code == 200, link
        if "?agent" in link or "?q" in link or "?wallet" in link:
            assert len(rows(answer)) == 1, link


def test_filter_of_an_agent_says_whose_and_a_bad_one_is_dropped(admin, two):
    page = admin.get(listing("position"), {"agent__id__exact": str(two[1].agent_id)})
    assert symbols(page) == ["WIF"]
    assert "beta" in text(page).split("By agent")[1]
    assert admin.get(listing("position"), {"agent__id__exact": "nonsense"}).status_code == 302


# Disconnecting


def disconnect(client: Client, *agents: Agent, what: str = "selected"):
    data = {"action": f"disconnect_{what}", "_selected_action": [str(agent.pk) for agent in agents]}
    return client.post(listing("agent"), data, follow=True)


def test_disconnect_says_who_was_connected_and_is_logged(admin, agent, bob):
    other = Agent.objects.create(owner=bob, name="beta")
    connect(agent)
    assert said(disconnect(admin, agent, other)) == [
        ("success", "1 owning socket of 2 agents disconnected; clients reconnect by themselves.")
    ]
    assert LogEntry.objects.get().object_id == str(agent.pk)


def test_disconnect_of_watchers_says_how_many_there_were(admin, agent, bob):
    other = Agent.objects.create(owner=bob, name="beta")
    connect(agent, watchers=2)
    assert said(disconnect(admin, agent, other, what="watchers")) == [
        ("success", "2 watchers of 2 agents disconnected; clients reconnect by themselves.")
    ]
    assert LogEntry.objects.get().get_change_message() == "Disconnected 2 watchers."


def test_disconnect_without_valkey_disconnects_nobody(admin, agent, no_valkey):
    assert said(disconnect(admin, agent)) == [
        ("error", "Redis or Valkey cannot be reached: no socket was disconnected.")
    ]


# Agents


def test_agent_list_shows_owner_mode_open_positions_and_who_is_connected(admin, agent, position, bob):
    sold = open_position(
        wallet=position.wallet, token_address=WIF, token_symbol="WIF", tokens=Decimal(1), spent_sol=Decimal(1)
    )
    close_position(position_id=sold.pk, proceeds_sol=Decimal(1))
    Agent.objects.create(owner=bob, name="beta", trading_mode="live")
    connect(agent, watchers=2)
    assert rows(admin.get(listing("agent"))) == [
        ["alpha", "alice", "Simulation", "1", "3", "1 owner, 2 watchers"],
        ["beta", "bob", "Live", "0", "0", "no"],
    ]


@pytest.mark.both_databases
def test_agent_list_counts_positions_once_in_a_search_that_joins_wallets(admin, agent, position):
    Wallet.objects.create(agent=agent, address="A1phaLive", kind="live")
    assert rows(admin.get(listing("agent"), {"q": "A1pha"})) == [
        ["alpha", "alice", "Simulation", "1", "1", "no"]
    ]


def test_agent_page_shows_wallets_and_open_positions_with_their_worth(admin, agent, position):
    put(quote(BONK, "0.000003", "0.00045"))
    connect(agent)
    sold = open_position(
        wallet=position.wallet, token_address=WIF, token_symbol="WIF", tokens=Decimal(1), spent_sol=Decimal(1)
    )
    close_position(position_id=sold.pk, proceeds_sol=Decimal(1))
    page = text(admin.get(page_of(agent)))
    assert position.wallet_id in page
    assert "1000000 0.000002 0.000003 (stale, 2026-01-31T12:00:00.250Z) 3 — 450 +1 +50" in page
    assert "WIF" not in page
    assert "Connected: 1 owner" in page


def test_agent_page_saves_the_agent_and_adds_a_wallet_but_changes_none(admin, agent, wallet, position):
    data = {
        "name": "renamed",
        "owner": agent.owner_id,
        "trading_mode": "live",
        "event_seq": "99",
        "wallets-TOTAL_FORMS": "4",
        "wallets-INITIAL_FORMS": "1",
        "wallets-0-address": "Changed",
        "wallets-0-agent": str(agent.pk),
        "wallets-0-kind": "live",
        "wallets-1-address": "A1phaLive",
        "wallets-1-agent": str(agent.pk),
        "wallets-1-kind": "live",
        "wallets-2-address": "A1phaLive2",
        "wallets-2-agent": str(agent.pk),
        "wallets-2-kind": "live",
        "wallets-3-address": "A1phaLive3",
        "wallets-3-agent": str(agent.pk),
        "wallets-3-kind": "live",
        "positions-TOTAL_FORMS": "1",
        "positions-INITIAL_FORMS": "1",
        "positions-0-id": str(position.pk),
        "positions-0-token_symbol": "changed",
    }
    assert admin.post(page_of(agent), data).status_code == 302
    agent.refresh_from_db()
    assert (agent.name, agent.trading_mode, agent.event_seq) == ("renamed", "live", 1)
    assert sorted(agent.wallets.values_list("address", "kind")) == [
        (wallet.address, "simulation"),
        ("A1phaLive", "live"),
        ("A1phaLive2", "live"),
        ("A1phaLive3", "live"),
    ]
    assert Position.objects.get().token_symbol == "BONK"


def test_agent_can_be_added_with_a_wallet(admin, alice):
    data = {
        "name": "new",
        "owner": alice.pk,
        "trading_mode": "simulation",
        "wallets-TOTAL_FORMS": "1",
        "wallets-INITIAL_FORMS": "0",
        "wallets-0-address": "New",
        "wallets-0-kind": "simulation",
        "positions-TOTAL_FORMS": "0",
        "positions-INITIAL_FORMS": "0",
    }
    assert admin.get(reverse("admin:positions_agent_add")).status_code == 200
    assert admin.post(reverse("admin:positions_agent_add"), data).status_code == 302
    assert Agent.objects.get().wallets.get().address == "New"


def test_agent_with_a_wallet_that_is_none_is_refused_on_the_page(admin, agent, wallet):
    data = {
        "name": "alpha",
        "owner": agent.owner_id,
        "trading_mode": "live",
        "wallets-TOTAL_FORMS": "2",
        "wallets-INITIAL_FORMS": "1",
        "wallets-0-address": wallet.address,
        "wallets-1-address": "0xabc",
        "wallets-1-kind": "live",
        "positions-TOTAL_FORMS": "0",
        "positions-INITIAL_FORMS": "0",
    }
    page = text(admin.post(page_of(agent), data))
    assert "“0xabc” is not a Solana address: base58 has no 0, O, I, l or other signs." in page
    assert Wallet.objects.get() == wallet


@pytest.mark.django_db(transaction=True)
@pytest.mark.both_databases
def test_delete_of_an_agent_in_the_admin_closes_its_positions(admin, agent, position):
    path = reverse("admin:positions_agent_delete", args=[agent.pk])
    assert "alpha" in text(admin.get(path))
    assert admin.post(path, {"post": "yes"}).status_code == 302
    kinds = PositionEvent.objects.order_by("seq").values_list("seq", "event_type")
    assert list(kinds) == [(1, "position_created"), (2, CLOSED)]
    response = admin.get(listing("positionevent"))  # the events of an agent that is gone are still listed
    assert [row[1:4] for row in rows(response)] == [["—", "2", "Closed"], ["—", "1", "Created"]]
    assert "—" in text(admin.get(page_of(PositionEvent.objects.get(seq=2))))


# Wallets


def test_wallet_page_keeps_address_and_agent(admin, wallet, position):
    page = text(admin.get(page_of(wallet)))
    assert wallet.address in page
    assert (
        admin.post(page_of(wallet), {"kind": "live", "address": "Changed", "agent": uuid4()}).status_code
        == 302
    )
    assert list(Wallet.objects.values_list("address", "kind", "agent")) == [
        (wallet.address, "live", wallet.agent_id)
    ]


@pytest.mark.both_databases
def test_wallet_can_be_added_and_found(admin, agent):
    path = reverse("admin:positions_wallet_add")
    assert admin.post(path, {"kind": "live", "address": "A1phaLive", "agent": agent.pk}).status_code == 302
    for query in ("A1phaL", "alpha"):
        assert rows(admin.get(listing("wallet"), {"q": query}))[0][:3] == ["A1phaLive", "alpha", "Live"]
    assert rows(admin.get(listing("wallet"), {"q": "nobody"})) == []


# Positions


@pytest.fixture
def two(agent: Agent, position: Position, bob: User) -> list[Position]:
    """Alice's BONK in simulation, and WIF of bob's live agent."""
    live = Agent.objects.create(owner=bob, name="beta", trading_mode="live")
    wallet = Wallet.objects.create(agent=live, address="Beta", kind="live")
    wif = open_position(
        wallet=wallet, token_address=WIF, token_symbol="WIF", tokens=Decimal(100), spent_sol=Decimal(2)
    )
    return [position, wif]


def test_position_list_shows_value_and_profit_at_live_and_purchase_prices(admin, two):
    pool = Market("live", Decimal(9000), Decimal(29_000_000), Decimal(30))
    now = timezone.now()
    put(Quote(BONK, Decimal("0.0000015"), Decimal("0.000225"), now, pool), sol_usd=Decimal(150))
    listed = {row[0]: row[1:-1] for row in rows(admin.get(listing("position")))}
    live = f"0.0000015 (live, {timestamp(now)})"
    wallet = two[0].wallet_id
    assert listed == {
        "BONK": ["alpha", wallet, "Open", "1000000", "0.000002", live, "1.5", "1", "225", "-0.5", "-25"],
        "WIF": ["beta", "Beta", "Open", "100", "0.02", "0.02 (purchase price)", "2", "—", "300", "0", "0"],
    }


def test_position_list_shows_unknown_usd_and_closed_positions(admin, position):
    close_position(position_id=position.pk, proceeds_sol=Decimal("2.5"))
    row = rows(admin.get(listing("position")))[0]
    assert row[3:-1] == ["Closed", "0", "0.000002", "—", "0", "—", "—", "+0.5", "+25"]


@pytest.mark.parametrize("query", [WIF, WIF[:8], "WIF", "wif", "Beta", "beta"])
@pytest.mark.both_databases
def test_position_is_found_by_address_symbol_wallet_and_agent(admin, two, query):
    assert symbols(admin.get(listing("position"), {"q": query})) == ["WIF"]


@pytest.mark.both_databases
def test_position_is_found_by_its_id(admin, two):
    assert symbols(admin.get(listing("position"), {"q": str(two[1].pk)})) == ["WIF"]
    assert symbols(admin.get(listing("position"), {"q": str(uuid4())})) == []


@pytest.mark.both_databases
def test_positions_are_filtered_by_status_mode_and_agent(admin, two):
    close_position(position_id=two[0].pk, proceeds_sol=Decimal(1))
    for filters, expected in [
        ({"status__exact": "open"}, ["WIF"]),
        ({"status__exact": "closed"}, ["BONK"]),
        ({"agent__trading_mode__exact": "live"}, ["WIF"]),
        ({"agent__trading_mode__exact": "simulation"}, ["BONK"]),
        ({"agent__id__exact": str(two[1].agent_id)}, ["WIF"]),
        ({}, ["BONK", "WIF"]),
    ]:
        assert symbols(admin.get(listing("position"), filters)) == expected


@pytest.mark.both_databases
def test_positions_are_filtered_by_take_profits_and_moon_bag(admin, two):
    bonk, wif = two
    plan_take_profits(position_id=bonk.pk, levels=1)
    one = Decimal(1)
    filters = [{"take_profit": each} for each in ("none", "some", "planned", "all")]

    def found(*extra: dict[str, str]) -> list[list[str]]:
        return [symbols(admin.get(listing("position"), each)) for each in (*filters, *extra)]

    assert found() == [["BONK", "WIF"], [], ["BONK"], []]
    take_profit(position_id=bonk.pk, tokens=one, proceeds_sol=one)
    take_profit(position_id=wif.pk, tokens=one, proceeds_sol=one, levels=0, moon_bag=True)
    assert found({"moon_bag_activated__exact": "1"}) == [["WIF"], ["BONK"], [], ["BONK"], ["WIF"]]


def test_half_a_plan_of_take_profits_is_refused_on_the_page(admin, position):
    page = reverse("admin:positions_position_change", args=[position.pk])
    form = form_of(admin.get(page))
    for sent, message in [
        ({"total_take_profit_levels": "4"}, "A plan has both: its first level and its last."),
        ({"total_take_profit_levels": "1", "tp_batch_start_level": "2"}, "A plan ends after it begins."),
    ]:
        assert message in admin.post(page, form | sent).content.decode()
    assert (
        admin.post(page, form | {"total_take_profit_levels": "4", "tp_batch_start_level": "0"}).status_code
        == 302
    )
    assert Position.objects.get().total_take_profit_levels == 4


def form_of(response) -> dict[str, str]:
    """Return what the page's form would send: what it shows, and the same again as what it has shown."""
    form = response.context["adminform"].form
    shown = {name: form[name].value() for name in form.fields}
    shown = {name: str(value) for name, value in shown.items() if value is not None and value is not False}
    page = response.content.decode()
    assert all(f'name="initial-{name}"' in page for name in shown)
    return shown | {f"initial-{name}": value for name, value in shown.items()}


@pytest.mark.both_databases
def test_position_form_shows_plain_digits_and_takes_exponents_and_noise(admin, position):
    Position.objects.filter(pk=position.pk).update(purchase_price=Decimal("1.23e-14"))
    form = form_of(admin.get(page_of(position)))
    assert form["purchase_price"] == "0.0000000000000123"
    edited = form | {"purchase_price": "1.25e-14", "current_stop_loss_percentage": " -30.000000000000004"}
    assert admin.post(page_of(position), edited).status_code == 302
    position.refresh_from_db()
    assert (position.purchase_price, position.current_stop_loss_percentage) == (Decimal("1.25e-14"), -30)


@pytest.mark.parametrize(
    ("typed", "message"),
    [
        ("1_000", "Purchase price must be a number, such as 0.25 or 1.2e-7, not &quot;1_000&quot;"),
        ("NaN", "Purchase price must be a number, such as 0.25 or 1.2e-7, not &quot;NaN&quot;"),
        ("1e400", "Purchase price must be less than 1000000000000, not 1E+400"),
        ("7" * 400, "Purchase price must be a number of at most 64 characters; it has 400"),
    ],
)
def test_position_form_says_what_is_wrong_with_a_number(admin, position, typed: str, message: str):
    page = admin.post(page_of(position), form_of(admin.get(page_of(position))) | {"purchase_price": typed})
    assert message in page.content.decode()


def test_position_page_shows_what_it_is_worth(admin, position):
    put(quote(BONK, "0.000003", "0.00045"))
    page = text(admin.get(page_of(position)))
    for part in (
        "Price (SOL): 0.000003 (stale, 2026-01-31T12:00:00.250Z)",
        "Value (SOL): 3",
        "Value (USD): 450",
        "P/L (SOL): +1",
        "P/L (%): +50",
        f"Token address: {BONK}",
    ):
        assert part in page


@pytest.mark.both_databases
def test_position_edited_in_the_admin_becomes_an_event(admin, world: World):
    data = form_of(admin.get(page_of(world.bonk)))
    data |= {"current_stop_loss_percentage": "-7.5", "status": "closed"}
    assert admin.post(page_of(world.bonk), data).status_code == 302
    world.expect((UPDATED, world.bonk))
    position = world.sent[0].position
    assert position is not None
    assert position["current_stop_loss_percentage"] == "-7.5"
    assert Position.objects.get(pk=world.bonk.pk).status == "open"


@pytest.mark.both_databases
def test_position_edited_in_the_admin_keeps_what_the_bot_did_meanwhile(admin, position):
    data = form_of(admin.get(page_of(position)))
    Position.objects.filter(pk=position.pk).update(remaining_amount=Decimal(7), dca_count=3)
    admin.post(page_of(position), data | {"token_symbol": "Bonk"})
    fresh = Position.objects.get()
    assert (fresh.token_symbol, fresh.remaining_amount, fresh.dca_count) == ("Bonk", 7, 3)


@pytest.mark.both_databases
def test_position_saved_unchanged_in_the_admin_keeps_every_digit(admin, position):
    Position.objects.update(remaining_amount=Decimal("999999999999.999999999999999999"))
    admin.post(page_of(position), form_of(admin.get(page_of(position))))
    assert Position.objects.get().remaining_amount == Decimal("999999999999.999999999999999999")


def test_position_with_a_negative_amount_is_refused_on_the_page(admin, position):
    data = form_of(admin.get(page_of(position))) | {"remaining_amount": "-1"}
    page = text(admin.post(page_of(position), data))
    assert "Constraint “position_remaining_amount_not_negative” is violated." in page
    assert Position.objects.get().remaining_amount == 1_000_000


def test_position_page_offers_no_other_agent_or_wallet(admin, position):
    assert not {"agent", "wallet"} & admin.get(page_of(position)).context["adminform"].form.fields.keys()


def test_position_cannot_be_added_by_a_form(admin, wallet):
    assert admin.get(reverse("admin:positions_position_add")).status_code == 403


def test_position_deleted_in_the_admin_becomes_an_event(admin, world: World):
    admin.post(reverse("admin:positions_position_delete", args=[world.bonk.pk]), {"post": "yes"})
    world.expect((CLOSED, world.bonk.pk))


@pytest.mark.both_databases
def test_positions_deleted_by_the_list_action_become_events(admin, world: World):
    keys = [world.bonk.pk, world.wif.pk]
    data = {"action": "delete_selected", "_selected_action": [str(key) for key in keys], "post": "yes"}
    assert admin.post(listing("position"), data).status_code == 302
    world.expect(*((CLOSED, key) for key in keys), in_any_order=True)


# The action


def close(client: Client, *positions: Position, reason: str = "the bot is gone"):
    data = {"action": "close_selected", "_selected_action": [str(position.pk) for position in positions]}
    return client.post(listing("position"), {**data, "reason": reason}, follow=True)


def test_close_selected_asks_for_a_reason_first(admin, two):
    data = {"action": "close_selected", "_selected_action": [str(position.pk) for position in two]}
    page = admin.post(listing("position"), data)
    assert "Close at the market price?" in text(page)
    amounts = [format(position.remaining_amount.normalize(), "f") for position in two]  # no exponent
    for position, amount in zip(two, amounts, strict=True):
        assert f"{position} {position.agent} {amount}" in text(page)
    assert Position.objects.open().count() == 2
    refused = close(admin, *two, reason=" ")
    assert "This field is required." in text(refused)
    assert Position.objects.open().count() == 2


def test_close_selected_of_very_many_is_refused(admin, two, monkeypatch):
    monkeypatch.setattr(closing, "MOST_AT_ONCE", 1)
    assert said(close(admin, *two)) == [("error", "At most 1 positions at once.")]
    assert Position.objects.open().count() == 2


def test_close_selected_closes_at_the_market_price_and_says_which_and_why_not(admin, two):
    put(fresh_quote(BONK, "0.000003"))
    assert sorted(said(close(admin, *two))) == [
        ("success", f"Closed at the market price: BONK in {two[0].wallet_id} (realised +1 SOL in all)."),
        ("warning", "Not closed: WIF in Beta: no market price of WIF is known."),
    ]
    closed = Position.objects.get(status="closed")
    assert (closed.pk, closed.close_reason, closed.realized_profit_sol) == (
        two[0].pk,
        "the bot is gone",
        1,
    )
    assert LogEntry.objects.get().get_change_message() == "Closed: the bot is gone"
    check(two[0].agent_id)
    assert PositionEvent.objects.filter(agent=two[0].agent_id).last().event_type == CLOSED  # type: ignore[union-attr]
    assert Position.objects.get(status="open") == two[1]


def test_close_selected_skips_what_is_closed_already(admin, position):
    put(fresh_quote(BONK, "0.000003"))
    close_position(position_id=position.pk, proceeds_sol=Decimal(1))
    assert said(close(admin, position)) == [
        ("warning", f"Not closed: {position}: position {position.pk} is closed.")
    ]
    assert PositionEvent.objects.count() == 2


def test_close_selected_without_valkey_closes_nothing(admin, position, no_valkey):
    assert ("warning", f"Not closed: {position}: the price cache cannot be reached.") in said(
        close(admin, position)
    )
    assert Position.objects.get().status == "open"


def test_close_selected_by_someone_who_may_only_look_is_refused(client, position, bob):
    put(fresh_quote(BONK, "0.000003"))
    bob.is_staff = True
    bob.save()
    bob.user_permissions.add(Permission.objects.get(codename="view_position"))
    client.force_login(bob)
    close(client, position)
    assert Position.objects.get().status == "open"


def test_migrate_selected_asks_for_the_mint_and_says_which_and_why_not(admin, two):
    data = {"action": "migrate_selected", "_selected_action": [str(position.pk) for position in two]}
    assert "Migrate to another mint?" in text(admin.post(listing("position"), data))
    page = admin.post(listing("position"), {**data, "mint": WIF, "ratio": "ten"})
    assert "must be a number" in text(page)
    done = admin.post(
        listing("position"), {**data, "mint": WIF, "symbol": "NEW", "ratio": "1e-3"}, follow=True
    )
    assert sorted(said(done)) == [
        ("success", f"BONK in {two[0].wallet_id} is now NEW in {two[0].wallet_id}."),
        ("warning", f"Not migrated: WIF in Beta: ratio must be 1 where the mint stays {WIF}, not 0.001."),
    ]
    moved = Position.objects.get(pk=two[0].pk)
    assert (moved.token_address, moved.remaining_amount) == (WIF, 1000)
    assert LogEntry.objects.get().get_change_message() == f"Migrated from {BONK} to {WIF}"


def test_mint_s_decimals_can_be_entered_and_corrected(admin):
    add = reverse("admin:positions_mint_add")
    assert "less than or equal to 18" in text(admin.post(add, {"address": BONK, "decimals": "19"}))
    assert admin.post(add, {"address": BONK, "decimals": "6"}).status_code == 302
    changed = admin.post(page_of(Mint.objects.get()), {"address": WIF, "decimals": "5"})
    assert changed.status_code == 302
    assert list(Mint.objects.values_list("address", "decimals")) == [(BONK, 5)]


# Events


def test_events_can_be_looked_at_and_nothing_else(admin, position):
    event = PositionEvent.objects.get()
    page = text(admin.get(page_of(event)))
    assert '"token_symbol": "BONK"' in page
    assert str(position.pk) in page
    assert admin.get(reverse("admin:positions_positionevent_add")).status_code == 403
    assert admin.post(page_of(event), {"seq": "5"}).status_code == 403
    assert (
        admin.post(
            reverse("admin:positions_positionevent_delete", args=[event.pk]), {"post": "yes"}
        ).status_code
        == 403
    )
    admin.post(
        listing("positionevent"), {"action": "delete_selected", "_selected_action": [event.pk], "post": "yes"}
    )
    assert list(PositionEvent.objects.values_list("seq", "event_type")) == [(1, "position_created")]


@pytest.mark.both_databases
def test_events_are_found_by_position_and_type(admin, two):
    close_position(position_id=two[1].pk, proceeds_sol=Decimal(1))
    key = str(two[1].pk)
    listed = [row[1:4] for row in rows(admin.get(listing("positionevent"), {"q": key}))]
    assert listed == [["beta", "2", "Closed"], ["beta", "1", "Created"]]
    response = admin.get(listing("positionevent"), {"q": key, "event_type__exact": CLOSED})
    assert [row[1:4] for row in rows(response)] == [["beta", "2", "Closed"]]
    response = admin.get(listing("positionevent"), {"agent__id__exact": str(two[0].agent_id)})
    assert [row[1:4] for row in rows(response)] == [["alpha", "1", "Created"]]
