"""Prices of a time that is still to come: they would be the newest for as long as they say, so they are skipped."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime

from positions.prices.quotes import is_of_now
from realtime.protocol.price_envelopes import Priced

logger = logging.getLogger(__name__)


class Clocks:
    """Knows whether the process that sends prices has a clock that is far ahead of this machine's."""

    def __init__(self) -> None:
        self._is_ahead = False

    def of_now(self, priced: Iterable[Priced]) -> Iterator[Priced]:
        """Yield those that are not of the future; log once that there are others, until one is not."""
        for each in priced:
            now = datetime.now(UTC)
            if is_of_now(each.as_of, now):
                self._is_ahead = False
                yield each
            elif not self._is_ahead:
                self._is_ahead = True
                logger.warning(
                    "prices of %s are skipped: it is %s here, and the clock of their sender is ahead,"
                    " or somebody else has sent them",
                    each.as_of,
                    now,
                )
