"""Errors of writes, whose messages can be shown to the user, and which errors mean that the database is unavailable."""

from __future__ import annotations

import random
import re

from django.db import Error, InterfaceError, OperationalError

DATABASE_UNAVAILABLE = (OperationalError, InterfaceError)
"""What callers catch: no connection (in time), a server that ends or cancels a query, a lock. Anything else that the
database raises is a bug, such as a missing column. (SQLite also reports that one as an OperationalError: is_outage.)"""


_SQLITE_BUG = re.compile(r'no such (table|column|function)|table \S+ has no column|near ".*": syntax error')


def is_bug(error: object) -> bool:
    """Return whether this is a database error that no outage explains: it is logged with its traceback."""
    return isinstance(error, Error) and not is_outage(error)


def is_outage(error: object) -> bool:
    """Return whether the database is unavailable, or has no connection to spare: the same again may succeed."""
    return isinstance(error, DATABASE_UNAVAILABLE) and not _SQLITE_BUG.match(str(error))


def retry_after_seconds() -> int:
    """Return when to try again, for Retry-After: spread, so that clients do not all come back at once."""
    return random.randint(1, 3)  # noqa: S311


class PositionsError(Exception):
    """A refused write. `field` names the invalid argument, if there is one."""

    def __init__(self, message: str, *, field: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.field = field


class InvalidAmount(PositionsError):
    """A number that is not finite, not positive, too precise or too large for its column."""


class NotEnoughTokens(PositionsError):
    """More tokens to sell than the position holds."""


class PositionClosed(PositionsError):
    """A write to a closed position."""


class HoldingChanged(PositionsError):
    """Another amount is held than the one that was to be sold from."""


class AlreadyOpen(PositionsError):
    """A second open position for one wallet and token."""


class PriceUnknown(PositionsError):
    """The market price is needed and not live."""


class ImpossibleTrade(PositionsError):
    """A trade, booked late, that would make a later one impossible: more would be sold than was held."""


class TransactionIdTaken(PositionsError):
    """A transaction id that this wallet has booked with other content."""


class QuotaReached(PositionsError):
    """A user has as much of something as it may have."""

    retry_after_seconds = 60
    """When to try again: what is used changes only with what the user gives up."""

    def __init__(self, quota: str, *, used: int, limit: int, remedy: str) -> None:
        super().__init__(
            f"the quota of {quota} is reached: {used} of {limit} are in use; {remedy}, or ask the operator for more"
        )
        self.quota, self.used, self.limit = quota, used, limit


class TradesAreKept(PositionsError):
    """A change or deletion of a booked trade."""


class UnseenWrite(PositionsError):
    """A write of the ORM that would change what an agent holds without an event."""
