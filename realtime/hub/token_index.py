"""Finds the sockets that hold a token."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Generic, TypeVar

Stream = TypeVar("Stream")


class TokenIndex(Generic[Stream]):
    """Which streams of this process hold a token."""

    def __init__(self) -> None:
        self._holders: dict[str, set[Stream]] = {}
        self._everyone: set[Stream] | None = None

    def holders(self, tokens: Collection[str]) -> set[Stream]:
        """Return the streams that hold any of these tokens."""
        return set().union(*map(self._holders.__getitem__, self._holders.keys() & tokens))

    def everyone(self) -> set[Stream]:
        """Return the streams that hold any token."""
        if self._everyone is None:
            self._everyone = self.holders(self._holders)
        return self._everyone

    def are_nearly_all(self, tokens: Collection[str]) -> bool:
        """Return whether these are at least nine in ten of the tokens that are held here."""
        return 10 * len(self._holders.keys() - tokens) <= len(self._holders)

    def tokens(self) -> Sequence[str]:
        return list(self._holders)

    def add(self, token: str, stream: Stream) -> None:
        holders = self._holders.setdefault(token, set())
        if stream not in holders:
            holders.add(stream)
            self._everyone = None

    def discard(self, token: str, stream: Stream) -> None:
        holders = self._holders[token]
        holders.discard(stream)
        self._everyone = None
        if not holders:
            del self._holders[token]
