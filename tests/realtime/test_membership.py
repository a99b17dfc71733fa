"""Joining and leaving for many sockets at once: few calls, and nobody fails for another."""

from __future__ import annotations

import asyncio
import uuid

from positions import valkey
from realtime.hub import membership as module
from realtime.hub.hub import get_hub
from realtime.hub.membership import Member, Membership
from realtime.hub.ownership import TooManySockets, Wish, owner_key, user_key
from testbed.processes import PATIENCE_SECONDS

COUNT = 40


def membership() -> Membership:
    return get_hub()._membership


async def calls(command: str) -> int:
    info = await valkey.async_client().info("commandstats")
    return int(info.get(f"cmdstat_{command}", {}).get("calls", 0))


async def test_many_claims_are_taken_in_few_calls_and_each_is_higher_than_the_one_before(own_valkey, hub):
    agents, user = [str(uuid.uuid4()) for _ in range(COUNT)], str(uuid.uuid4())
    first = await membership().claim(Wish(agents[0], user))
    before = await calls("eval")
    claims = await asyncio.gather(*(membership().claim(Wish(agent, user)) for agent in agents))
    assert await calls("eval") - before <= COUNT // 4  # among them what the process renews meanwhile
    assert sorted(claims) == claims
    assert claims[0] > first
    stored = await valkey.async_client().mget([owner_key(agent) for agent in agents])
    assert [int(each or 0) for each in stored] == claims


async def test_user_at_the_limit_is_refused_and_others_of_the_same_batch_are_not(hub, settings):
    settings.NEXGENT = {**settings.NEXGENT, "USER_SOCKETS": 2}
    wishes = [Wish(str(uuid.uuid4()), user) for user in ("full", "full", "full", "other", None)]
    outcomes = await asyncio.gather(*map(membership().claim, wishes), return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [int, int, TooManySockets, int, int]


async def test_key_of_another_type_fails_the_one_whose_it_is(hub):
    wishes = [Wish(str(uuid.uuid4()), str(uuid.uuid4())) for _ in range(5)]
    await valkey.async_client().set(user_key(wishes[3].user_id), "no sorted set")
    await membership().claim(wishes[0])
    outcomes = await asyncio.gather(*map(membership().claim, wishes), return_exceptions=True)
    assert [isinstance(outcome, int) for outcome in outcomes] == [True, True, True, False, True]
    assert isinstance(outcomes[3], valkey.Unavailable)


async def test_member_that_has_left_meanwhile_waits_for_nothing(hub, monkeypatch):
    """It is in no group any more: its claim would never come back."""
    monkeypatch.setattr(module, "WAIT_SECONDS", (10 * PATIENCE_SECONDS,))
    await asyncio.wait_for(membership().join(Member(str(uuid.uuid4()), 1)), PATIENCE_SECONDS)
