"""Claims on agents in Redis or Valkey: the newest wins, and those of a process that died are forgotten."""

from __future__ import annotations

import time
import uuid

import pytest

from positions import valkey
from realtime.hub.ownership import (
    AGENTS_PER_CALL,
    EXPIRE_SECONDS,
    Ownership,
    TooManySockets,
    owner_key,
    user_key,
)

MINUTE = 60_000


async def milliseconds_left(agent_id: str) -> int:
    """Return after how long a claim is forgotten; -1 if it is kept forever, -2 where there is none."""
    return int(await valkey.async_client().pttl(owner_key(agent_id)))


async def owner(agent_id: str) -> int:
    """Return the stored claim."""
    claim = await valkey.async_client().get(owner_key(agent_id))
    assert claim is not None
    return int(claim)


@pytest.fixture
def agent_id() -> str:
    return str(uuid.uuid4())


async def test_claim_of_a_process_that_was_killed_expires(agent_id):
    await Ownership().take(agent_id)
    assert 0 < await milliseconds_left(agent_id) <= EXPIRE_SECONDS * 1000


async def test_claim_that_is_reconciled_does_not_expire(agent_id):
    ownership = Ownership()
    claim = await ownership.take(agent_id)
    await valkey.async_client().pexpire(owner_key(agent_id), MINUTE // 10)
    assert await ownership.overruled({agent_id: claim}) == set()
    assert await milliseconds_left(agent_id) > MINUTE // 10


async def test_claim_expires_later_where_reconciliation_is_rare(agent_id, settings):
    settings.NEXGENT = {**settings.NEXGENT, "RECONCILE_SECONDS": 600.0}
    await Ownership().take(agent_id)
    assert await milliseconds_left(agent_id) > 60 * MINUTE


async def test_claim_that_was_overruled_does_not_renew_the_one_that_won(agent_id):
    ownership, other = Ownership(), Ownership()
    claim = await ownership.take(agent_id)
    newer = await other.take(agent_id)
    await valkey.async_client().pexpire(owner_key(agent_id), MINUTE // 2)
    assert await ownership.overruled({agent_id: claim}) == {agent_id}
    assert await milliseconds_left(agent_id) <= MINUTE // 2
    assert await owner(agent_id) == newer


async def test_claim_that_expired_while_its_process_was_cut_off_is_written_down_again(agent_id):
    ownership = Ownership()
    claim = await ownership.take(agent_id)
    await valkey.async_client().delete(owner_key(agent_id))
    assert await ownership.overruled({agent_id: claim}) == set()
    assert await owner(agent_id) == claim


async def test_claim_is_released_unless_a_higher_one_has_taken_its_place(agent_id):
    ownership = Ownership()
    claim = await ownership.take(agent_id)
    newer = await ownership.take(agent_id)
    await ownership.release((agent_id, claim))
    assert await owner(agent_id) == newer
    await ownership.release((agent_id, newer))
    assert await milliseconds_left(agent_id) == -2


async def test_each_agent_gets_its_own_answer_however_many_there_are():
    ownership = Ownership()
    agent_ids = [str(uuid.uuid4()) for _ in range(AGENTS_PER_CALL + 10)]
    claims = {agent_id: 1000 + number for number, agent_id in enumerate(agent_ids)}
    assert await ownership.overruled(claims) == set()
    lost = {agent_ids[0], agent_ids[AGENTS_PER_CALL - 1], agent_ids[AGENTS_PER_CALL], agent_ids[-1]}
    assert await ownership.overruled({**claims, **dict.fromkeys(lost, 1)}) == lost


async def test_user_takes_no_more_agents_than_the_limit_over_all_processes(settings):
    settings.NEXGENT = {**settings.NEXGENT, "USER_SOCKETS": 2}
    processes = Ownership(), Ownership()
    user, (first, second, third) = uuid.uuid4(), (str(uuid.uuid4()) for _ in range(3))
    claim = await processes[0].take(first, user)
    await processes[1].take(second, user)
    for process in processes:
        with pytest.raises(TooManySockets):
            await process.take(third, user)
    newer = await processes[1].take(first, user)  # the agent's newer socket takes no further place
    await processes[0].release((first, claim))
    with pytest.raises(TooManySockets):
        await processes[0].take(third, user)
    await processes[1].take(third, uuid.uuid4())
    await processes[1].release((first, newer))
    await processes[0].take(third, user)


async def test_places_of_a_process_that_was_killed_are_free_when_its_claims_expire(settings):
    settings.NEXGENT = {**settings.NEXGENT, "USER_SOCKETS": 1}
    killed, ownership, user, agents = Ownership(), Ownership(), 1, [str(uuid.uuid4()) for _ in range(2)]
    await killed.take(agents[0], user)
    assert 0 < await valkey.async_client().pttl(user_key(user)) <= EXPIRE_SECONDS * 1000
    await valkey.async_client().zadd(user_key(user), {agents[0]: 1})  # ms: long ago
    await ownership.take(agents[1], user)


async def test_places_are_kept_by_reconciliation_and_found_again_after_a_restart(settings):
    settings.NEXGENT = {**settings.NEXGENT, "USER_SOCKETS": 2}
    ownership, user, agents = Ownership(), 1, [str(uuid.uuid4()) for _ in range(3)]
    claims = {agent: await ownership.take(agent, user) for agent in agents[:2]}
    await valkey.async_client().flushdb()
    assert await ownership.overruled(claims) == set()
    assert await valkey.async_client().pttl(user_key(user)) > MINUTE // 10
    with pytest.raises(TooManySockets):
        await ownership.take(agents[2], user)


async def test_claims_of_a_server_of_the_release_before_and_of_this_one_follow_each_other(agent_id):
    """It takes the counter plus 1, or the clock."""
    ownership = Ownership()
    await valkey.async_client().set(owner_key(agent_id), str(time.time_ns() // 1000))
    newer = await ownership.take(agent_id)
    assert newer == await owner(agent_id)
    await valkey.async_client().set(owner_key(agent_id), str(newer + 1))
    assert await ownership.take(agent_id) > newer + 1
