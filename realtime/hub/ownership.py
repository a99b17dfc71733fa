"""One socket per agent, across all processes: the newest claim wins.

Every socket that joins takes a claim, a number higher than all before it. Redis or Valkey keeps the highest claim of
each agent, and every new one is announced to the agent's group. A socket ends when it learns of a higher claim, from
the group or by reconciliation. So exactly one survives every race, even if messages were lost or the server restarted
empty.

A process renews its claims with every reconciliation; those of a process that was killed expire.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Mapping
from itertools import islice

from channels.layers import get_channel_layer
from django.conf import settings

from positions import valkey
from realtime.protocol.envelopes import ClaimMessage, claim_message
from realtime.protocol.messages import agent_group

COUNTER_KEY = f"{valkey.KEY_PREFIX}claims"
OWNER_KEY_PREFIX = f"{valkey.KEY_PREFIX}owner:"
# When a claim expires that is not renewed: in reconciliations, but not below the seconds. A process that could not
# reach the server for longer stores its claims again, as it does on a server that restarted empty.
EXPIRE_RECONCILIATIONS = 12
EXPIRE_SECONDS = 60.0
# How long a socket waits for its own claim to come back through the channel layer, and how often it announces it.
WAIT_SECONDS = 1.0
TRIES = 3
AGENTS_PER_CALL = 1000

# Higher than every claim before it, even if the server has lost its counter or restarted with an old one: claims are
# never below the clock (µs). Written as text, since Lua would write such numbers with an exponent.
_TAKE = """
local counter = tonumber(redis.call('GET', KEYS[1]) or '0')
local owner = tonumber(redis.call('GET', KEYS[2]) or '0')
local claim = string.format('%.0f', math.max(counter + 1, owner + 1, tonumber(ARGV[1])))
redis.call('SET', KEYS[1], claim)
redis.call('SET', KEYS[2], claim, 'PX', ARGV[2])
return claim
"""
# ARGV[1]: after how many milliseconds claims expire; then one claim for each key. Returns the numbers of the keys whose
# stored claim is higher; stores the others.
_RENEW = """
local overruled = {}
local stored = redis.call('MGET', unpack(KEYS))
for number, key in ipairs(KEYS) do
  local claim = ARGV[number + 1]
  if stored[number] == claim then
    redis.call('PEXPIRE', key, ARGV[1])
  elseif tonumber(stored[number] or '0') > tonumber(claim) then
    overruled[#overruled + 1] = number
  else
    redis.call('SET', key, claim, 'PX', ARGV[1])
  end
end
return overruled
"""
_RELEASE = "if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end"


class NotJoined(Exception):
    """The channel layer did not confirm that it delivers this agent's messages here."""


class Ownership:
    """This process's claims."""

    def __init__(self) -> None:
        seconds = max(EXPIRE_SECONDS, EXPIRE_RECONCILIATIONS * settings.REALTIME["RECONCILE_SECONDS"])
        self._expire_milliseconds = str(round(1000 * seconds))
        self._waiting: dict[tuple[str, int], asyncio.Event] = {}

    async def take(self, agent_id: str) -> int:
        """Return a claim on the agent that is higher than all before it. Raises valkey.Unavailable."""
        keys, now = (COUNTER_KEY, owner_key(agent_id)), str(time.time_ns() // 1000)
        return int(await valkey.async_client().eval(_TAKE, 2, *keys, now, self._expire_milliseconds))

    async def announce(self, agent_id: str, claim: int) -> None:
        """Announce a claim to the agent's group."""
        await get_channel_layer().group_send(agent_group(agent_id), claim_message(agent_id, claim))

    async def confirm(self, agent_id: str, claim: int) -> None:
        """Announce a claim and wait until it comes back through the group: from then on, the group's messages arrive.

        (The Pub/Sub layer's `group_add` returns when the command is written, not when the server has executed it.)
        Raises NotJoined if it does not come back. Safe to cancel.
        """
        received = self._waiting.setdefault((agent_id, claim), asyncio.Event())
        try:
            for _ in range(TRIES):
                await self.announce(agent_id, claim)
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(received.wait(), WAIT_SECONDS)
                    return
        finally:
            del self._waiting[agent_id, claim]
        raise NotJoined(f"the channel layer does not deliver the messages of agent {agent_id}")

    def received(self, message: ClaimMessage) -> None:
        """Note that a claim has come back through the group."""
        waiting = self._waiting.get((message.agent_id, message.claim))
        if waiting is not None:
            waiting.set()

    async def overruled(self, claims: Mapping[str, int]) -> set[str]:
        """Return the agents that have a higher claim; renew the claims on the others.

        Raises valkey.Unavailable.
        """
        agents: set[str] = set()
        pairs = iter(claims.items())
        while chunk := list(islice(pairs, AGENTS_PER_CALL)):
            keys = [owner_key(agent_id) for agent_id, _ in chunk]
            values = [self._expire_milliseconds, *(str(claim) for _, claim in chunk)]
            answer = await valkey.async_client().eval(_RENEW, len(keys), *keys, *values)
            agents.update(chunk[number - 1][0] for number in answer)
        return agents

    async def release(self, agent_id: str, claim: int) -> None:
        """Forget a claim, unless a higher one has replaced it. Raises valkey.Unavailable."""
        await valkey.async_client().eval(_RELEASE, 1, owner_key(agent_id), str(claim))


def owner_key(agent_id: str) -> str:
    """Return the key of the highest claim on an agent."""
    return f"{OWNER_KEY_PREFIX}{agent_id}"
