"""The result of one of the feed's rounds, as its report and the metrics read it, and the sentences of its errors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from positions.prices.quotes import PriceStatus

MAX_ERROR_CHARACTERS = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """The result of one round."""

    tokens: int
    """How many different tokens open positions hold."""
    asked: int | None = None
    """How many of them the source was asked for, where it has a limit: those whose turn it was. None: all."""
    waiting: int = 0
    """How many are asked for less often, since answers lack them."""
    priced: int = 0
    """How many of them the source priced in this round."""
    changed: int = 0
    """How many quotes were published: new ones, and all after an outage."""
    errors: tuple[str, ...] = ()
    """Each a sentence for a terminal."""
    notes: tuple[str, ...] = ()
    source_errors: int = 0
    """How many of the errors come from the source."""
    seconds: float = 0.0
    """How long the round took."""
    oldest_age_seconds: float | None = None
    """The age of the oldest price of a held token; None where none has a price."""
    statuses: Mapping[PriceStatus, int] = field(default_factory=dict)
    """How many of the held tokens have a price of each status."""


def sentence(what: str, error: BaseException) -> str:
    """Return what went wrong in one line: database errors have several."""
    why = (str(error).strip() or type(error).__name__).splitlines()[0]
    return f"{what}: {why[:MAX_ERROR_CHARACTERS].rstrip('.')}."
