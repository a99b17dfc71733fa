"""A lease in Redis or Valkey: of several broadcasters, one runs the feed and the others stand by.

Two at once would poll the API twice and send every price twice, perhaps from different sources.
"""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
import socket
from collections.abc import Awaitable, Callable
from typing import Any

from asgiref.sync import sync_to_async

from positions.installations import ForeignInstallation, hold_prefix, installation
from positions.valkey import KEY_PREFIX, Unavailable, async_client

logger = logging.getLogger(__name__)

LEASE_KEY = f"{KEY_PREFIX}feed:lease"
LEASE_SECONDS = 10.0
"""How long after the last renewal of a killed holder another process takes over."""

# Both compare and act in one step: between a GET and a SET, the lease could change hands.
_RENEW = "return redis.call('get', KEYS[1]) == ARGV[1] and redis.call('pexpire', KEYS[1], ARGV[2]) or 0"
_RELEASE = "return redis.call('get', KEYS[1]) == ARGV[1] and redis.call('del', KEYS[1]) or 0"


class FeedLease:
    """The right to run the feed, held by one process at most, renewed every third of `lease_seconds`.

    While Redis or Valkey is unavailable, the holder goes on (its rounds report the error), and no other can take it.
    """

    def __init__(self, *, lease_seconds: float = LEASE_SECONDS) -> None:
        self.owner = f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"
        self._seconds = lease_seconds

    async def run_while_held(
        self, work: Callable[[], Awaitable[None]], *, on_standby: Callable[[str], None]
    ) -> None:
        """Wait for the lease, then run `work` until it ends. If the lease is lost, cancel it and wait again.

        `on_standby` gets one sentence when a wait begins, and another one when its reason changes.
        """
        while True:
            await self._acquire(on_standby)
            working = asyncio.ensure_future(work())
            keeping = asyncio.ensure_future(self._keep())
            try:
                await asyncio.wait({working, keeping}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for task in (working, keeping):
                    task.cancel()
                await asyncio.wait({working, keeping})
                await self._release()
            if not keeping.cancelled() and keeping.exception() is not None:
                logger.error("the lease could not be kept", exc_info=keeping.exception())
            if not working.cancelled():
                return working.result()

    async def _acquire(self, on_standby: Callable[[str], None]) -> None:
        said = None
        while True:
            why = await self._try()
            if why is None:
                return
            if why != said:
                on_standby(why)
                said = why
            await asyncio.sleep(self._seconds / 10)

    async def _try(self) -> str | None:
        """Take the lease; return why not."""
        milliseconds = int(self._seconds * 1000)
        try:
            await sync_to_async(installation)()
            await hold_prefix()
            client = async_client()
            if await client.set(LEASE_KEY, self.owner, nx=True, px=milliseconds):
                return None
            holder: Any = await client.get(LEASE_KEY)
        except ForeignInstallation as error:
            return f"No prices are broadcast: {error}."
        except Unavailable as error:
            why = str(error).rstrip(".") or type(error).__name__
            return f"Redis or Valkey cannot be reached: {why}. Waiting for it."
        if holder is None:  # freed in between
            return await self._try()
        host, pid, _ = holder.decode().rsplit(":", 2)
        return f"Prices are being broadcast already, by process {pid} on {host}. Standing by."

    async def _keep(self) -> None:
        """Renew the lease until another process has it."""
        while True:
            await asyncio.sleep(self._seconds / 3)
            try:
                await hold_prefix()
                kept = await async_client().eval(
                    _RENEW, 1, LEASE_KEY, self.owner, str(int(self._seconds * 1000))
                ) or await async_client().set(LEASE_KEY, self.owner, nx=True, px=int(self._seconds * 1000))
            except Unavailable:
                continue
            if not kept:
                return

    async def _release(self) -> None:
        try:
            await async_client().eval(_RELEASE, 1, LEASE_KEY, self.owner)
        except Unavailable:
            return  # it expires
