"""A wallet's address is unique for its owner, and for nobody else."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from contextlib import suppress
from decimal import Decimal
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.core.management import CommandError, call_command
from django.db import IntegrityError, connection, transaction
from django.test import Client

from positions.models import Agent, Position, Wallet
from positions.models.owners import HAS_ONE
from positions.services import open_position
from tests.conftest import BONK, person
from tests.positions.test_migrations import migrate
from tests.positions.threads import at_once


@pytest.fixture
def bobs(bob: User) -> Agent:
    return Agent.objects.create(owner=bob, name="beta")


@pytest.fixture
def same(wallet: Wallet, bobs: Agent) -> Wallet:
    """Bob's wallet, with the address of alice's."""
    return Wallet.objects.create(agent=bobs, address=wallet.address)


def open_in(wallet: Wallet, **options: Any) -> Position:
    return open_position(
        wallet=wallet,
        token_address=BONK,
        token_symbol="BONK",
        tokens=Decimal(8),
        spent_sol=Decimal(2),
        **options,
    )


def test_address_belongs_to_each_owner_once(wallet: Wallet, same: Wallet):
    assert set(Wallet.objects.values_list("address", "owner__username")) == {
        (wallet.address, "alice"),
        (wallet.address, "bob"),
    }
    for agent in (wallet.agent, Agent.objects.create(owner=same.agent.owner, name="another")):
        again = Wallet(agent=agent, address=wallet.address)
        with pytest.raises(ValidationError) as refused:
            again.full_clean()
        assert refused.value.message_dict == {
            "address": ["This owner has a wallet with this address already."]
        }
        for write in (again.save, lambda new=again: Wallet.objects.bulk_create([new])):
            with pytest.raises(IntegrityError), transaction.atomic():
                write()


def test_positions_of_one_address_are_apart(wallet: Wallet, same: Wallet):
    hers, his = (open_in(each, transaction_id="one signature") for each in (wallet, same))
    assert hers.pk != his.pk
    assert hers.wallet_address == his.wallet_address == wallet.address
    events = [each.agent.events.get() for each in (hers, his)]
    assert {event.position["wallet_address"] for event in events} == {wallet.address}


def test_many_wallets_at_once_have_addresses_that_others_have(wallet: Wallet, bobs: Agent):
    made = Wallet.objects.bulk_create(
        [Wallet(agent=bobs, address=address) for address in (wallet.address, "Other")]
    )
    assert [each.address for each in Wallet.objects.filter(pk__in=[new.pk for new in made])] == [
        wallet.address,
        "Other",
    ]
    assert Wallet.objects.filter(owner=bobs.owner).count() == 2


@pytest.mark.parametrize("way", ["save", "update", "sql"])
def test_agent_is_not_given_to_somebody_with_the_same_address(wallet: Wallet, same: Wallet, way: str):
    agent, bob = wallet.agent, same.agent.owner
    agent.owner = bob
    with pytest.raises(ValidationError) as refused:
        agent.full_clean()
    assert refused.value.message_dict == {
        "owner": [f"This user has a wallet with the address {wallet.address} already."]
    }

    def by_sql() -> None:
        with connection.cursor() as cursor:
            cursor.execute("UPDATE positions_agent SET owner_id = %s WHERE name = 'alpha'", [bob.pk])

    ways: dict[str, Any] = {
        "save": agent.save,
        "update": lambda: Agent.objects.filter(pk=agent.pk).update(owner=bob),
        "sql": by_sql,
    }
    with pytest.raises(IntegrityError, match=HAS_ONE), transaction.atomic():
        ways[way]()
    assert Wallet.objects.get(pk=wallet.pk).owner == Agent.objects.get(pk=agent.pk).owner != bob


def test_owner_of_a_wallet_follows_its_agent(wallet: Wallet, bob: User):
    Agent.objects.filter(pk=wallet.agent_id).update(owner=bob)
    wallet.refresh_from_db()
    assert wallet.owner == bob
    wallet.agent = Agent.objects.create(owner=person("carol"), name="gamma")
    wallet.save()
    wallet.refresh_from_db()
    assert wallet.owner == wallet.agent.owner
    wallet.agent.owner.delete()
    assert not Wallet.objects.exists()


def test_hand_over_and_a_new_wallet_at_once_leave_no_address_twice(transactional_db):
    alice, bob = person("alice"), person("bob")
    for number in range(4):
        agents = [Agent.objects.create(owner=owner, name=f"{number}") for owner in (alice, bob)]

        def hand_over(agent: Agent = agents[0]) -> None:
            with suppress(IntegrityError):  # refused where both have added theirs before
                Agent.objects.filter(pk=agent.pk).update(owner=bob)

        def add(agent: Agent, address: str = f"A{number + 1}") -> None:
            with suppress(IntegrityError):  # refused where the agent was handed over before
                Wallet.objects.create(agent=agent, address=address)

        at_once(hand_over, *[lambda agent=agent, add=add: add(agent) for agent in agents])
    kept = list(Wallet.objects.values_list("address", "agent__owner"))
    assert len(set(kept)) == len(kept) >= 4
    assert all(wallet.owner_id == wallet.agent.owner_id for wallet in Wallet.objects.select_related("agent"))


def test_admin_adds_an_address_of_somebody_else_and_links_to_its_own(wallet: Wallet, bobs: Agent):
    client = Client()
    client.force_login(User.objects.create_superuser("root"))
    form = {"address": wallet.address, "agent": bobs.pk, "kind": "live"}
    assert client.post("/admin/positions/wallet/add/", form).status_code == 302
    refused = client.post("/admin/positions/wallet/add/", form)
    assert "This owner has a wallet with this address already." in refused.content.decode()
    position = open_in(Wallet.objects.get(owner=bobs.owner))
    page = client.get(f"/admin/positions/position/{position.pk}/change/").content.decode()
    links = re.findall(r'href="(/admin/positions/wallet/.+?/change/)"', page)
    assert [client.get(link).context["original"] for link in links] == [position.wallet]


def test_import_and_export_take_the_wallet_of_the_owner_named(wallet: Wallet, same: Wallet, tmp_path):
    path = tmp_path / "trades.csv"
    path.write_text(
        "executed_at,wallet,token_address,side,tokens,sol\n"
        f"2025-01-01T00:00:00Z,{wallet.address},{BONK},purchase,10,1\n"
    )
    errors = io.StringIO()
    with pytest.raises(CommandError):
        call_command("import_trades", path, "--commit", stderr=errors)
    assert errors.getvalue() == (
        f"line 2: wallet: 2 users have a wallet {wallet.address}; name one with --owner\n"
    )
    call_command("import_trades", path, "--commit", "--owner", "bob", stdout=io.StringIO())
    assert Position.objects.get().wallet == same
    for owner, lines in (("bob", 2), ("alice", 1)):
        out = io.StringIO()
        call_command("export_trades", "--owner", owner, stdout=out)
        assert len(out.getvalue().splitlines()) == lines
    with pytest.raises(CommandError, match=r"^There is no user 'carol'\.$"):
        call_command("export_trades", "--owner", "carol")


@pytest.fixture
def before_addresses_had_owners() -> Iterator[Any]:
    yield migrate("0015_deletions_by_old_servers")
    migrate(None)


@pytest.mark.django_db(transaction=True)
def test_wallets_of_before_and_of_old_servers_have_an_owner_and_their_address(
    before_addresses_had_owners: Any,
):
    models = before_addresses_had_owners
    agent = models.get_model("positions", "Agent").objects.create(owner_id=person("alice").pk, name="alpha")
    old = models.get_model("positions", "Wallet").objects
    old.create(agent=agent, address="Before")
    migrate(None)
    with connection.cursor() as cursor:  # as a server of the release before does
        cursor.execute(
            "INSERT INTO positions_wallet (address, agent_id, kind, created_at) SELECT 'During', agent_id, kind,"
            " created_at FROM positions_wallet"
        )
    assert list(Wallet.objects.values_list("pk", "address", "owner__username")) == [
        ("Before", "Before", "alice"),
        ("During", "During", "alice"),
    ]


def test_triggers_are_there_after_all_migrations(db):
    query = (
        "SELECT name FROM sqlite_master WHERE type = 'trigger'"
        if connection.vendor == "sqlite"
        else "SELECT tgname FROM pg_trigger WHERE NOT tgisinternal"
    )
    with connection.cursor() as cursor:
        cursor.execute(query)
        names = {name for (name,) in cursor.fetchall()}
    assert {"positions_wallet_owner", "positions_agent_owner", "positions_agent_new"} <= names
