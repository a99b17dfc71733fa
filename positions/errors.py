"""Errors of writes. Every message can be shown to the user."""

from __future__ import annotations


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
    """The market price is needed and unknown."""
