"""The prices of a round as they are sent: each token is encoded once, each message put together from such pieces."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from realtime.monitoring.metrics import counts
from realtime.protocol import messages
from realtime.protocol.frames import text_header


class EncodedPrices(dict[str, bytes]):
    """A piece for each token, made for the first stream that holds it; and the messages that consist of them.

    Read by look-ups of tokens that are in `fragments`, which must not change any more. `has_nearly_all`: a hint that
    nearly every token is, so that it pays not to ask for each.
    """

    __slots__ = ("_begin", "_begins", "_end", "_pieces_bytes", "_sent", "fragments", "has_nearly_all")

    def __init__(
        self, fragments: Mapping[str, str], around: tuple[bytes, bytes], *, has_nearly_all: bool = False
    ) -> None:
        super().__init__()
        self.fragments = fragments
        self.has_nearly_all = has_nearly_all
        self._begin, self._end = around
        self._sent = self._pieces_bytes = 0
        self._begins: dict[int, bytes] = {}  # by the length of the pieces, of which there are few in a round

    def message(self, pieces: Iterable[bytes]) -> bytes:
        """Return the message of these pieces, to be sent."""
        joined = b",".join(pieces)
        self._sent += 1
        self._pieces_bytes += len(joined)
        return b"".join((self._begin, joined, self._end))

    def frame(self, pieces: Iterable[bytes]) -> bytes:
        """Return the message of these pieces as a WebSocket frame, to be sent."""
        joined = b",".join(pieces)
        self._sent += 1
        self._pieces_bytes += len(joined)
        begin = self._begins.get(len(joined)) or self._begin_for(len(joined))
        return b"".join((begin, joined, self._end))

    def taken(self) -> tuple[int, int]:
        """Return how many messages were made since the last call, and their bytes."""
        sent, size = self._sent, self._pieces_bytes + self._sent * (len(self._begin) + len(self._end))
        self._sent = self._pieces_bytes = 0
        return sent, size

    def count(self) -> None:
        """Count the messages that were made since the last call."""
        raise NotImplementedError

    def _begin_for(self, size: int) -> bytes:
        begin = text_header(len(self._begin) + size + len(self._end)) + self._begin
        self._begins[size] = begin
        return begin


class PlainPrices(EncodedPrices):
    """In `price_update_batch`."""

    __slots__ = ()

    def __init__(self, fragments: Mapping[str, str], at: str, *, has_nearly_all: bool = False) -> None:
        super().__init__(fragments, messages.around_prices(at), has_nearly_all=has_nearly_all)

    def __missing__(self, token: str) -> bytes:
        self[token] = piece = self.fragments[token].encode()
        return piece

    def count(self) -> None:
        sent, size = self.taken()
        counts.price_batches += sent
        counts.price_bytes += size
