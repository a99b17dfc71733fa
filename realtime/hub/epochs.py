"""The epoch of the database, as this process knows it (positions.models.restores)."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence

from positions.errors import DATABASE_UNAVAILABLE
from positions.models import Restore
from positions.models.restores import epoch
from realtime.hub.batches import Batches
from realtime.hub.database import in_database_thread

logger = logging.getLogger(__name__)
_read = in_database_thread(epoch)
_add_restore = in_database_thread(Restore.objects.create)


class Epochs:
    """`on_change` is called when the database has been restored or replaced."""

    def __init__(self, on_change: Callable[[], None]) -> None:
        self._known: str | None = None
        self._asked = self._answered = 0
        """The numbers of the newest look, and of the newest one that has its answer."""
        self._first: asyncio.Future[str] | None = None
        self._on_change = on_change
        self._looks = Batches[None, str](self._look_for_all, outages=DATABASE_UNAVAILABLE)

    async def known(self) -> str:
        """Return the epoch as of the last look, which the reconciler repeats. Raises what the database raises."""
        if self._known is None:
            if self._first is None or self._first.done():  # the first thousand sockets look together
                self._first = asyncio.ensure_future(self.look())
            return await asyncio.shield(self._first)
        return self._known

    async def look(self) -> str:
        """Return the epoch as it is now. Two queries. Raises what the database raises.

        Of looks at the same time the answers may come in another order: one that is late says nothing new.
        """
        self._asked += 1
        number = self._asked
        epoch = await _read()
        if number < self._answered and self._known is not None:
            return self._known
        self._answered = number
        before, self._known = self._known, epoch
        if before not in (None, epoch):
            logger.warning("the database has been restored or replaced: every client gets a fresh snapshot")
            self._on_change()
        return epoch

    async def look_together(self) -> str:
        """Return the epoch as it is now: one look for all that ask meanwhile."""
        return await self._looks.ask(None)

    async def _look_for_all(self, asked: Sequence[None]) -> list[str | Exception]:
        epoch = await self.look()
        return [epoch for _ in asked]

    async def went_back(self) -> None:
        """Begin a new epoch: an agent's last event is one that came before others that were sent from here.

        Unless another process has noticed first, or a change has been told. Raises what the database raises.
        """
        known = self._known
        if known == await self.look():
            await _add_restore()
            await self.look()
