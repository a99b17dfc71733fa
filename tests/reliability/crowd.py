"""Many sockets that connect to one server at the same moment."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence

from tests.live import Server
from tests.reliability.listeners import Listener

PER_AGENT = 3
ENDS = ("1000 ", "1001 ", "1012 ", "1013 ", "Connection", "cut off")
"""How they may end: closed as docs/protocol.md says, or nobody listens any more."""


class Crowd:
    def __init__(self, agents: Sequence[str], access: str, server: Server) -> None:
        self._listeners = [
            Listener(agent_id, access, lambda: [server.ws_url], {})
            for agent_id in agents
            for _ in range(PER_AGENT)
        ]
        self._tasks = [asyncio.create_task(each.run()) for each in self._listeners]
        self.violations: list[str] = []
        self.refusals: Counter[str] = Counter()

    def is_coming(self) -> bool:
        """Return whether the first of them are connected."""
        return any(each.connected for each in self._listeners)

    async def goes(self) -> None:
        """Let them go. What they saw counts."""
        for task in self._tasks:
            task.cancel()
        await asyncio.wait(self._tasks)
        for each in self._listeners:
            self.refusals += each.refusals
            self.violations += [f"one of the crowd: {what}" for what in each.violations]
            undocumented = [how for how in each.closes + each.refusals if not how.startswith(ENDS)]
            self.violations += [f"one of the crowd ended with {how}" for how in undocumented]
