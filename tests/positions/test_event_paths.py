"""No write through Django is unseen: it makes its events in order, or it is refused with a sentence.

One assertion for every path: the state before, folded with the events since, is a fresh fetch of the state.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from io import StringIO
from typing import Any
from uuid import uuid4

import pytest
from django.apps import apps
from django.core import serializers
from django.core.management import CommandError, call_command
from django.core.management.base import SystemCheckError
from django.db import connection, models, transaction
from django.db.migrations.state import ProjectState
from django.db.models import Count, Exists, F, OuterRef, Q, QuerySet, Subquery
from django.db.models.signals import pre_delete, pre_save
from django.test.utils import isolate_apps

from positions.checks import models_that_write_unseen, primary_database
from positions.errors import UnseenWrite
from positions.models import Agent, Position, PositionEvent, Trade, Wallet
from tests.conftest import BONK, JUP
from tests.positions.world import World, check, fetch, fold, log_of

pytestmark = pytest.mark.django_db(transaction=True)

Write = Callable[[World], object]


def note() -> Any:
    return models.CharField(max_length=9, default="")


def own_key(parent: type[models.Model]) -> dict[str, Any]:
    """A child's key that is not its parent's."""
    return {
        "code": models.CharField(max_length=9, primary_key=True),
        "parent": models.OneToOneField(parent, models.CASCADE, parent_link=True),
    }


DECLARED: list[tuple[str, str, dict[str, Any], dict[str, Any]]] = [
    ("PositionProxy", "Position", {"proxy": True}, {}),
    ("ProxyOfProxy", "PositionProxy", {"proxy": True}, {}),
    ("PlainProxy", "Position", {"proxy": True}, {"objects": models.Manager()}),
    (
        "NamedProxy",
        "Position",
        {"proxy": True, "base_manager_name": "plain", "default_manager_name": "plain"},
        {"plain": models.Manager()},
    ),
    ("PositionChild", "Position", {}, {"note": note()}),
    ("ProxyOfChild", "PositionChild", {"proxy": True}, {}),
    ("PlainChild", "Position", {}, {"note": note(), "objects": models.Manager()}),
    ("KeyedChild", "Position", {}, own_key(Position)),
    ("KeyedAgent", "Agent", {}, own_key(Agent)),
    ("AgentProxy", "Agent", {"proxy": True}, {}),
    ("AgentChild", "Agent", {}, {"note": note()}),
    ("WalletProxy", "Wallet", {"proxy": True}, {}),
    ("WalletChild", "Wallet", {}, {"note": note()}),
    ("TradeProxy", "Trade", {"proxy": True}, {"objects": models.Manager()}),
]
"""Models of another app that extend ours: name, base, Meta, fields."""


@pytest.fixture(scope="module", autouse=True)
def declared(django_db_setup: None, django_db_blocker: Any) -> Iterator[None]:
    """Declare them, with their tables, for this module only: a cascade would look for their tables ever after."""
    made: list[Any] = []
    for name, base, meta, fields in DECLARED:
        options = type("Meta", (), {"app_label": "positions", **meta})
        made.append(type(name, (model(base),), {"__module__": __name__, "Meta": options, **fields}))
    tables = [each for each in made if not each._meta.proxy]
    with django_db_blocker.unblock():
        with connection.schema_editor() as editor:
            for each in tables:
                editor.create_model(each)
        yield
        with connection.schema_editor() as editor:
            for each in reversed(tables):
                editor.delete_model(each)
    for each in made:
        del apps.all_models["positions"][each._meta.model_name]
    apps.clear_cache()


def model(name: str) -> Any:
    return apps.get_model("positions", name)


def row(name: str, world: World) -> Any:
    """Return BONK as this model has it."""
    return model(name).objects.get(pk=world.bonk.pk)


def agree(world: World, write: Write) -> None:
    """Assert that the write's events lead from the state before to the state after, were sent, and have no gap."""
    ids = [world.agent.pk, world.other.pk]
    before = {key: (len(log_of(key)), fetch(key)) for key in ids}
    write(world)
    for key, (seq, state) in before.items():
        check(key)
        since = log_of(key)[seq:]
        assert fold(since, state) == fetch(key)
        assert [event.seq for event in world.sent if event.agent_id == key] == [event.seq for event in since]


def child(world: World, name: str = "PositionChild", token: str = JUP) -> Any:
    """Return a new, unsaved row of a child's, as `World.unsaved` returns one of Position's."""
    plain = world.unsaved(world.wallet, token)
    values = {field.attname: getattr(plain, field.attname) for field in Position._meta.concrete_fields}
    return model(name)(**values)


def saved(instance: Any, **values: Any) -> Any:
    for field, value in values.items():
        setattr(instance, field, value)
    instance.save()
    return instance


def historical(name: str) -> Any:
    """Return the model as a migration has it: another class, of the same table."""
    return ProjectState.from_apps(apps).apps.get_model("positions", name)


# Writes that make events


def copy_without_key(world: World) -> None:
    """What Django's documentation says about copying rows; and the same in bulk."""
    copy = Position.objects.get(pk=world.bonk.pk)
    copy.pk, copy.token_address, copy._state.adding = None, JUP, True
    copy.save()
    Position.objects.filter(pk=copy.pk).delete()
    copy = Position.objects.get(pk=world.bonk.pk)
    copy.pk, copy.token_address = None, JUP
    Position.objects.bulk_create([copy])


def create_child(world: World) -> None:
    new = child(world)
    new.save()
    saved(new, dca_count=4, note="x")
    new.save(update_fields=["note"])
    new.dca_count = 5
    model("PositionChild").objects.bulk_update([new], ["dca_count", "note"])


def keyed_children(world: World) -> None:
    new = child(world, "KeyedChild")
    new.code = "first"
    new.save()
    saved(new, dca_count=4)
    rows = model("KeyedChild").objects.filter(code="first")
    assert rows.update(dca_count=5) == 1
    with transaction.atomic():
        assert rows.select_for_update().get().dca_count == 5
    rows.update(agent=world.other, wallet=world.others)
    rows.delete()
    agent = model("KeyedAgent")(code="first", owner=world.alice, name="keyed")
    agent.save()
    held = world.bought(Wallet.objects.create(agent=agent, address="Keyed"), JUP, "JUP")
    saved(agent, name="again")
    check(agent.id)
    key = agent.id
    model("KeyedAgent").objects.all().delete()
    assert not Position.objects.filter(pk=held.pk).exists()
    check(key)


def delete_child(world: World) -> None:
    new = child(world)
    new.save()
    new.delete()


def delete_children(world: World) -> None:
    child(world).save()
    model("PositionChild").objects.all().delete()


def delete_child_only(world: World) -> None:
    new = child(world)
    new.save()
    new.delete(keep_parents=True)


def deleted_and_loaded(world: World, *, with_events: bool) -> None:
    """An agent comes back from a dump. Its events have outlived it."""
    rows = [world.agent, world.wallet, world.live, *Position.objects.filter(agent=world.agent)]
    if with_events:
        rows += log_of(world.agent.pk)
    text = serializers.serialize("json", rows)  # the agent as of when it had no events
    saved(world.bonk, dca_count=1)
    world.agent.delete()
    for each in serializers.deserialize("json", text):
        each.save()
    Position.objects.update(dca_count=2)


def load_newer_events(world: World) -> None:
    """A dump that was made while a server wrote: its events are newer than its agent. Loaded where neither is."""
    agent = Agent.objects.create(owner=world.alice, name="gamma")
    wallet = Wallet.objects.create(agent=agent, address="Gamma")
    rows = [Agent.objects.get(pk=agent.pk), wallet]
    held = world.bought(wallet, JUP, "JUP")
    text = serializers.serialize("json", [*rows, *log_of(agent.pk), held])
    key = agent.pk
    agent.delete()
    PositionEvent.objects.filter(agent_id=key).delete()
    for each in serializers.deserialize("json", text):
        each.save()
    check(key)
    restored = PositionEvent(
        agent_id=key, seq=3, event_type="position_closed", position_id=uuid4(), created_at=held.created_at
    )
    restored.save()  # as a script would that reads dumps of another kind
    saved(Position.objects.get(pk=held.pk), dca_count=1)
    check(key)


def agent_created_again(world: World) -> None:
    key = world.agent.pk
    for create in (
        lambda agent: agent.save(),
        lambda agent: Agent.objects.bulk_create([agent, Agent(owner=world.alice, name="gamma")]),
        lambda agent: model("AgentProxy").objects.bulk_create([agent]),
    ):
        Agent.objects.get(pk=key).delete()
        create(Agent(pk=key, owner=world.alice, name="again"))
        world.bought(Wallet.objects.create(agent_id=key, address="Again"), JUP, "JUP")


def agent_copied(world: World) -> None:
    copy = Agent.objects.get(pk=world.agent.pk)
    copy.pk = uuid4()
    copy.save()
    world.bought(Wallet.objects.create(agent=copy, address="Copy"), JUP, "JUP")
    check(copy.pk)


def load_older_proxy(world: World) -> None:
    old = model("AgentProxy").objects.get(pk=world.agent.pk)
    old.event_seq = 0
    load(old)
    saved(world.bonk, dca_count=1)


def extend_row(world: World) -> None:
    """A child for a row that exists, whose own table alone is written."""
    model("PositionChild")(position_ptr=world.bonk, note="x").save_base(raw=True)


def move_child(world: World) -> None:
    new = child(world)
    new.save()
    model("PositionChild").objects.filter(note="").update(agent=world.other, wallet=world.others, note="y")


def load(*rows: Any) -> None:
    for each in serializers.deserialize("json", serializers.serialize("json", rows)):
        each.save()


def load_child(world: World) -> None:
    new = child(world)
    new.save()
    new.dca_count = 7
    text = serializers.serialize("json", [Position.objects.get(pk=new.pk), new])
    new.delete()
    for each in serializers.deserialize("json", text):
        each.save()


def save_in_pre_save(world: World) -> None:
    """Another app's receiver hands the position over after ours has run, if ours ran first."""

    def hand_over(instance: Position, **kwargs: object) -> None:
        instance.agent, instance.wallet = world.other, world.others

    pre_save.connect(hand_over, sender=Position)
    try:
        world.bonk.save()
    finally:
        pre_save.disconnect(hand_over, sender=Position)


def without_receivers(world: World) -> None:
    """As libraries for tests mute signals."""
    receivers, pre_save.receivers = pre_save.receivers, []
    pre_save.sender_receivers_cache.clear()
    try:
        saved(world.bonk, dca_count=3)
    finally:
        pre_save.receivers = receivers
        pre_save.sender_receivers_cache.clear()


def save_base(world: World) -> None:
    world.bonk.save_base(raw=True)
    world.bonk.save_base(force_update=True, update_fields=frozenset(["dca_count"]))


def locked_update(world: World) -> None:
    with transaction.atomic():
        Position.objects.select_for_update().filter(token_symbol="BONK").update(dca_count=4)
        Position.objects.select_for_update(of=("self",)).select_related("wallet").update(dca_count=5)
        Position.objects.select_for_update(no_key=True).order_by("token_symbol").update(dca_count=6)
        Position.objects.select_for_update().filter(agent__name="alpha").update(dca_count=7)


def locked_delete(world: World) -> None:
    with transaction.atomic():
        Position.objects.select_for_update().filter(token_symbol="BONK").delete()
        Agent.objects.select_for_update().filter(pk=world.agent.pk).delete()


def odd_querysets(world: World) -> None:
    rows = Position.objects
    rows.annotate(booked=Count("trades")).filter(booked__gt=0).update(dca_count=F("dca_count") + 1)
    (rows.filter(token_symbol="BONK") | rows.filter(token_symbol="WIF")).update(dca_count=2)
    rows.distinct().reverse().values("id").update(dca_count=3)
    rows.filter(pk__in=rows.order_by("created_at").values("pk")[:1]).update(dca_count=4)
    rows.filter(Exists(Trade.objects.filter(position=OuterRef("pk")))).update(
        take_profit_levels_hit=Subquery(rows.filter(pk=OuterRef("pk")).values("dca_count")[:1])
    )
    for each in rows.raw("SELECT id, agent_id FROM positions_position"):
        saved(each, dca_count=5)
    saved(rows.only("agent").get(pk=world.bonk.pk), agent=world.other)
    rows.annotate(booked=Count("trades")).filter(booked__gt=0).exclude(dca_count=9).delete()
    Agent.objects.annotate(held=Count("positions")).filter(held=0).order_by("name").delete()


def savepoints(world: World) -> None:
    """By hand, where Django itself would still do what was registered for the commit."""
    with transaction.atomic():
        world.bonk.save()
        savepoint = transaction.savepoint()
        Position.objects.all().delete()
        transaction.savepoint_rollback(savepoint)
        saved(Position.objects.get(pk=world.wif.pk), dca_count=3)
        savepoint = transaction.savepoint()
        Position.objects.update(dca_count=4)
        transaction.savepoint_commit(savepoint)


def without_autocommit(world: World) -> None:
    transaction.set_autocommit(False)
    try:
        saved(world.bonk, dca_count=3)
        savepoint = transaction.savepoint()
        Position.objects.update(dca_count=4)
        transaction.savepoint_rollback(savepoint)
        world.wif.delete()
        transaction.commit()
    finally:
        transaction.set_autocommit(True)


def move_wallet(world: World) -> None:
    saved(world.wallet, agent=world.other)


def move_wallets(world: World) -> None:
    Wallet.objects.filter(pk=world.wallet.pk).update(agent=world.other)
    world.agent.wallets.add(world.wallet)
    world.other.wallets.set([world.wallet, world.others])
    Wallet.objects.bulk_update([saved(world.wallet, agent=world.agent)], ["agent"])
    world.wallet.agent = world.other
    Wallet.objects.bulk_create(
        [world.wallet], update_conflicts=True, unique_fields=["key"], update_fields=["agent"]
    )
    load(world.wallet)
    if connection.vendor == "postgresql":  # on SQLite, a new row has no owner yet that could be in conflict
        Wallet.objects.bulk_create(
            [Wallet(address=world.wallet.address, agent=world.agent)],
            update_conflicts=True,
            unique_fields=["owner", "address"],
            update_fields=["agent"],
        )
        assert not Position.objects.filter(agent=world.other).exists()


def move_wallet_of_another_class(world: World) -> None:
    model("WalletProxy").objects.filter(pk=world.wallet.pk).update(agent_id=world.other.pk)
    saved(model("WalletProxy").objects.get(pk=world.wallet.pk), agent=world.agent)
    new = model("WalletChild")(address="Chi1d", agent=world.agent)
    new.save()
    world.bought(new, JUP, "JUP")
    saved(new, agent=world.other)
    model("WalletChild").objects.update(agent=world.agent, note="z")
    new.delete()


SEEN: dict[str, Write] = {
    "proxy: save": lambda world: saved(row("PositionProxy", world), dca_count=1),
    "proxy: save of some fields": lambda world: row("PositionProxy", world).save(update_fields=["dca_count"]),
    "proxy: deferred": lambda world: saved(
        model("PositionProxy").objects.only("dca_count").get(pk=world.bonk.pk), dca_count=1
    ),
    "proxy: delete": lambda world: row("PositionProxy", world).delete(),
    "proxy: delete many": lambda world: model("PositionProxy").objects.all().delete(),
    "proxy: update": lambda world: model("PositionProxy").objects.update(dca_count=F("dca_count") + 1),
    "proxy: hand over": lambda world: saved(
        row("PositionProxy", world), agent=world.other, wallet=world.others
    ),
    "proxy: bulk": lambda world: (
        model("PositionProxy").objects.bulk_create([world.unsaved(world.wallet, JUP)]),
        model("PositionProxy").objects.bulk_update([saved(world.bonk, dca_count=2)], ["dca_count"]),
    ),
    "proxy: update or create": lambda world: model("PositionProxy").objects.update_or_create(
        pk=world.bonk.pk, defaults={"dca_count": 8}
    ),
    "proxy of a proxy": lambda world: (
        saved(row("ProxyOfProxy", world), dca_count=1),
        row("ProxyOfProxy", world).delete(),
    ),
    "proxy with a plain manager: one row": lambda world: (
        saved(row("PlainProxy", world), dca_count=1),
        row("PlainProxy", world).delete(),
    ),
    "proxy with a plain manager: delete many": lambda world: model("PlainProxy").objects.all().delete(),
    "proxy with named managers: one row": lambda world: saved(
        model("NamedProxy").plain.get(pk=world.bonk.pk), dca_count=1
    ),
    "child: save": create_child,
    "child: delete": delete_child,
    "child: delete many": delete_children,
    "child: delete the child's row": delete_child_only,
    "child: extend a row": extend_row,
    "child: update": move_child,
    "child: load": load_child,
    "child: its position is deleted": lambda world: (
        child(world).save(),
        Position.objects.filter(token_address=JUP).delete(),
    ),
    "child: with a key of its own": keyed_children,
    "child: proxy of it": lambda world: (
        child(world, "ProxyOfChild").save(),
        model("ProxyOfChild").objects.update(dca_count=3),
        model("ProxyOfChild").objects.all().delete(),
    ),
    "child with a plain manager: one row": lambda world: child(world, "PlainChild").save(),
    "agent: proxy deleted": lambda world: model("AgentProxy").objects.filter(pk=world.agent.pk).delete(),
    "agent: child deleted": lambda world: (
        model("AgentChild")(agent_ptr=world.agent, note="x").save_base(raw=True),
        model("AgentChild").objects.all().delete(),
    ),
    "wallet: moved": move_wallet,
    "wallet: moved in every other way": move_wallets,
    "wallet: moved as another class": move_wallet_of_another_class,
    "wallet: child deleted": lambda world: (
        model("WalletChild")(wallet_ptr=world.wallet).save_base(raw=True),
        model("WalletChild").objects.all().delete(),
    ),
    "position: copied without its key": copy_without_key,
    "position: base manager": lambda world: Position._base_manager.filter(pk=world.bonk.pk).update(
        dca_count=2
    ),
    "position: save_base": save_base,
    "position: handed over in pre_save": save_in_pre_save,
    "position: receivers muted": without_receivers,
    "position: locked queryset updated": locked_update,
    "position: locked queryset deleted": locked_delete,
    "position: another of the agent's rows": lambda world: (
        world.agent.positions.filter(Q(dca_count=0)).select_related("wallet").update(dca_count=2),
        world.wallet.positions.update_or_create(token_address=BONK, status="open", defaults={"dca_count": 3}),
    ),
    "agent: deleted, loaded from a dump": lambda world: deleted_and_loaded(world, with_events=False),
    "agent: deleted, loaded with its events": lambda world: deleted_and_loaded(world, with_events=True),
    "agent: loaded before newer events": load_newer_events,
    "agent: deleted and created again": agent_created_again,
    "agent: copied": agent_copied,
    "agent: an older proxy loaded": load_older_proxy,
    "position: querysets of odd shapes": odd_querysets,
    "transaction: savepoints by hand": savepoints,
    "transaction: without autocommit": without_autocommit,
    "user: all are deleted": lambda world: type(world.alice).objects.all().delete(),
}


@pytest.mark.parametrize("path", SEEN)
def test_events_lead_from_the_state_before_to_the_state_after(world: World, path: str):
    agree(world, SEEN[path])


# Writes that are refused


def by_hand(model: type[models.Model] = Position) -> Any:
    """Return a queryset that nobody's manager made."""
    return QuerySet(model)


REFUSED: dict[str, Write] = {
    "queryset by hand: update": lambda world: by_hand().filter(pk=world.bonk.pk).update(dca_count=1),
    "queryset by hand: update by a join": lambda world: (
        by_hand().filter(agent__name="alpha").update(dca_count=1)
    ),
    "queryset by hand: bulk_create": lambda world: by_hand().bulk_create([world.unsaved(world.wallet, JUP)]),
    "queryset by hand: bulk_update": lambda world: by_hand().bulk_update([world.bonk], ["dca_count"]),
    "private: _raw_delete": lambda world: Position.objects.all()._raw_delete("default"),
    "private: _raw_delete by key": lambda world: by_hand().filter(pk=world.bonk.pk)._raw_delete("default"),
    "private: _update": lambda world: by_hand()._update([(Position._meta.get_field("dca_count"), None, 3)]),
    "private: _insert": lambda world: by_hand()._insert(
        [world.unsaved(world.wallet, JUP)], fields=Position._meta.concrete_fields, using="default"
    ),
    "plain manager: update": lambda world: model("PlainProxy").objects.update(dca_count=1),
    "plain manager: bulk_create": lambda world: model("PlainProxy").objects.bulk_create(
        [world.unsaved(world.wallet, JUP)]
    ),
    "plain manager of a child: update": lambda world: (
        child(world, "PlainChild").save(),
        model("PlainChild").objects.update(dca_count=1),
    ),
    "named managers: update": lambda world: model("NamedProxy")._base_manager.update(dca_count=1),
    "migration's model: save": lambda world: saved(
        historical("Position").objects.get(pk=world.bonk.pk), dca_count=1
    ),
    "migration's model: create": lambda world: historical("Position").objects.create(
        agent_id=world.agent.pk,
        wallet_id=world.wallet.pk,
        token_address=JUP,
        purchase_price=1,
        purchase_amount=1,
        total_invested_sol=1,
        remaining_amount=1,
    ),
    "migration's model: update": lambda world: historical("Position").objects.update(dca_count=1),
    "migration's model: delete": lambda world: historical("Position").objects.all().delete(),
    "migration's model: agent deleted": lambda world: (
        historical("Agent").objects.filter(pk=world.agent.pk).delete()
    ),
    "migration's model: wallet moved": lambda world: (
        historical("Wallet").objects.filter(pk=world.wallet.pk).update(agent_id=world.other.pk)
    ),
    "wallet: address changed": lambda world: saved(world.wallet, address="Another"),
    "wallet: address of many changed": lambda world: Wallet.objects.update(address=F("key")),
    "wallet: address changed with its agent": lambda world: Wallet.objects.filter(pk=world.wallet.pk).update(
        address="Another", agent=world.other
    ),
    "wallet: address changed in bulk": lambda world: Wallet.objects.bulk_update(
        [Wallet(key=world.wallet.key, address="Another")], ["address"]
    ),
    "wallet: address changed by a conflict": lambda world: Wallet.objects.bulk_create(
        [Wallet(key=world.wallet.key, address="Another", agent=world.agent)],
        update_conflicts=True,
        unique_fields=["key"],
        update_fields=["address"],
    ),
    "wallet: address loaded": lambda world: load(
        Wallet(key=world.wallet.key, address="Another", agent=world.agent)
    ),
    "wallet: address changed by a queryset by hand": lambda world: by_hand(Wallet).update(address="Another"),
    "wallet: key changed": lambda world: Wallet.objects.filter(pk=world.live.pk).update(key="Another"),
    "wallet: key changed by a queryset by hand": lambda world: (
        by_hand(Wallet).filter(pk=world.live.pk).update(key="Another")
    ),
    "agent: none of that id": lambda world: saved(world.bonk, agent_id=uuid4()),
    "agent: loaded after its positions": lambda world: load_before_agent(world),
    "key changed": lambda world: Position.objects.filter(pk=world.bonk.pk).update(id=uuid4()),
    "agent: number set": lambda world: Agent.objects.filter(pk=world.agent.pk).update(event_seq=0),
    "agent: number raised": lambda world: Agent.objects.update(event_seq=F("event_seq") + 1),
    "agent: number set in bulk": lambda world: Agent.objects.bulk_update([world.agent], ["event_seq"]),
    "agent: number set by a conflict": lambda world: Agent.objects.bulk_create(
        [world.agent], update_conflicts=True, unique_fields=["id"], update_fields=["name", "event_seq"]
    ),
    "trade: changed": lambda world: by_hand(Trade).update(tokens=1),
    "trade: changed by key": lambda world: Trade(pk=Trade.objects.values_list("pk", flat=True)[0]).save(
        force_update=True
    ),
    "trade: changed as another class": lambda world: model("TradeProxy").objects.update(tokens=1),
    "trade: changed by a conflict": lambda world: by_hand(Trade).bulk_create(
        Trade.objects.all(), update_conflicts=True, unique_fields=["id"], update_fields=["tokens"]
    ),
    "deletion whose receivers are muted": lambda world: muted_delete(world),
}


def load_before_agent(world: World) -> None:
    row = world.unsaved(world.wallet, JUP)
    row.agent_id = uuid4()
    load(row)


def muted_delete(world: World) -> None:
    receivers, pre_delete.receivers = pre_delete.receivers, []
    pre_delete.sender_receivers_cache.clear()
    try:
        world.bonk.delete()
    finally:
        pre_delete.receivers = receivers
        pre_delete.sender_receivers_cache.clear()


@pytest.mark.parametrize("path", REFUSED)
def test_write_that_cannot_be_seen_is_refused_and_nothing_changes(world: World, path: str):
    def write(world: World) -> None:
        with pytest.raises(
            UnseenWrite, match=r"positions_\w+ refused: |id of a position|of a wallet|does not exist"
        ):
            REFUSED[path](world)

    agree(world, write)
    world.bonk.refresh_from_db()
    assert world.bonk.dca_count == 0


@isolate_apps("positions")
def test_unmanaged_model_of_the_same_table_is_refused(world: World):
    class Shadow(models.Model):  # noqa: DJ008
        id = models.UUIDField(primary_key=True)
        dca_count = models.IntegerField()

        class Meta:
            app_label = "positions"
            managed = False
            db_table = "positions_position"

    shadows: Any = Shadow._default_manager

    def write(world: World) -> None:
        with pytest.raises(UnseenWrite):
            shadows.update(dca_count=1)
        with pytest.raises(UnseenWrite):
            saved(shadows.get(pk=world.bonk.pk), dca_count=1)

    agree(world, write)


# Refused at start


def test_check_names_models_and_managers_that_would_write_unseen():
    found = {(message.id, message.msg.split()[0]) for message in models_that_write_unseen(None)}
    assert found == {
        ("positions.E004", "positions.PlainProxy.objects"),
        ("positions.E004", "positions.NamedProxy.plain"),
        ("positions.E004", "positions.PlainChild.objects"),
        ("positions.E004", "positions.TradeProxy.objects"),
    }
    with pytest.raises(
        SystemCheckError, match=r"positions\.E004.*\n.*objects = PositionQuerySet\.as_manager\(\)"
    ):
        call_command("check")


def test_check_names_another_model_of_the_same_table(declared: None):
    shadow: Any = type(
        "ShadowOfWallet",
        (models.Model,),
        {
            "__module__": __name__,
            "Meta": type(
                "Meta", (), {"app_label": "positions", "managed": False, "db_table": "Positions_Wallet"}
            ),
        },
    )
    try:
        (message,) = [each for each in models_that_write_unseen(None) if each.id == "positions.E003"]
        assert (
            message.msg
            == "positions.ShadowOfWallet is a model of positions_wallet, whose writes must make events."
        )
        assert message.hint == "Declare a subclass of Wallet, with proxy = True if it has no fields."
    finally:
        del apps.all_models["positions"][shadow._meta.model_name]
        apps.clear_cache()


class Elsewhere:
    def db_for_write(self, model: type[models.Model], **hints: object) -> str:
        return "archive" if issubclass(model, Position) else "default"


def test_check_names_what_a_router_writes_elsewhere(settings):
    settings.DATABASE_ROUTERS = [Elsewhere()]
    (message,) = primary_database(None)
    assert (message.id, message.msg) == (
        "positions.E005",
        "A database router has Position written in 'archive'.",
    )


# After changes by SQL


def test_sql_written_by_hand_passes(world: World):
    with connection.cursor() as cursor:
        cursor.execute('UPDATE "positions_position" SET "dca_count" = 1')
        cursor.execute('UPDATE "positions_position" SET "dca_count" = %s', [2])
        cursor.execute("UPDATE positions_position SET dca_count = %s", (3,))
        cursor.executemany('UPDATE "positions_position" SET "dca_count" = %s', [(4,)])
    world.bonk.refresh_from_db()
    assert world.bonk.dca_count == 4
    assert world.sent == []


def test_resync_leaves_a_number_out_and_names_what_it_does_not_know(world: World):
    out = StringIO()
    call_command("resync", str(world.agent.pk), stdout=out)
    assert out.getvalue() == "Clients of 1 agent get a fresh initial_data.\n"
    call_command("resync", "--all", stdout=StringIO())
    assert (world.seq(world.agent), world.seq(world.other)) == (4, 1)
    assert world.sent == []
    unknown = uuid4()
    for arguments, problem in [
        ([str(unknown)], f"There is no agent {unknown}."),
        (["nonsense"], "'nonsense' is not the id of an agent."),
        ([], "Name agents by their ids, or use --all."),
        (["--all", str(unknown)], "Name agents by their ids, or use --all."),
    ]:
        with pytest.raises(CommandError, match=re.escape(problem)):
            call_command("resync", *arguments)
    assert world.seq(world.agent) == 4
