"""The streams of this process, by their agents: of each at most one that owns it, and those that watch it."""

from __future__ import annotations

from collections.abc import Iterator, KeysView, Sequence
from itertools import chain

from realtime.hub.outbox import Outbox


class Sockets:
    """All joined streams of this process. A stream stays under the agent that it was added with until `remove`."""

    def __init__(self) -> None:
        self.owners: dict[str, Outbox] = {}
        """The owning stream of each agent that has one here."""
        self._watchers: dict[str, list[Outbox]] = {}  # few each: a set of one takes four times the memory

    def __bool__(self) -> bool:
        return bool(self.owners or self._watchers)

    def __contains__(self, outbox: Outbox) -> bool:
        if outbox.watches:
            return outbox in self._watchers.get(outbox.agent_id, ())
        return self.owners.get(outbox.agent_id) is outbox

    def add(self, outbox: Outbox) -> None:
        """Add a stream under its agent; one that owns replaces the one before it."""
        if not outbox.watches:
            self.owners[outbox.agent_id] = outbox
        elif outbox not in self:
            self._watchers.setdefault(outbox.agent_id, []).append(outbox)

    def remove(self, outbox: Outbox) -> None:
        """Remove a stream that is here."""
        if not outbox.watches:
            del self.owners[outbox.agent_id]
            return
        watchers = self._watchers[outbox.agent_id]
        watchers.remove(outbox)
        if not watchers:
            del self._watchers[outbox.agent_id]

    def of(self, agent_id: str) -> Sequence[Outbox]:
        """Return all streams of an agent: nearly always one or none."""
        owner = self.owners.get(agent_id)
        watchers = self._watchers.get(agent_id, ())
        return watchers if owner is None else (owner, *watchers)

    def watchers(self) -> Iterator[Outbox]:
        return chain.from_iterable(self._watchers.values())

    def each(self) -> list[Outbox]:
        """Return all streams, those that own first."""
        return [*self.owners.values(), *self.watchers()]

    def agents(self) -> KeysView[str] | set[str]:
        """Return the agents that have a stream here."""
        return self.owners.keys() | self._watchers.keys() if self._watchers else self.owners.keys()
