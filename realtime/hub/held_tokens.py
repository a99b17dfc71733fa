"""The tokens that one stream's positions hold, and their prices in a round."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Sequence
from operator import itemgetter
from typing import Generic

from realtime.hub.encoded_prices import EncodedPrices
from realtime.hub.token_index import Stream, TokenIndex


class HeldTokens(Generic[Stream]):
    """The tokens of `stream`; `index`, which finds the streams of a token, is kept up to date with them."""

    __slots__ = ("_by_position", "_index", "_pick", "_stream", "_tokens")

    def __init__(self, stream: Stream, index: TokenIndex[Stream]) -> None:
        self._stream = stream
        self._index = index
        self._by_position: dict[str, str] = {}
        self._tokens: tuple[str, ...] | None = None  # each once; None until asked for
        self._pick: Callable[[EncodedPrices], tuple[bytes, ...]] | None = None

    def of(self, position_id: str) -> str | None:
        """Return the token of a position; None if it holds none."""
        return self._by_position.get(position_id)

    def each(self) -> tuple[str, ...]:
        if self._tokens is None:
            self._tokens = tuple(dict.fromkeys(self._by_position.values()))
        return self._tokens

    def pick(self, prices: EncodedPrices) -> Sequence[bytes]:
        """Return the pieces of the tokens that are held.

        Where nearly all of them have one, they are looked up in one call: a third of the time of one look-up each,
        which was a tenth of a message's cost (10 tokens).
        """
        if prices.has_nearly_all:
            try:
                return (self._pick or self._picker())(prices)
            except KeyError:  # suppress() would cost as much as the look-up
                pass
        return [prices[token] for token in self._tokens or self.each() if token in prices.fragments]

    def _picker(self) -> Callable[[EncodedPrices], tuple[bytes, ...]]:
        tokens = self.each()
        if len(tokens) > 1:
            self._pick = itemgetter(*tokens)
        else:
            self._pick = lambda prices: tuple(prices[token] for token in tokens)
        return self._pick

    def add(self, held: Iterable[tuple[str, str]]) -> None:
        """Note which token each position holds: pairs of token and position id."""
        for token, position_id in held:
            # Interned: thousands of streams hold the same few tokens. A copy for each would cost memory, and CPU cache
            # in every round.
            self._by_position[position_id] = token = sys.intern(token)
            self._index.add(token, self._stream)
        self._tokens = self._pick = None

    def discard(self, position_id: str) -> None:
        """Forget a position. Its token stays while a position in another wallet also holds it."""
        token = self._by_position.pop(position_id, None)
        if token is not None and token not in self._by_position.values():
            self._index.discard(token, self._stream)
            self._tokens = self._pick = None

    def forget(self) -> None:
        """Give up the stream. Nothing may be added after this."""
        del self._stream

    def clear(self) -> None:
        for token in set(self._by_position.values()):
            self._index.discard(token, self._stream)
        self._by_position.clear()
        self._tokens = self._pick = None
