"""One socket's timers: pings, the expiry of its token, and the time its client has to read its close."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from datetime import UTC, datetime

from positions.accounts.keys import leeway
from realtime.conf import conf
from realtime.hub.outbox import Outbox
from realtime.protocol import messages
from realtime.protocol.messages import CloseReason, ErrorCode


class Timers:
    """Writes pings to the outbox, and closes it when the client is silent or its token expires."""

    __slots__ = ("_closing", "_expiry", "_last_message", "_outbox", "_ping")

    def __init__(self, outbox: Outbox) -> None:
        self._outbox = outbox
        self._last_message = 0.0
        self._ping: asyncio.TimerHandle | None = None
        self._expiry: asyncio.TimerHandle | None = None
        self._closing: asyncio.TimerHandle | None = None

    def start(self, expires_at: datetime) -> None:
        """Ping the client from now on, and close the socket when its token expires (aware)."""
        self.note_message()
        loop = asyncio.get_running_loop()
        self._ping = loop.call_later(conf.PING_INTERVAL_SECONDS, self._check_alive)
        self.expire_at(expires_at)

    def note_message(self) -> None:
        """Note that the client is alive."""
        self._last_message = time.monotonic()

    def expire_at(self, expires_at: datetime) -> None:
        """Close the socket at this time (aware) instead, and the leeway for the clocks later: as long as a new socket
        would be accepted."""
        if self._expiry is not None:
            self._expiry.cancel()
        remaining = (expires_at - datetime.now(UTC)).total_seconds() + leeway().total_seconds()
        self._expiry = asyncio.get_running_loop().call_later(max(0.0, remaining), self._expire)

    def start_closing(self, cut_off: Callable[[], None], seconds: float) -> None:
        """Cut the client off if it has not read its close in time; cancel the other timers."""
        self.cancel()
        loop = asyncio.get_running_loop()
        self._closing = loop.call_later(seconds, cut_off)

    def cancel(self) -> None:
        for timer in (self._ping, self._expiry, self._closing):
            if timer is not None:
                timer.cancel()

    def _check_alive(self) -> None:
        interval: float = conf.PING_INTERVAL_SECONDS
        silent_seconds = time.monotonic() - self._last_message
        if silent_seconds >= conf.DEAD_AFTER_SECONDS:
            self._outbox.close(CloseReason.TIMEOUT)
            return
        wait = min(interval, max(0.01, conf.DEAD_AFTER_SECONDS - silent_seconds))
        self._ping = asyncio.get_running_loop().call_later(wait, self._check_alive)
        self._outbox.write(messages.encode(messages.Ping(messages.now())))

    def _expire(self) -> None:
        self._outbox.refuse(
            CloseReason.TOKEN_EXPIRED, ErrorCode.TOKEN_EXPIRED, "the access token has expired"
        )
