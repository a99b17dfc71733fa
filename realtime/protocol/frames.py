"""A text message as the bytes of one WebSocket frame (RFC 6455, section 5.2). Pure."""

from __future__ import annotations

from struct import Struct

FINAL_TEXT = 0x81
TWO_BYTES, EIGHT_BYTES = 126, 127
"""Written instead of the length if that follows in two bytes, or in eight."""
_two_bytes = Struct("!BBH").pack
_eight_bytes = Struct("!BBQ").pack


def text_frame(text: str | bytes) -> bytes:
    """Return the message in one final frame, unmasked: a server never masks (section 5.1)."""
    payload = text.encode() if isinstance(text, str) else text
    return text_header(len(payload)) + payload


def text_header(size: int) -> bytes:
    """Return what comes before a payload of that many bytes."""
    if size < TWO_BYTES:
        return bytes((FINAL_TEXT, size))
    if size < 1 << 16:
        return _two_bytes(FINAL_TEXT, TWO_BYTES, size)
    return _eight_bytes(FINAL_TEXT, EIGHT_BYTES, size)


def payload_of(frame: bytes) -> bytes:
    """Return the message in a frame that was made here."""
    return frame[{TWO_BYTES: 4, EIGHT_BYTES: 10}.get(frame[1], 2) :]
