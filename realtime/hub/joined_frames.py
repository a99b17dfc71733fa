"""Joins frames that are sent at the same moment into few writes.

Each write is a system call, for which Python's lock is given away: a client that comes back had one for each event that
it missed.
"""

from __future__ import annotations

from collections.abc import Callable

from realtime.hub.writer import WriteFrame, WriteNow
from realtime.protocol.frames import text_frame

MOST_BYTES = 64 * 1024
"""Of one write, but for its last frame: what a server takes before it asks to wait."""


class JoinedFrames:
    """Stands in for a connection's `write_now` and `write_frame` for as long as nothing else runs.

    `on_refused` gets each frame that the connection did not take, in order.
    """

    def __init__(
        self, write_now: WriteNow, write_frame: WriteFrame, *, on_refused: Callable[[bytes], None]
    ) -> None:
        self._write_now = write_now
        self._write_frame = write_frame
        self._on_refused = on_refused
        self._frames: list[bytes] = []
        self._bytes = 0

    def write_now(self, text: str | bytes) -> bool:
        if len(text) < MOST_BYTES:
            return self.write_frame(text_frame(text))
        self.flush()
        return self._write_now(text)

    def write_frame(self, frame: bytes) -> bool:
        self._frames.append(frame)
        self._bytes += len(frame)
        if self._bytes >= MOST_BYTES:
            self.flush()
        return True

    def flush(self) -> None:
        """Give the connection what was joined so far."""
        frames, self._frames, self._bytes = self._frames, [], 0
        if frames and not self._write_frame(b"".join(frames)):
            for frame in frames:
                self._on_refused(frame)
