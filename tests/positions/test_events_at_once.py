"""Concurrent writers: their events are numbered in the order of their commits, without deadlocks."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from uuid import UUID

import pytest
from django.db import transaction
from django.db.models import F

from positions.models import Agent, Mode, Position, Wallet
from positions.services import move_stop_loss
from testbed.processes import PATIENCE_SECONDS
from tests.conftest import BONK, JUP
from tests.positions.threads import at_once, on_own_connection, wait_until_blocked
from tests.positions.world import UPDATED, World, check, log_of

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.mark.postgresql
def test_writers_at_once_number_their_events_without_a_gap_that_anyone_could_see(world: World):
    writing = threading.Event()
    writing.set()
    gaps: list[list[int]] = []

    def watch() -> None:
        while writing.is_set():
            seen = [event.seq for event in log_of(world.agent.pk)]
            if seen != list(range(1, len(seen) + 1)):
                gaps.append(seen)

    def write(key: UUID, how: int) -> Callable[[], None]:
        def run() -> None:
            for count in range(25):
                if how % 2:
                    move_stop_loss(position_id=key, percentage=Decimal(count))
                else:
                    Position.objects.filter(pk=key).update(dca_count=count)

        return run

    with ThreadPoolExecutor(1) as pool:
        watcher = pool.submit(on_own_connection, watch)
        try:
            at_once(*(write(position.pk, how) for how in range(2) for position in (world.bonk, world.wif)))
        finally:
            writing.clear()
        watcher.result(PATIENCE_SECONDS)
    assert gaps == []
    assert world.seq(world.agent) == 102
    check(world.agent.pk)
    assert sorted(event.seq for event in world.sent) == list(range(3, 103))


@pytest.mark.postgresql
def test_second_writer_waits_for_the_first_and_is_numbered_after_it(world: World):
    with ThreadPoolExecutor(1) as pool:
        with transaction.atomic():
            world.bonk.save()
            second = pool.submit(on_own_connection, world.wif.save)
            wait_until_blocked(second)
            Position.objects.filter(pk=world.bonk.pk).update(dca_count=1)
        second.result(PATIENCE_SECONDS)
    world.expect((UPDATED, world.bonk), (UPDATED, world.bonk), (UPDATED, world.wif), of_threads=True)


def both(first: Position, second: Position) -> Callable[[], None]:
    """Write both positions in one transaction, in this order, again and again."""

    def run() -> None:
        for _ in range(10):
            with transaction.atomic():
                first.save()
                Position.objects.filter(pk=second.pk).update(dca_count=F("dca_count") + 1)

    return run


@pytest.mark.postgresql
def test_writers_of_one_agent_that_cross_each_other_do_not_deadlock(world: World):
    at_once(both(world.bonk, world.wif), both(world.wif, world.bonk))
    assert world.seq(world.agent) == 2 + 40
    check(world.agent.pk)


@pytest.mark.postgresql
def test_updates_over_several_agents_that_cross_each_other_do_not_deadlock(world: World):
    world.bought(world.others, JUP, "JUP")

    def update_all(order: str) -> Callable[[], None]:
        def run() -> None:
            for _ in range(10):
                Position.objects.order_by(order).update(dca_count=F("dca_count") + 1)

        return run

    at_once(update_all("agent_id"), update_all("-agent_id"))
    check(world.agent.pk)
    check(world.other.pk)
    assert [world.seq(world.agent), world.seq(world.other)] == [2 + 40, 1 + 20]


@pytest.mark.postgresql
def test_hand_overs_that_cross_each_other_do_not_deadlock(world: World):
    jup = world.bought(world.others, JUP, "JUP")

    def hand_over(position: Position, wallets: tuple[Wallet, Wallet]) -> Callable[[], None]:
        def run() -> None:
            for wallet in wallets * 10:
                position.wallet, position.agent_id = wallet, wallet.agent_id
                position.save()

        return run

    at_once(hand_over(world.bonk, (world.others, world.wallet)), hand_over(jup, (world.wallet, world.others)))
    check(world.agent.pk)
    check(world.other.pk)


@pytest.mark.postgresql
def test_writers_that_add_wallets_to_one_agent_do_not_deadlock(world: World):
    agent = Agent.objects.create(owner=world.alice, name="gamma")
    added = threading.Barrier(2)

    def add(kind: Mode) -> Callable[[], None]:
        def run() -> None:
            with transaction.atomic():
                wallet = Wallet.objects.create(agent=agent, address=f"G{kind[0].upper()}", kind=kind)
                added.wait(PATIENCE_SECONDS)
                world.bought(wallet, BONK, "BONK")

        return run

    at_once(add(Mode.SIMULATION), add(Mode.LIVE))
    check(agent.pk)


@pytest.mark.postgresql
def test_update_or_create_and_a_service_at_once_do_not_deadlock(world: World):
    def update_or_create() -> None:
        for count in range(20):
            Position.objects.update_or_create(pk=world.bonk.pk, defaults={"dca_count": count})

    def move() -> None:
        for count in range(20):
            move_stop_loss(position_id=world.bonk.pk, percentage=Decimal(count))

    at_once(update_or_create, move)
    check(world.agent.pk)


@pytest.mark.postgresql
def test_deletes_of_users_and_updates_that_cross_do_not_deadlock(world: World):
    world.bought(world.others, JUP, "JUP")

    def delete() -> None:
        world.alice.delete()

    def update() -> None:
        for count in range(20):
            Position.objects.update(dca_count=count)

    at_once(delete, update)
    assert not Position.objects.exists()
    check(world.agent.pk)
    check(world.other.pk)
