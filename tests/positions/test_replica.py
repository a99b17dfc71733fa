"""A router that sends reads to a replica, which lags: every write is seen, from the figures that the primary has."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from decimal import Decimal

import pytest
from asgiref.sync import sync_to_async
from django.core import serializers
from django.db import DatabaseError, connection, connections, models, transaction
from django.db.models import F
from django.utils import timezone

from positions.accounts import families, identity
from positions.accounts.outside import USER
from positions.errors import AlreadyOpen
from positions.models import Agent, Position, TokenFamily, Wallet
from positions.services import buy_more, close_position, migrate_token, move_stop_loss, take_profit
from positions.services.checking import check_books
from positions.services.correcting import correct
from positions.signals import token_families_ended
from realtime.hub.holdings import read_holdings
from realtime.hub.queries import agent_states, missed_events
from tests.conftest import BONK, JUP
from tests.positions.world import World, check

pytestmark = pytest.mark.django_db(transaction=True)

D = Decimal


class ReadFromReplica:
    """What Django's documentation shows."""

    reads = "default"

    def db_for_read(self, model: type[models.Model], **hints: object) -> str:
        return self.reads

    def db_for_write(self, model: type[models.Model], **hints: object) -> str:
        return "default"

    def allow_relation(self, *objects: object, **hints: object) -> bool:
        return True


@pytest.fixture
def replica(world: World, settings) -> Iterator[ReadFromReplica]:
    """A connection that refuses writes and reads as of now, however late it is: as a replica that has stopped."""
    stopped = connection.copy(alias="replica")
    options = stopped.settings_dict["OPTIONS"]
    options.pop("pool", None)
    if connection.vendor == "postgresql":
        options["options"] = (
            "-c default_transaction_read_only=on -c default_transaction_isolation=repeatable\\ read"
        )
    else:
        options["transaction_mode"] = "DEFERRED"  # else it would lock the database
    connections["replica"] = stopped
    router = ReadFromReplica()
    settings.DATABASE_ROUTERS = [router]
    if connection.vendor == "sqlite":
        with stopped.cursor() as cursor:
            cursor.execute("PRAGMA query_only=ON")
    with transaction.atomic(using="replica"):
        list(Agent.objects.using("replica"))  # from here on it sees nothing new
        router.reads = "replica"
        yield router
        router.reads = "default"
    stopped.close()
    del connections["replica"]


def test_replica_of_these_tests_is_late_and_refuses_writes(world: World, replica: ReadFromReplica):
    world.bonk.delete()
    assert Position.objects.filter(token_symbol="BONK").exists()
    with pytest.raises(DatabaseError, match=r"read-?only"):
        Position.objects.using("replica").filter(token_symbol="BONK").update(dca_count=1)


def services(world: World) -> None:
    """Each works with what the one before has left."""
    jup = world.bought(world.wallet, JUP, "JUP").pk
    buy_more(position_id=jup, tokens=D(1000), spent_sol=D(2), transaction_id="once")
    buy_more(position_id=jup, tokens=D(1000), spent_sol=D(2), transaction_id="once")
    take_profit(position_id=jup, tokens=D(500), proceeds_sol=D(1))
    move_stop_loss(position_id=jup, percentage=D(-5))
    buy_more(position_id=jup, tokens=D(1), spent_sol=D(1), executed_at=timezone.now() - timedelta(hours=1))
    migrate_token(position_id=jup, token_address="Jup2", token_symbol="JUP2")
    correct(position_id=jup, values={"remaining_amount": D(7)})
    close_position(position_id=jup, proceeds_sol=D(1))
    with pytest.raises(AlreadyOpen):
        world.bought(world.wallet, BONK, "BONK")


def rows(world: World) -> None:
    new, other = world.unsaved(world.wallet, JUP), world.unsaved(world.live, "Ray")
    new.save()
    Position.objects.bulk_create([other])
    both = Position.objects.filter(pk__in=[new.pk, other.pk])
    assert both.update(dca_count=F("dca_count") + 1) == 2
    other.dca_count = 4
    Position.objects.bulk_update([other], ["dca_count"])
    Position.objects.update_or_create(pk=new.pk, defaults={"dca_count": 9})
    assert Position.objects.follow_market({new.pk: (JUP, D(7), D(1))}) == 1
    with transaction.atomic():
        locked = Position.objects.select_for_update().get(pk=new.pk)
        assert (locked.dca_count, locked.peak_price) == (9, 7)
        locked.save()
        locked.refresh_from_db()
        assert locked.wallet.pk == world.wallet.pk
    world.live.positions.add(new)
    both.filter(pk=new.pk).delete()
    other.delete()


def agents(world: World) -> None:
    wallet = Wallet.objects.create(agent=world.agent, address="New")
    world.bought(wallet, JUP, "JUP")
    wallet.agent = world.other
    wallet.save()
    world.agent.wallets.add(wallet)
    Wallet.objects.filter(pk=wallet.pk).update(agent=world.other)
    text = serializers.serialize("json", [world.agent, world.wallet, world.bonk])
    Agent.objects.filter(pk=world.agent.pk).delete()
    for each in serializers.deserialize("json", text):
        each.save()
    world.alice.delete()


@pytest.mark.parametrize("writes", [services, rows, agents])
def test_writes_see_what_the_primary_has_and_make_their_events(
    world: World, replica: ReadFromReplica, writes: Callable[[World], None]
):
    writes(world)
    replica.reads = "default"
    for agent in (world.agent, world.other):
        check(agent.pk)
    assert [str(each) for each in check_books() if each.position.token_symbol != "NEW"] == []


async def test_sockets_read_from_the_primary(world: World, replica: ReadFromReplica):
    move = sync_to_async(move_stop_loss)
    await move(position_id=world.bonk.pk, percentage=D(-7))
    agent_id, user_id = str(world.agent.pk), world.alice.pk
    state = (await agent_states([agent_id]))[agent_id]
    assert state is not None
    assert (state.seq, state.watcher_id) == (3, user_id)
    assert [event.seq for event in await missed_events(agent_id, after=1)] == [2, 3]
    held = await sync_to_async(read_holdings)(agent_id, user_id)
    assert held is not None
    assert held.seq == 3
    assert {each["current_stop_loss_percentage"] for each in held.positions()} == {None, "-7"}
    await sync_to_async(connections.close_all)()


def test_outside_issuer_s_token_of_a_user_who_was_deactivated_is_refused(
    world: World, replica: ReadFromReplica, settings
):
    issuer = {"ISSUER": "https://issuer.example", "USER_FIELD": "username"}
    settings.NEXGENT = settings.NEXGENT | {"OUTSIDE_ISSUER": issuer}
    world.alice.is_active = False
    world.alice.save()
    with pytest.raises(identity.Refused, match="inactive"):
        identity.identify({"iss": issuer["ISSUER"], USER: "alice"})


def test_log_out_names_its_user_though_the_login_is_newer_than_the_replica(
    world: World, replica: ReadFromReplica
):
    """So that the sockets are closed at once, not by the reconciler."""
    _, refresh = families.log_in(world.alice, kind=TokenFamily.Kind.BOT)
    named: list[set[int]] = []

    def hear(user_ids: set[int], **kwargs: object) -> None:
        named.append(user_ids)

    token_families_ended.connect(hear)
    try:
        families.end(families.family_of(str(refresh)), families.Ending.LOGGED_OUT)
    finally:
        token_families_ended.disconnect(hear)
    assert named == [{world.alice.pk}]
