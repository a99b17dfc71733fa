"""The places of watchers in Redis or Valkey: so many an agent over all processes, and none is lost for good."""

from __future__ import annotations

import uuid

import pytest

from positions import valkey
from realtime.hub.ownership import EXPIRE_SECONDS, Ownership, TooManySockets, user_key
from realtime.hub.watchers import (
    PLACES_PER_CALL,
    Watch,
    WatchersFull,
    agent_key,
    new_place,
    release_place,
    renew_places,
    take_place,
    take_places,
    watcher_counts,
)

USER = 1


@pytest.fixture(autouse=True)
def two_watchers(settings) -> None:
    settings.NEXGENT = {**settings.NEXGENT, "AGENT_WATCHERS": 2}


@pytest.fixture
def agent_id() -> str:
    return str(uuid.uuid4())


async def taken(agent_id: str, user: object = USER) -> Watch:
    watch = Watch(agent_id, user, new_place())
    assert await take_place(watch) == watch.place
    return watch


async def test_agent_has_no_more_watchers_than_the_limit_and_other_agents_have_their_own(agent_id):
    first, _ = await taken(agent_id), await taken(agent_id)
    with pytest.raises(WatchersFull):
        await taken(agent_id)
    await taken(str(uuid.uuid4()))
    await release_place(first)
    await taken(agent_id)


async def test_many_places_are_taken_in_one_call_and_each_gets_its_own_answer(agent_id, settings):
    settings.NEXGENT = {**settings.NEXGENT, "USER_SOCKETS": 3}
    others = [str(uuid.uuid4()) for _ in range(3)]
    answers = await take_places([Watch(each, USER, new_place()) for each in [agent_id] * 3 + others])
    assert [type(answer) for answer in answers] == [
        *(int, int, WatchersFull),
        *(int, TooManySockets, TooManySockets),
    ]
    assert len({answer for answer in answers if isinstance(answer, int)}) == 3


async def test_who_asks_again_takes_no_second_place(agent_id, settings):
    """The first answer came too late: a slow server had given the place all the same."""
    settings.NEXGENT = {**settings.NEXGENT, "USER_SOCKETS": 2}
    watch = Watch(agent_id, USER, new_place())
    assert [await take_place(watch) for _ in range(3)] == [watch.place] * 3
    await taken(agent_id)
    assert watcher_counts([uuid.UUID(agent_id)]) == {uuid.UUID(agent_id): 2}
    assert await take_place(watch) == watch.place  # also where no other is left
    with pytest.raises(WatchersFull):
        await taken(agent_id)


async def test_places_of_a_process_that_was_killed_come_free(agent_id):
    places = [await taken(agent_id) for _ in range(2)]
    assert 0 < await valkey.async_client().pttl(agent_key(agent_id)) <= EXPIRE_SECONDS * 1000
    await valkey.async_client().zadd(agent_key(agent_id), {str(places[0].place): 1})  # ms: long ago
    assert watcher_counts([uuid.UUID(agent_id)]) == {uuid.UUID(agent_id): 1}
    await taken(agent_id)


async def test_places_are_kept_by_reconciliation_and_taken_again_after_a_restart(agent_id, settings):
    settings.NEXGENT = {**settings.NEXGENT, "USER_SOCKETS": 2}
    places = [await taken(agent_id) for _ in range(2)]
    await valkey.async_client().flushdb()
    assert await renew_places(places) == []
    with pytest.raises(WatchersFull):
        await taken(agent_id)
    with pytest.raises(TooManySockets):
        await taken(str(uuid.uuid4()))
    assert 0 < await valkey.async_client().pttl(user_key(USER)) <= EXPIRE_SECONDS * 1000


async def test_place_that_was_lost_and_given_to_another_is_not_renewed(agent_id):
    places = [await taken(agent_id) for _ in range(2)]
    await valkey.async_client().flushdb()
    newcomer = await taken(agent_id)
    assert await renew_places([*places, newcomer]) == [places[1]]
    assert watcher_counts([uuid.UUID(agent_id)]) == {uuid.UUID(agent_id): 2}


async def test_each_place_gets_its_own_answer_however_many_there_are():
    agents = [str(uuid.uuid4()) for _ in range(PLACES_PER_CALL + 5)]
    places = [Watch(each, USER, number) for number, each in enumerate(agents, start=1)]
    full = [agents[0], agents[PLACES_PER_CALL - 1], agents[PLACES_PER_CALL], agents[-1]]
    for each in full:
        await take_places([Watch(each, 2, new_place()), Watch(each, 2, new_place())])
    assert [lost.agent_id for lost in await renew_places(places)] == full


async def test_watchers_count_among_their_users_sockets_beside_the_agents_that_are_owned(agent_id, settings):
    settings.NEXGENT = {**settings.NEXGENT, "USER_SOCKETS": 2}
    ownership = Ownership()
    await ownership.take(agent_id, USER)
    watching = await taken(agent_id)
    with pytest.raises(TooManySockets):
        await taken(agent_id)
    with pytest.raises(TooManySockets):
        await ownership.take(str(uuid.uuid4()), USER)
    await taken(agent_id, user=2)
    await release_place(watching)
    await taken(str(uuid.uuid4()))


async def test_watcher_that_moves_takes_its_place_among_its_users_sockets_with_it(agent_id, settings):
    settings.NEXGENT = {**settings.NEXGENT, "USER_SOCKETS": 1}
    before, other = await taken(agent_id), str(uuid.uuid4())
    moved = await take_place(Watch(other, USER, new_place(), left=f"watch:{before.place}"))
    await release_place(before)  # later than the other, as it may be
    with pytest.raises(TooManySockets):
        await taken(agent_id)
    await release_place(Watch(other, USER, moved))
    await taken(agent_id)
