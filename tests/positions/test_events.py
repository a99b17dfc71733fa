"""Every kind of write through Django creates events: numbered, complete, sent on commit."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from asgiref.sync import sync_to_async
from django.core import serializers
from django.core.management import call_command
from django.db import IntegrityError, connections, transaction
from django.db.models import Case, F, Value, When
from django.db.models.functions import Concat, Length
from django.utils import timezone

from positions.models import Agent, Position, PositionEvent, recording
from positions.services import buy_more, close_position, move_stop_loss, take_profit
from positions.signals import position_events_committed
from tests.conftest import BONK, JUP
from tests.positions.world import BASE58, CLOSED, CREATED, UPDATED, World, check, fetch, fold, log_of

pytestmark = pytest.mark.django_db(transaction=True)


# Services


def test_services_each_make_one_event(world: World):
    jup = world.bought(world.wallet, JUP, "JUP")
    buy_more(position_id=jup.pk, tokens=Decimal(1), spent_sol=Decimal(1))
    take_profit(position_id=jup.pk, tokens=Decimal(1), proceeds_sol=Decimal(1))
    move_stop_loss(position_id=jup.pk, percentage=Decimal(-5))
    close_position(position_id=jup.pk, proceeds_sol=Decimal(1))
    world.expect((CREATED, jup), (UPDATED, jup), (UPDATED, jup), (UPDATED, jup), (CLOSED, jup))


def test_take_profit_of_all_is_a_closing(world: World):
    take_profit(position_id=world.bonk.pk, tokens=Decimal(1000), proceeds_sol=Decimal(1))
    world.expect((CLOSED, world.bonk))


# One instance


def test_save_of_a_new_position_is_a_creation(world: World):
    new = world.unsaved(world.wallet, JUP)
    new.save()
    world.expect((CREATED, new))


def test_save_of_a_new_closed_position_is_a_closing(world: World):
    new = world.unsaved(world.wallet, JUP, status="closed", closed_at=timezone.now())
    new.save()
    world.expect((CLOSED, new))


def test_save_of_a_change_is_an_update(world: World):
    world.bonk.token_symbol = "B"
    world.bonk.save()
    world.expect((UPDATED, world.bonk))


def test_save_of_a_closing_and_a_reopening_is_both(world: World):
    world.bonk.status, world.bonk.closed_at = "closed", timezone.now()
    world.bonk.save()
    world.bonk.status, world.bonk.closed_at = "open", None
    world.bonk.save()
    world.expect((CLOSED, world.bonk), (CREATED, world.bonk))


def test_save_of_some_fields_records_what_the_database_holds(world: World):
    world.bonk.token_symbol, world.bonk.dca_count = "not saved", 3
    world.bonk.save(update_fields=["dca_count"])
    world.expect((UPDATED, world.bonk))
    position = world.sent[-1].position
    assert position is not None
    assert (position["token_symbol"], position["dca_count"]) == ("BONK", 3)


def test_save_of_no_fields_is_no_event(world: World):
    world.bonk.save(update_fields=[])
    world.expect()


def test_save_of_an_expression_records_the_result(world: World):
    world.bonk.dca_count = F("dca_count") + 2
    world.bonk.token_symbol = Concat(F("token_symbol"), Value("2"))
    world.bonk.save()
    world.expect((UPDATED, world.bonk))
    position = world.sent[-1].position
    assert position is not None
    assert (position["token_symbol"], position["dca_count"]) == ("BONK2", 2)


def test_save_of_a_float_records_the_digits_stored(world: World):
    world.bonk.peak_price = 0.1
    world.bonk.save()
    world.expect((UPDATED, world.bonk))


def test_save_of_a_stale_instance_records_what_it_overwrote(world: World):
    stale = Position.objects.get(pk=world.bonk.pk)
    close_position(position_id=world.bonk.pk, proceeds_sol=Decimal(1))
    stale.save()
    world.expect((CLOSED, stale), (CREATED, stale))


def test_save_of_a_deferred_instance_is_an_update(world: World):
    deferred = Position.objects.only("token_symbol").get(pk=world.bonk.pk)
    deferred.token_symbol = "B"
    deferred.save()
    world.expect((UPDATED, world.bonk))


def test_save_of_a_copy_is_a_creation(world: World):
    copy = Position.objects.get(pk=world.bonk.pk)
    copy.pk, copy.token_address, copy._state.adding = UUID(int=7), JUP, True
    copy.save()
    world.expect((CREATED, UUID(int=7)))


def test_save_to_another_agent_closes_there_and_creates_here(world: World):
    world.bonk.agent, world.bonk.wallet = world.other, world.others
    world.bonk.save()
    world.expect((CLOSED, world.bonk), other=((CREATED, world.bonk),))


def test_save_that_fails_leaves_no_event_and_the_next_save_works(world: World):
    second = world.unsaved(world.wallet, BONK)
    with pytest.raises(IntegrityError):
        second.save()
    world.expect()
    second.token_address = JUP
    second.save()
    world.expect((CREATED, second))


def test_delete_is_a_closing(world: World):
    key = world.bonk.pk
    world.bonk.delete()
    world.expect((CLOSED, key))


def test_delete_of_a_position_that_is_gone_is_no_event(world: World):
    twin = Position.objects.get(pk=world.bonk.pk)
    key = twin.pk
    world.bonk.delete()
    twin.delete()
    world.expect((CLOSED, key))


# Managers and querysets


def test_get_or_create_and_update_or_create_record_what_they_did(world: World):
    key: dict[str, Any] = {"wallet": world.wallet, "token_address": JUP}
    rest: dict[str, Any] = {
        "agent": world.agent,
        "token_symbol": "JUP",
        "purchase_price": Decimal(1),
        "purchase_amount": Decimal(1),
        "remaining_amount": Decimal(1),
        "total_invested_sol": Decimal(1),
    }
    jup, _ = Position.objects.get_or_create(**key, defaults=rest)
    Position.objects.get_or_create(**key, defaults=rest)
    Position.objects.update_or_create(**key, defaults={"dca_count": 1})
    ray, _ = Position.objects.update_or_create(wallet=world.wallet, token_address="Ray", defaults=rest)
    world.expect((CREATED, jup), (UPDATED, jup), (CREATED, ray))


def test_update_is_one_event_for_every_row(world: World):
    Position.objects.all().update(dca_count=5)
    world.expect((UPDATED, world.bonk), (UPDATED, world.wif), in_any_order=True)
    assert [event.position and event.position["dca_count"] for event in world.sent] == [5, 5]


def test_update_moves_the_time_of_the_last_change(world: World):
    Position.objects.update(dca_count=5)
    fresh = Position.objects.get(pk=world.bonk.pk)
    assert fresh.updated_at > world.bonk.updated_at
    moment = timezone.now() - timedelta(days=1)
    Position.objects.update(updated_at=moment)
    assert Position.objects.get(pk=world.bonk.pk).updated_at == moment


def test_update_of_nothing_is_no_event_and_sends_nothing(world: World):
    batches: list[object] = []

    def count(**kwargs: object) -> None:
        batches.append(kwargs["events"])

    position_events_committed.connect(count)
    assert Position.objects.filter(token_symbol="none").update(dca_count=1) == 0
    assert Position.objects.none().update(dca_count=1) == 0
    position_events_committed.disconnect(count)
    world.expect()
    assert batches == []


def test_update_by_an_annotation_and_an_expression_records_the_result(world: World):
    rows = Position.objects.annotate(length=Length("token_symbol")).filter(length=4)
    assert rows.update(dca_count=F("dca_count") + 7, token_symbol=Concat(F("token_symbol"), Value("!"))) == 1
    world.expect((UPDATED, world.bonk))
    position = world.sent[-1].position
    assert position is not None
    assert (position["dca_count"], position["token_symbol"]) == (7, "BONK!")


def test_update_whose_own_filter_no_longer_matches_is_recorded(world: World):
    assert Position.objects.filter(dca_count=0, token_symbol="BONK").update(dca_count=1) == 1
    world.expect((UPDATED, world.bonk))


def test_update_by_a_join_is_one_event_for_every_row(world: World):
    # The agent has two wallets: the join gives each position twice.
    Position.objects.filter(agent__wallets__created_at__lte=timezone.now()).update(dca_count=1)
    world.expect((UPDATED, world.bonk), (UPDATED, world.wif), in_any_order=True)


def test_update_of_closed_and_reopened_positions_is_recorded(world: World):
    Position.objects.filter(pk=world.bonk.pk).update(status="closed", closed_at=timezone.now())
    Position.objects.filter(pk=world.bonk.pk).update(status="open", closed_at=None)
    world.expect((CLOSED, world.bonk), (CREATED, world.bonk))


def test_update_over_several_agents_is_recorded_for_each(world: World):
    jup = world.bought(world.others, JUP, "JUP")
    Position.objects.update(dca_count=1)
    expected = [(UPDATED, world.bonk), (UPDATED, world.wif)]
    world.expect(*expected, other=((CREATED, jup), (UPDATED, jup)), in_any_order=True)


@pytest.mark.parametrize("named", ["agent", "agent_id"])
def test_update_of_the_agent_closes_there_and_creates_here(world: World, named: str):
    agent = world.other if named == "agent" else world.other.pk
    Position.objects.filter(pk=world.bonk.pk).update(wallet=world.others, **{named: agent})
    world.expect((CLOSED, world.bonk), other=((CREATED, world.bonk),))


def test_update_of_more_rows_than_a_statement_holds_records_each(world: World):
    rows = [world.unsaved(world.wallet, BASE58[i // 58] + BASE58[i % 58]) for i in range(510)]
    Position.objects.bulk_create(rows)
    assert Position.objects.filter(token_symbol="NEW").update(dca_count=1, token_symbol="OLD") == 510
    assert Position.objects.filter(token_symbol="OLD").delete()[0] == 510
    assert len(log_of(world.agent.pk)) == 2 + 3 * 510
    check(world.agent.pk)


def test_delete_of_a_queryset_closes_each(world: World):
    Position.objects.filter(token_symbol__in=["BONK", "WIF"]).delete()
    world.expect((CLOSED, world.bonk.pk), (CLOSED, world.wif.pk), in_any_order=True)


def test_sliced_update_and_delete_are_refused_as_django_does(world: World):
    with pytest.raises(TypeError, match="Cannot update a query once a slice has been taken"):
        Position.objects.all()[:1].update(dca_count=1)
    with pytest.raises(TypeError, match="Cannot use 'limit' or 'offset' with delete"):
        Position.objects.all()[:1].delete()
    world.expect()


def test_bulk_create_is_one_creation_for_every_row(world: World):
    rows = [world.unsaved(wallet, JUP) for wallet in (world.wallet, world.live, world.others)]
    Position.objects.bulk_create(rows)
    world.expect((CREATED, rows[0]), (CREATED, rows[1]), other=((CREATED, rows[2]),))


@pytest.mark.parametrize("arguments", [((), {"ignore_conflicts": True}), ((None, True), {})])
def test_bulk_create_that_ignores_conflicts_records_only_what_was_written(world: World, arguments):
    positional, named = arguments
    new = world.unsaved(world.wallet, JUP)
    clash = world.unsaved(world.wallet, BONK)
    Position.objects.bulk_create([world.bonk, new, clash], *positional, **named)
    world.expect((CREATED, new))


def test_bulk_create_of_the_same_row_twice_is_one_creation(world: World):
    new = world.unsaved(world.wallet, JUP)
    Position.objects.bulk_create([new, new], ignore_conflicts=True)
    world.expect((CREATED, new))


def test_bulk_create_that_updates_conflicts_records_both(world: World):
    new = world.unsaved(world.wallet, JUP)
    world.bonk.token_symbol = "B"
    world.wif.agent, world.wif.wallet = world.other, world.others
    Position.objects.bulk_create(
        [world.bonk, new, world.wif],
        update_conflicts=True,
        unique_fields=["id"],
        update_fields=["token_symbol", "agent", "wallet"],
    )
    world.expect((UPDATED, world.bonk), (CREATED, new), (CLOSED, world.wif), other=((CREATED, world.wif),))


def test_bulk_update_is_one_event_for_every_row(world: World):
    world.bonk.dca_count, world.wif.status, world.wif.closed_at = 3, "closed", timezone.now()
    Position.objects.bulk_update([world.bonk, world.wif], ["dca_count", "status", "closed_at"], batch_size=1)
    world.expect((UPDATED, world.bonk), (CLOSED, world.wif))


def test_bulk_update_of_the_agent_closes_there_and_creates_here(world: World):
    world.bonk.agent, world.bonk.wallet = world.other, world.others
    Position.objects.bulk_update([world.bonk], ["agent", "wallet"])
    world.expect((CLOSED, world.bonk), other=((CREATED, world.bonk),))


def test_update_by_case_of_the_agent_closes_there_and_creates_here(world: World):
    chosen = Case(When(token_symbol="BONK", then=Value(world.other.pk)), default=F("agent_id"))
    Position.objects.update(agent_id=chosen)
    expected = [(CLOSED, world.bonk), (UPDATED, world.wif)]
    world.expect(*expected, other=((CREATED, world.bonk),), in_any_order=True)


def test_related_managers_record_what_they_did(world: World):
    new = world.wallet.positions.create(
        agent=world.agent,
        token_address=JUP,
        token_symbol="JUP",
        purchase_price=Decimal(1),
        purchase_amount=Decimal(1),
        remaining_amount=Decimal(1),
        total_invested_sol=Decimal(1),
    )
    world.live.positions.add(new)
    world.live.positions.add(world.wif, bulk=False)
    world.live.positions.filter(pk=new.pk).update(dca_count=1)
    world.agent.positions.filter(pk=new.pk).delete()
    world.expect(
        (CREATED, new.pk), (UPDATED, new.pk), (UPDATED, world.wif), (UPDATED, new.pk), (CLOSED, new.pk)
    )


def test_related_manager_of_another_agent_takes_over(world: World):
    world.other.positions.add(world.bonk)
    world.expect((CLOSED, world.bonk), other=((CREATED, world.bonk),))


async def test_asynchronous_writes_are_recorded_like_the_others(world: World):
    new, other = world.unsaved(world.wallet, JUP), world.unsaved(world.live, JUP)
    await new.asave()
    await Position.objects.abulk_create([other])
    await Position.objects.filter(pk=new.pk).aupdate(dca_count=1)
    other.dca_count = 2
    await Position.objects.abulk_update([other], ["dca_count"])
    await Position.objects.filter(pk=other.pk).adelete()
    key = new.pk
    await new.adelete()
    expected = [(CREATED, key), (CREATED, other.pk), (UPDATED, key), (UPDATED, other.pk)]
    await sync_to_async(world.expect)(*expected, (CLOSED, other.pk), (CLOSED, key))
    await sync_to_async(connections.close_all)()  # of the thread that the asynchronous ORM works in


# Cascades and fixtures


def test_delete_of_a_wallet_closes_what_it_held(world: World):
    held = [world.bonk.pk, world.wif.pk]
    jup = world.bought(world.live, JUP, "JUP")
    world.wallet.delete()
    world.expect((CREATED, jup), *((CLOSED, key) for key in held), in_any_order=True)


def test_delete_of_an_agent_closes_what_it_held_and_leaves_its_events(world: World):
    held = [world.bonk.pk, world.wif.pk]
    Agent.objects.get(pk=world.agent.pk).delete()
    world.expect(*((CLOSED, key) for key in held), in_any_order=True)


def test_delete_of_a_user_closes_what_the_agents_held(world: World):
    held = [world.bonk.pk, world.wif.pk]
    jup = world.bought(world.others, JUP, "JUP")
    world.alice.delete()
    world.expect(
        *((CLOSED, key) for key in held), other=((CLOSED, jup.pk), (CREATED, jup.pk)), in_any_order=True
    )


def test_loaddata_records_what_it_changed_and_added(world: World, tmp_path):
    fixture = tmp_path / "positions.json"
    world.bonk.dca_count = 9
    new = world.unsaved(world.wallet, JUP)
    fixture.write_text(serializers.serialize("json", [world.bonk, new]))
    call_command("loaddata", fixture, verbosity=0)
    world.expect((UPDATED, world.bonk), (CREATED, new))


def test_loaddata_of_an_old_agent_never_sets_its_event_seq_back(world: World, tmp_path):
    fixture = tmp_path / "agents.json"
    fixture.write_text(serializers.serialize("json", [world.agent]))  # read when its event_seq was 0
    call_command("loaddata", fixture, verbosity=0)
    world.bonk.save()
    world.expect((UPDATED, world.bonk))


@pytest.mark.django_db(transaction=True, reset_sequences=True)
def test_loaddata_of_a_whole_dump_into_an_empty_database_leaves_no_gap(world: World, tmp_path):
    dump = tmp_path / "dump.json"
    call_command("dumpdata", "auth.user", "positions", output=dump, verbosity=0)
    call_command("flush", interactive=False, verbosity=0)
    call_command("loaddata", dump, verbosity=0)
    check(world.agent.pk)
    Position.objects.update(dca_count=1)
    check(world.agent.pk)


def test_deserialized_position_saved_outside_a_transaction_is_recorded(world: World):
    world.bonk.dca_count = 9
    text = serializers.serialize("json", [world.bonk])
    for deserialized in serializers.deserialize("json", text):
        deserialized.save()
    world.expect((UPDATED, world.bonk))


# Commit and rollback


def test_rollback_sends_nothing_and_leaves_the_numbers(world: World):
    with transaction.atomic():
        world.bonk.save()
        Position.objects.update(dca_count=1)
        world.wif.delete()
        transaction.set_rollback(True)
    world.expect()
    assert world.seq(world.agent) == 2


def test_rollback_of_a_savepoint_takes_its_events_only(world: World):
    with transaction.atomic():
        world.bonk.save()
        with transaction.atomic():
            world.wif.save()
            transaction.set_rollback(True)
        world.bonk.save()
    world.expect((UPDATED, world.bonk), (UPDATED, world.bonk))


def test_events_are_sent_after_the_commit_and_not_before(world: World):
    with transaction.atomic():
        world.bonk.save()
        assert world.sent == []
        assert len(log_of(world.agent.pk)) == 3
    world.expect((UPDATED, world.bonk))


def test_receiver_that_raises_fails_neither_the_write_nor_the_others(world: World, caplog):
    def broken(**kwargs: object) -> None:
        raise RuntimeError("receiver is broken")

    position_events_committed.disconnect(world.receive)
    position_events_committed.connect(broken)
    position_events_committed.connect(world.receive)
    try:
        world.bonk.token_symbol = "B"
        world.bonk.save()
        with transaction.atomic():
            Position.objects.filter(pk=world.wif.pk).update(dca_count=1)
    finally:
        position_events_committed.disconnect(broken)
    world.expect((UPDATED, world.bonk), (UPDATED, world.wif))
    assert "receiver is broken" in caplog.text  # not swallowed


def test_receiver_of_another_app_that_saves_again_is_recorded_too(world: World):
    """Such a receiver may run before ours: its app may stand first in INSTALLED_APPS."""
    from django.db.models.signals import post_save

    def save_again(instance: Position, **kwargs: object) -> None:
        if instance.dca_count == 0:
            instance.dca_count = 1
            instance.save()

    post_save.connect(save_again, sender=Position)
    post_save.receivers.insert(0, post_save.receivers.pop())
    post_save.sender_receivers_cache.clear()
    try:
        world.bonk.save()
    finally:
        post_save.disconnect(save_again, sender=Position)
    kinds = {(event.event_type, event.position_id) for event in world.sent}
    assert kinds == {(UPDATED, world.bonk.pk)}
    check(world.agent.pk)


def test_event_seq_survives_a_stale_agent(world: World):
    stale = Agent.objects.get(pk=world.agent.pk)
    world.bonk.save()
    stale.name = "renamed"
    stale.save()
    Agent.objects.bulk_update([stale], ["name"])
    world.bonk.save()
    world.expect((UPDATED, world.bonk), (UPDATED, world.bonk))


def test_missed_gives_what_came_after_in_order_and_no_more_than_asked(world: World):
    for _ in range(4):
        world.bonk.save()
    world.bought(world.others, JUP, "JUP")
    assert [event.seq for event in recording.missed(world.agent.pk, after=2, limit=3)] == [3, 4, 5]
    assert [event.seq for event in recording.missed(world.agent.pk, after=5, limit=3)] == [6]
    assert list(recording.missed(world.agent.pk, after=6, limit=3)) == []


# State before + events = fresh fetch


def random_write(world: World, dice: random.Random, number: int) -> Callable[[], object]:
    """Return a write, picked at random, that is allowed by the state that it meets."""

    def new(suffix: str) -> Position:
        return world.unsaved(wallet, f"{BASE58[number]}{suffix}")

    wallet = dice.choice([world.wallet, world.live, world.others])
    rows = list(Position.objects.order_by("created_at", "token_address"))
    one = dice.choice(rows) if rows else new("3")
    few = Position.objects.filter(pk__in=[row.pk for row in dice.sample(rows, min(3, len(rows)))])
    agent = dice.choice([world.agent, world.other])
    percentage = Decimal(dice.randrange(-50, 50))
    one.dca_count += 1
    writes: list[Callable[[], object]] = [
        new("1").save,
        lambda: Position.objects.bulk_create([new("1"), new("2")]),
        one.save,
        one.delete,
        lambda: few.update(dca_count=F("dca_count") + 1),
        lambda: few.update(agent=agent),
        lambda: few.update(status="closed", closed_at=timezone.now()),
        lambda: Position.objects.bulk_update([one], ["dca_count"]),
        lambda: world.live.positions.add(one, bulk=False),
    ]
    if one.status == "open" and not one._state.adding:
        writes += [
            lambda: buy_more(position_id=one.pk, tokens=Decimal("0.7"), spent_sol=Decimal("0.3")),
            lambda: move_stop_loss(position_id=one.pk, percentage=percentage),
            lambda: close_position(position_id=one.pk, proceeds_sol=Decimal(1)),
        ]
    return dice.choice(writes)


@pytest.mark.parametrize("seed", range(4))
def test_state_before_and_the_events_since_are_the_state_after(world: World, seed: int):
    dice = random.Random(seed)  # noqa: S311
    known = {agent.pk: (world.seq(agent), fetch(agent.pk)) for agent in (world.agent, world.other)}
    for number in range(50):
        write = random_write(world, dice, number)
        rolled_back = dice.random() < 0.15
        with transaction.atomic():
            write()
            transaction.set_rollback(rolled_back)
        if number == 25:  # a client connects in the middle, too
            known = {agent_id: (world.seq(Agent(pk=agent_id)), fetch(agent_id)) for agent_id in known}
    for agent_id, (seq, state) in known.items():
        check(agent_id)
        since = [event for event in log_of(agent_id) if event.seq > seq]
        assert json.dumps(fold(since, state), sort_keys=True) == json.dumps(fetch(agent_id), sort_keys=True)
    assert len(world.sent) == PositionEvent.objects.count() - 2
