"""One owning socket per agent, across all processes: the newest claim wins.

Every socket that joins to own takes a claim, a number higher than all before it. Redis or Valkey keeps the highest
claim of each agent, and every new one is announced to the agent's group. A socket ends when it learns of a higher
claim, from the group or by reconciliation. So exactly one survives every race, even if messages were lost or the server
restarted empty.

Watchers take no claims (watchers.py), and a socket whose token may only read always watches.

A process renews its claims with every reconciliation; those of a process that was killed expire.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping, Sequence
from itertools import islice
from typing import Any, NamedTuple

from positions import valkey
from realtime.conf import conf
from realtime.hub.script_keys import ScriptKeys

COUNTER_KEY = f"{valkey.KEY_PREFIX}claims"
OWNER_KEY_PREFIX = f"{valkey.KEY_PREFIX}owner:"
USER_KEY_PREFIX = f"{valkey.KEY_PREFIX}sockets:"
# When a claim expires that is not renewed: in reconciliations, but not below the seconds. A process that could not
# reach the server for longer stores its claims again, as it does on a server that restarted empty.
EXPIRE_RECONCILIATIONS = 12
EXPIRE_SECONDS = 60.0
AGENTS_PER_CALL = 250
"""To write the command for a thousand takes the event loop 2 ms (2026-11-26)."""

# Higher than every claim before it, even if the server has lost its counter or restarted with an old one: claims are
# never below the clock (µs). Written as text, since Lua would write such numbers with an exponent.
#
# ARGV: the clock, after how many milliseconds claims expire, how many sockets a user may have; then for each who asks
# the number of the owner's key; that of the sorted set of the user's sockets, by when each expires (ms), or 0; the
# agent; and what the same socket was in that set before, whose place is free, or "". In the set are the agents that the
# user's sockets own, and their watchers. Returns for each the claim; "" if the user has no room for it.
_TAKE = """
local now, claims = math.floor(tonumber(ARGV[1]) / 1000), {}
local function has_room(user, agent, left)
  redis.call('ZREMRANGEBYSCORE', user, '-inf', now)
  if left ~= '' then
    redis.call('ZREM', user, left)
  end
  if redis.call('ZCARD', user) >= tonumber(ARGV[3]) and not redis.call('ZSCORE', user, agent) then
    return false
  end
  redis.call('ZADD', user, now + tonumber(ARGV[2]), agent)
  redis.call('PEXPIRE', user, ARGV[2])
  return true
end
local counter = tonumber(redis.call('GET', KEYS[1]) or '0')
for first = 4, #ARGV, 4 do
  local owner, user = KEYS[tonumber(ARGV[first])], KEYS[tonumber(ARGV[first + 1])]
  local claim = ''
  if not user or has_room(user, ARGV[first + 2], ARGV[first + 3]) then
    counter = math.max(counter + 1, tonumber(redis.call('GET', owner) or '0') + 1, tonumber(ARGV[1]))
    claim = string.format('%.0f', counter)
    redis.call('SET', owner, claim, 'PX', ARGV[2])
  end
  claims[#claims + 1] = claim
end
redis.call('SET', KEYS[1], string.format('%.0f', counter))
return claims
"""
# ARGV[1]: after how many milliseconds claims expire. ARGV[2]: how many claims there are; then each claim, of the key of
# its number; then the number of its user's key, 0 for none; then the agent. ARGV[3 + 3 * claims]: the time (ms).
# Returns the numbers of the keys whose stored claim is higher; stores the others.
_RENEW = """
local overruled, count = {}, tonumber(ARGV[2])
local expires_at = tonumber(ARGV[3 + 3 * count]) + tonumber(ARGV[1])
local stored = redis.call('MGET', unpack(KEYS, 1, count))
for number = 1, count do
  local claim = ARGV[2 + number]
  if tonumber(stored[number] or '0') > tonumber(claim) then
    overruled[#overruled + 1] = number
  else
    if stored[number] == claim then
      redis.call('PEXPIRE', KEYS[number], ARGV[1])
    else
      redis.call('SET', KEYS[number], claim, 'PX', ARGV[1])
    end
    local user = tonumber(ARGV[2 + count + number])
    if user > 0 then
      redis.call('ZADD', KEYS[user], expires_at, ARGV[2 + 2 * count + number])
    end
  end
end
for number = count + 1, #KEYS do
  redis.call('PEXPIRE', KEYS[number], ARGV[1])
end
return overruled
"""
# ARGV, for each claim: the number of the owner's key; that of the user's sockets, 0 for none; the claim; the agent.
_RELEASE = """
for first = 1, #ARGV, 4 do
  local owner, user = KEYS[tonumber(ARGV[first])], KEYS[tonumber(ARGV[first + 1])]
  local stored = redis.call('GET', owner)
  if stored == ARGV[first + 2] then
    redis.call('DEL', owner)
  end
  if user and (not stored or stored == ARGV[first + 2]) then
    redis.call('ZREM', user, ARGV[first + 3])
  end
end
"""

# ARGV[1]: the time (ms). Returns how many agents each of these sorted sets has.
_COUNT = """
local counted = {}
for number, key in ipairs(KEYS) do
  counted[number] = redis.call('ZCOUNT', key, '(' .. ARGV[1], '+inf')
end
return counted
"""


class TooManySockets(Exception):
    """The user has as many sockets as the settings allow, over all processes."""


class Wish(NamedTuple):
    """A socket that wants to own an agent."""

    agent_id: str
    user_id: object = None
    left: str | None = None
    """What it was before among the user's sockets."""


class Ownership:
    """This process's claims."""

    def __init__(self) -> None:
        self._user_keys: dict[str, tuple[int, str]] = {}
        """For each agent that is held here, the claim, and where its user's sockets are counted."""
        self._expire_milliseconds = str(claims_expire_milliseconds())

    async def take(self, agent_id: str, user_id: object = None, *, left: str | None = None) -> int:
        """Return a claim on the agent, higher than all before it, and count it as a socket of the user.

        `left` is what the same socket was before among the user's: the agent that it owned, or a watcher.
        Raises TooManySockets, and valkey.Unavailable. One call.
        """
        (taken,) = await self.take_all([Wish(agent_id, user_id, left)])
        if isinstance(taken, Exception):
            raise taken
        return taken

    async def take_all(self, wishes: Sequence[Wish]) -> list[int | TooManySockets]:
        """Return the same for each, in order. One call for all of them. Raises valkey.Unavailable."""
        keys = ScriptKeys(COUNTER_KEY)
        arguments: list[str | int] = [_now_us(), self._expire_milliseconds, conf.USER_SOCKETS]
        for agent_id, user_id, left in wishes:
            user = 0 if user_id is None else keys[user_key(user_id)]
            arguments += (keys[owner_key(agent_id)], user, agent_id, left or "")
        claims = await valkey.async_client().eval(_TAKE, len(keys), *keys, *arguments)
        return [self._taken(wish, claim) for wish, claim in zip(wishes, claims, strict=True)]

    def _taken(self, wish: Wish, claim: bytes) -> int | TooManySockets:
        if not claim:
            return TooManySockets()
        if wish.user_id is not None:
            self._user_keys[wish.agent_id] = int(claim), user_key(wish.user_id)
        return int(claim)

    async def overruled(self, claims: Mapping[str, int]) -> set[str]:
        """Return the agents that have a higher claim; renew the claims on the others.

        Raises valkey.Unavailable.
        """
        agents: set[str] = set()
        pairs = iter(claims.items())
        while chunk := list(islice(pairs, AGENTS_PER_CALL)):
            of_users = [self._user_keys.get(agent_id, (0, ""))[1] for agent_id, _ in chunk]
            distinct = dict.fromkeys(filter(None, of_users))
            users = {key: number for number, key in enumerate(distinct, len(chunk) + 1)}
            keys = [*(owner_key(agent_id) for agent_id, _ in chunk), *users]
            arguments: list[str | int] = [
                self._expire_milliseconds,
                len(chunk),
                *(str(claim) for _, claim in chunk),
                *(users.get(key, 0) for key in of_users),
                *(agent_id for agent_id, _ in chunk),
                _now_us() // 1000,
            ]
            answer = await valkey.async_client().eval(_RENEW, len(keys), *keys, *arguments)
            agents.update(chunk[number - 1][0] for number in answer)
        return agents

    async def release(self, *claims: tuple[str, int]) -> None:
        """Forget the claims of these agents, but those that a higher one has replaced. One call.

        Raises valkey.Unavailable.
        """
        keys = ScriptKeys()
        arguments: list[str | int] = []
        for agent_id, claim in claims:
            counted_as, key = self._user_keys.get(agent_id, (0, ""))
            user = 0
            if counted_as == claim and key:
                del self._user_keys[agent_id]
                user = keys[key]
            arguments += (keys[owner_key(agent_id)], user, claim, agent_id)
        if claims:
            await valkey.async_client().eval(_RELEASE, len(keys), *keys, *arguments)


def claims_expire_milliseconds() -> int:
    """Return after how long claims, and the places of watchers, expire that are not renewed."""
    reconciliations: float = EXPIRE_RECONCILIATIONS * conf.RECONCILE_SECONDS
    return round(1000 * max(EXPIRE_SECONDS, reconciliations))


def sockets_of_users(user_ids: Collection[int]) -> dict[int, int]:
    """Return how many sockets each of these users has, over all processes; users without any are left out.

    One call for 250 users. Raises valkey.Unavailable. For synchronous code.
    """
    found: dict[int, int] = {}
    ids = iter(user_ids)
    while chunk := list(islice(ids, AGENTS_PER_CALL)):
        keys = [user_key(user_id) for user_id in chunk]
        counted: Any = valkey.client().eval(_COUNT, len(keys), *keys, str(_now_us() // 1000))
        found.update({user_id: number for user_id, number in zip(chunk, counted, strict=True) if number})
    return found


def owner_key(agent_id: str) -> str:
    """Return the key of the highest claim on an agent."""
    return f"{OWNER_KEY_PREFIX}{agent_id}"


def user_key(user_id: object) -> str:
    """Return the key of a user's sockets."""
    return f"{USER_KEY_PREFIX}{user_id}"


def _now_us() -> int:
    return time.time_ns() // 1000
