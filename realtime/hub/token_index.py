"""Finds the sockets that hold a token."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Generic, TypeVar

Stream = TypeVar("Stream")

SOCKETS_PER_TURN = 500
"""Streams that are written to in one turn of the event loop: a message costs about 11 µs. Between two such turns others
have theirs, and while sockets start they are long (docs/performance.md)."""


class TokenIndex(Generic[Stream]):
    """Which streams of this process hold a token."""

    def __init__(self) -> None:
        self._holders: dict[str, set[Stream]] = {}
        self._tokens: dict[Stream, int] = {}
        """How many tokens each stream holds, in the order in which they began."""

    def holders(self, tokens: Collection[str]) -> Collection[Stream]:
        """Return the streams that hold any of these tokens; of many, those first that began first.

        To write to many takes several turns of the event loop: those that are open do not wait for those that start.
        """
        found = set().union(*map(self._holders.__getitem__, self._holders.keys() & tokens))
        return found if len(found) <= SOCKETS_PER_TURN else [each for each in self._tokens if each in found]

    def everyone(self) -> Sequence[Stream]:
        """Return the streams that hold any token, those first that began first."""
        return list(self._tokens)

    def are_nearly_all(self, tokens: Collection[str]) -> bool:
        """Return whether these are at least nine in ten of the tokens that are held here."""
        return 10 * len(self._holders.keys() - tokens) <= len(self._holders)

    def has(self, token: str) -> bool:
        """Return whether any stream holds the token."""
        return token in self._holders

    def tokens(self) -> Sequence[str]:
        return list(self._holders)

    def add(self, token: str, stream: Stream) -> None:
        holders = self._holders.setdefault(token, set())
        if stream not in holders:
            holders.add(stream)
            self._tokens[stream] = self._tokens.get(stream, 0) + 1

    def discard(self, token: str, stream: Stream) -> None:
        holders = self._holders[token]
        if stream in holders:
            holders.discard(stream)
            self._tokens[stream] -= 1
            if not self._tokens[stream]:
                del self._tokens[stream]
        if not holders:
            del self._holders[token]
