"""Errors of writes, whose messages can be shown to the user, and which errors mean that the database is unavailable."""

from __future__ import annotations

from django.db import Error, InterfaceError, OperationalError

DATABASE_UNAVAILABLE = (OperationalError, InterfaceError)
"""What callers catch: no connection (in time), a server that ends or cancels a query, a lock. Anything else that the
database raises is a bug, such as a missing column. (SQLite also reports that one as an OperationalError.)"""


def is_bug(error: object) -> bool:
    """Return whether this is a database error that no outage explains: it is logged with its traceback."""
    return isinstance(error, Error) and not isinstance(error, DATABASE_UNAVAILABLE)


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


class AlreadyOpen(PositionsError):
    """A second open position for one wallet and token."""


class PriceUnknown(PositionsError):
    """The market price is needed and not live."""


class ImpossibleTrade(PositionsError):
    """A trade, booked late, that would make a later one impossible: more would be sold than was held."""


class TransactionIdTaken(PositionsError):
    """A transaction id that this wallet has booked with other content."""


class TradesAreKept(PositionsError):
    """A change or deletion of a booked trade."""
