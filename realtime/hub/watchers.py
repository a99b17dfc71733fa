"""The places of watchers: so many sockets an agent, over all processes, beside the one that owns it.

A watcher takes no claim: it ends no socket, and none ends it. Redis or Valkey keeps the places of each agent, by when
each expires; a process renews its own with every reconciliation, and those of a process that was killed come free. If
the server restarts empty, places are taken again, and whoever finds none left is closed. So there are never more for
longer than a reconciliation, whatever was lost.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Collection, Sequence
from itertools import islice
from typing import NamedTuple
from uuid import UUID

from positions import valkey
from realtime.conf import conf
from realtime.hub.ownership import TooManySockets, claims_expire_milliseconds, user_key
from realtime.hub.script_keys import ScriptKeys

FIRST_PLACE = 2**52
AGENT_KEY_PREFIX = f"{valkey.KEY_PREFIX}watchers:"
PLACES_PER_CALL = 250

# The places of an agent are a sorted set of numbers, by when each expires (ms). Watchers are also members of the sorted
# set of their user's sockets, beside the agents that are owned (ownership.py).
#
# Who asks names the number of its place, so that it takes no second one where it asks again: a server that was slow may
# have given it the first, whose answer nobody waited for.
#
# ARGV: the time (ms), after how many milliseconds places expire, how many an agent has, how many sockets a user; then
# for each who asks the numbers of the keys of agent and user, the member of the user's set that is free now, or "", and
# the number of its place. Returns for each who has no more, "agent" or "user", or "" where the place is taken.
_TAKE = """
local now = tonumber(ARGV[1])
local expires_at = now + tonumber(ARGV[2])
local answers = {}
for first = 5, #ARGV, 4 do
  local agent, user = KEYS[tonumber(ARGV[first])], KEYS[tonumber(ARGV[first + 1])]
  local left, place = ARGV[first + 2], ARGV[first + 3]
  local answer = ''
  redis.call('ZREMRANGEBYSCORE', agent, '-inf', now)
  redis.call('ZREMRANGEBYSCORE', user, '-inf', now)
  if left ~= '' then
    redis.call('ZREM', user, left)
  end
  if redis.call('ZSCORE', agent, place) then
    -- It has it already.
  elseif redis.call('ZCARD', agent) >= tonumber(ARGV[3]) then
    answer = 'agent'
  elseif redis.call('ZCARD', user) >= tonumber(ARGV[4]) then
    answer = 'user'
  else
    redis.call('ZADD', agent, expires_at, place)
    redis.call('ZADD', user, expires_at, 'watch:' .. place)
    redis.call('PEXPIRE', agent, ARGV[2])
    redis.call('PEXPIRE', user, ARGV[2])
  end
  answers[#answers + 1] = answer
end
return answers
"""
# ARGV: the time (ms), after how many milliseconds places expire, how many an agent has; then for each place its number,
# and those of the keys of agent and user. Returns which of them are lost and find no room: 1 for the first.
_RENEW = """
local now, expires_at, lost = tonumber(ARGV[1]), tonumber(ARGV[1]) + tonumber(ARGV[2]), {}
for first = 4, #ARGV, 3 do
  local place, agent, user = ARGV[first], KEYS[tonumber(ARGV[first + 1])], KEYS[tonumber(ARGV[first + 2])]
  redis.call('ZREMRANGEBYSCORE', agent, '-inf', now)
  if redis.call('ZSCORE', agent, place) or redis.call('ZCARD', agent) < tonumber(ARGV[3]) then
    redis.call('ZADD', agent, expires_at, place)
    redis.call('ZADD', user, expires_at, 'watch:' .. place)
  else
    lost[#lost + 1] = (first - 1) / 3
  end
end
for number = 1, #KEYS do
  redis.call('PEXPIRE', KEYS[number], ARGV[2])
end
return lost
"""


class WatchersFull(Exception):
    """The agent has as many watchers as the settings allow, over all processes."""


class Watch(NamedTuple):
    """A place, or the wish for one."""

    agent_id: str
    user_id: object
    place: int
    """Its number, which nobody else has."""
    left: str | None = None
    """The member of the user's sockets whose place is free once this one is taken."""


def new_place() -> int:
    """Return the number of a place that nobody has. Above those of the release before, which are the clock (µs)."""
    return FIRST_PLACE + secrets.randbelow(FIRST_PLACE)


async def take_place(watch: Watch) -> int:
    """Return the number of the place, once it is taken. Raises WatchersFull, TooManySockets, and valkey.Unavailable.

    One call.
    """
    (taken,) = await take_places([watch])
    if isinstance(taken, Exception):
        raise taken
    return taken


async def take_places(wanted: Sequence[Watch]) -> list[int | WatchersFull | TooManySockets]:
    """Return for each, in order, the number of its place, or why there is none. One call for all of them.

    A place that is taken already stays so. Raises valkey.Unavailable.
    """
    keys = ScriptKeys()
    arguments: list[str | int] = [
        time.time_ns() // 1_000_000,
        claims_expire_milliseconds(),
        conf.AGENT_WATCHERS,
        conf.USER_SOCKETS,
    ]
    for watch in wanted:
        arguments += [keys[agent_key(watch.agent_id)], keys[user_key(watch.user_id)]]
        arguments += [watch.left or "", watch.place]
    answers = await valkey.async_client().eval(_TAKE, len(keys), *keys, *arguments)
    return [_taken(watch, answer) for watch, answer in zip(wanted, answers, strict=True)]


def _taken(watch: Watch, answer: bytes) -> int | WatchersFull | TooManySockets:
    if answer == b"agent":
        return WatchersFull()
    return TooManySockets() if answer == b"user" else watch.place


async def renew_places(places: Collection[Watch]) -> list[Watch]:
    """Keep these places for longer; return those that were lost, and find none left. A call for 250.

    Raises valkey.Unavailable.
    """
    lost: list[Watch] = []
    remaining = iter(places)
    while chunk := list(islice(remaining, PLACES_PER_CALL)):
        keys = ScriptKeys()
        arguments: list[str | int] = [
            time.time_ns() // 1_000_000,
            claims_expire_milliseconds(),
            conf.AGENT_WATCHERS,
        ]
        for watch in chunk:
            arguments += [watch.place, keys[agent_key(watch.agent_id)], keys[user_key(watch.user_id)]]
        answer = await valkey.async_client().eval(_RENEW, len(keys), *keys, *arguments)
        lost += [chunk[number - 1] for number in answer]
    return lost


async def release_place(watch: Watch) -> None:
    """Let others have this place. Raises valkey.Unavailable."""
    async with valkey.async_client().pipeline(transaction=False) as pipeline:
        pipeline.zrem(agent_key(watch.agent_id), watch.place)
        pipeline.zrem(user_key(watch.user_id), f"watch:{watch.place}")
        await pipeline.execute()


def watcher_counts(agent_ids: Collection[UUID]) -> dict[UUID, int]:
    """Return how many watchers each of these agents has, over all processes. One call. Raises valkey.Unavailable.

    For synchronous code.
    """
    now = time.time_ns() // 1_000_000
    with valkey.client().pipeline(transaction=False) as pipeline:
        for agent_id in agent_ids:
            pipeline.zcount(agent_key(str(agent_id)), f"({now}", "+inf")
        return dict(zip(agent_ids, pipeline.execute(), strict=True))


def watchers_full() -> str:
    """Return the sentence for a client that finds no place."""
    return f"this agent has as many watchers as it may have: {conf.AGENT_WATCHERS}"


def agent_key(agent_id: str) -> str:
    """Return the key of the places of an agent's watchers."""
    return f"{AGENT_KEY_PREFIX}{agent_id}"
