"""One socket per agent, over all processes: the newest claim wins.

Every socket that joins takes a claim, a number higher than all before it. Redis or Valkey keeps the highest claim of
each agent; the agent's group hears of every new one. A socket that hears of a higher claim, or finds one when it
looks, ends. So exactly one is left of any race, also when messages were lost or the server came back empty.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Mapping
from itertools import islice

from channels.layers import get_channel_layer

from positions import valkey
from realtime.protocol.envelopes import ClaimMessage, claim_message
from realtime.protocol.messages import agent_group

COUNTER_KEY = f"{valkey.KEY_PREFIX}claims"
OWNERS_KEY = f"{valkey.KEY_PREFIX}owners"
# How long a socket waits for its own claim to come back through the channel layer, and how often it claims again.
WAIT_SECONDS = 1.0
TRIES = 3
AGENTS_PER_CALL = 1000

# Higher than every claim before it, also where the server has lost its counter, or came back with an old one: claims
# are never below the clock (µs). Written as text, since Lua would write such numbers with an exponent.
_TAKE = """
local counter = tonumber(redis.call('GET', KEYS[1]) or '0')
local owner = tonumber(redis.call('HGET', KEYS[2], ARGV[1]) or '0')
local claim = string.format('%.0f', math.max(counter + 1, owner + 1, tonumber(ARGV[2])))
redis.call('SET', KEYS[1], claim)
redis.call('HSET', KEYS[2], ARGV[1], claim)
return claim
"""
# Writes down each claim that is higher than what is known; returns the agents whose known claim is higher.
_HOLD = """
local overruled = {}
for i = 1, #ARGV, 2 do
  local known = tonumber(redis.call('HGET', KEYS[1], ARGV[i]) or '0')
  if known < tonumber(ARGV[i + 1]) then
    redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1])
  elseif known > tonumber(ARGV[i + 1]) then
    overruled[#overruled + 1] = ARGV[i]
  end
end
return overruled
"""
_RELEASE = "if redis.call('HGET', KEYS[1], ARGV[1]) == ARGV[2] then redis.call('HDEL', KEYS[1], ARGV[1]) end"


class NotJoined(Exception):
    """The channel layer did not confirm that it delivers this agent's messages here."""


class Ownership:
    """This process's part of it."""

    def __init__(self) -> None:
        self._waiting: dict[tuple[str, int], asyncio.Event] = {}

    async def take(self, agent_id: str) -> int:
        """Return a claim on the agent that is higher than all before it. Raises valkey.Unavailable."""
        now = time.time_ns() // 1000
        return int(await valkey.async_client().eval(_TAKE, 2, COUNTER_KEY, OWNERS_KEY, agent_id, str(now)))

    async def announce(self, agent_id: str, claim: int) -> None:
        """Tell the agent's group of a claim."""
        await get_channel_layer().group_send(agent_group(agent_id), claim_message(agent_id, claim))

    async def confirm(self, agent_id: str, claim: int) -> None:
        """Announce a claim and wait until the group brings it back here: from then on, its messages arrive.

        (The Pub/Sub layer's `group_add` returns when the command is written, not when the server has taken it.)
        Raises NotJoined when it does not come back. Safe to cancel.
        """
        heard = self._waiting.setdefault((agent_id, claim), asyncio.Event())
        try:
            for _ in range(TRIES):
                await self.announce(agent_id, claim)
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(heard.wait(), WAIT_SECONDS)
                    return
        finally:
            del self._waiting[agent_id, claim]
        raise NotJoined(f"the channel layer does not deliver the messages of agent {agent_id}")

    def heard(self, message: ClaimMessage) -> None:
        """Note that the group has brought a claim."""
        waiting = self._waiting.get((message.agent_id, message.claim))
        if waiting is not None:
            waiting.set()

    async def overruled(self, claims: Mapping[str, int]) -> set[str]:
        """Return the agents of which a higher claim is known; write down those that are not.

        Raises valkey.Unavailable.
        """
        agents: set[str] = set()
        pairs = iter(claims.items())
        while chunk := list(islice(pairs, AGENTS_PER_CALL)):
            arguments = [str(value) for pair in chunk for value in pair]
            answer = await valkey.async_client().eval(_HOLD, 1, OWNERS_KEY, *arguments)
            agents.update(agent_id.decode() for agent_id in answer)
        return agents

    async def release(self, agent_id: str, claim: int) -> None:
        """Forget a claim, unless a higher one has taken its place. Raises valkey.Unavailable."""
        await valkey.async_client().eval(_RELEASE, 1, OWNERS_KEY, agent_id, str(claim))
