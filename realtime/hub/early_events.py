"""Events that wait for the snapshot, or for those before them."""

from __future__ import annotations

from typing import NamedTuple

from realtime.hub.writer import size_of


class Event(NamedTuple):
    """An event as a stream sends it: its message, and what it changes in the index."""

    seq: int
    text: str
    position_id: str
    token: str | None
    """What the position holds after the event; None once it is closed."""


class EarlyEvents:
    """By number, each once."""

    __slots__ = ("_events", "bytes")

    def __init__(self) -> None:
        self._events: dict[int, Event] = {}
        self.bytes = 0
        """What their messages take in memory."""

    def __len__(self) -> int:
        return len(self._events)

    def add(self, event: Event) -> None:
        if event.seq not in self._events:
            self._events[event.seq] = event
            self.bytes += size_of(event.text)

    def numbers(self) -> list[int]:
        """Return their numbers, the lowest first."""
        return sorted(self._events)

    def take(self, seq: int) -> Event:
        event = self._events.pop(seq)
        self.bytes -= size_of(event.text)
        return event

    def clear(self) -> None:
        self._events.clear()
        self.bytes = 0
