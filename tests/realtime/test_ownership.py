"""Claims on agents in Redis or Valkey: the newest wins, and those of a process that died are forgotten."""

from __future__ import annotations

import uuid

import pytest

from positions import valkey
from realtime.hub.ownership import AGENTS_PER_CALL, EXPIRE_SECONDS, Ownership, owner_key

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
    settings.REALTIME = {**settings.REALTIME, "RECONCILE_SECONDS": 600.0}
    await Ownership().take(agent_id)
    assert await milliseconds_left(agent_id) > 60 * MINUTE


async def test_claim_that_was_overruled_does_not_renew_the_one_that_won(agent_id):
    ownership, other = Ownership(), Ownership()
    claim = await ownership.take(agent_id)
    newer = await other.take(agent_id)
    await valkey.async_client().pexpire(owner_key(agent_id), MINUTE // 10)
    assert await ownership.overruled({agent_id: claim}) == {agent_id}
    assert await milliseconds_left(agent_id) <= MINUTE // 10
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
    await ownership.release(agent_id, claim)
    assert await owner(agent_id) == newer
    await ownership.release(agent_id, newer)
    assert await milliseconds_left(agent_id) == -2


async def test_each_agent_gets_its_own_answer_however_many_there_are():
    ownership = Ownership()
    agent_ids = [str(uuid.uuid4()) for _ in range(AGENTS_PER_CALL + 10)]
    claims = {agent_id: 1000 + number for number, agent_id in enumerate(agent_ids)}
    assert await ownership.overruled(claims) == set()
    lost = {agent_ids[0], agent_ids[AGENTS_PER_CALL - 1], agent_ids[AGENTS_PER_CALL], agent_ids[-1]}
    assert await ownership.overruled({**claims, **dict.fromkeys(lost, 1)}) == lost
