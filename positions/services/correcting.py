"""Correcting a position's figures by hand, as the admin does."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from positions.books.trades import FIGURES
from positions.models import Position
from positions.services import booking
from positions.services.booking import write

CORRECTED = frozenset({*FIGURES, "dca_count"})
"""The fields that follow from trades."""


@write
def correct(*, position_id: UUID, values: Mapping[str, Any]) -> Position:
    """Set these fields. Where figures are among them, a balance states what they are from now on."""
    position = booking.lock(position_id)
    if not CORRECTED & values.keys():
        for name, value in values.items():
            setattr(position, name, value)
        position.save(update_fields=[*values, "updated_at"])
        return position
    booking.mend(position)
    for name, value in values.items():
        setattr(position, name, value)
    booking.save(position, booking.balance_of(position, reconstructed=False))
    return position
