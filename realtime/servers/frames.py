"""How much both servers read and write at a time, and what a client's frames cost."""

from __future__ import annotations

FINAL_CLOSE = 0x88
LONGEST_CLOSE_BYTES = 131
"""A masked one (RFC 6455, section 5.5): six bytes and at most 125."""
READ_BYTES = 16 * 1024
"""The most that is read from a socket at a time: in asyncio's 256 KiB there are 40,000 frames, half a second's work."""
FRAGMENTS_PER_MESSAGE = 16
"""So many fragments count as one message of the inbound rate. An empty one counts as one, as do pings and pongs."""
LARGE_BYTES = 1 << 16
"""From here on the header is written apart, so that the payload is copied once less."""


def is_close(data: bytes) -> bool:
    """Return whether this is a client's close frame and nothing else, as one that answers a close sends it."""
    return data[:1] == bytes((FINAL_CLOSE,)) and len(data) <= LONGEST_CLOSE_BYTES


def fragment_cost(size: int) -> float:
    """Return as how many messages a fragment of that many bytes counts."""
    return 1 / FRAGMENTS_PER_MESSAGE if size else 1.0
