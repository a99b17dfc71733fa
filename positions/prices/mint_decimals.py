"""How many decimals an amount of a token has: reported by the price source, stored in the database, used by writes."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

from asgiref.sync import sync_to_async
from django.db import close_old_connections

from positions.books.accounting import MOST_DECIMALS, TOKEN_DECIMALS
from positions.models import Mint

ROWS_PER_STATEMENT = 1000


def decimals_of(token_address: str) -> int:
    """Return the decimals of a mint, by default as many as nearly all have at most. One query."""
    known = Mint.objects.filter(pk=token_address).values_list("decimals", flat=True).first()
    return TOKEN_DECIMALS if known is None else known


def usable_decimals(reported: object) -> int | None:
    """Return the decimals that a source reports, or None if no column can hold them."""
    if (
        isinstance(reported, int | Decimal)
        and not isinstance(reported, bool)
        and reported in range(MOST_DECIMALS + 1)
    ):
        return int(reported)
    return None


class DecimalsKeeper:
    """Writes the decimals of mints as a source reports them: of each mint once, since they never change."""

    def __init__(self) -> None:
        self._kept: dict[str, int] = {}

    async def keep(self, reported: Mapping[str, int]) -> None:
        """Write what is new of these. Raises DatabaseError; then it is new in the next round, too."""
        new = {
            address: decimals for address, decimals in reported.items() if self._kept.get(address) != decimals
        }
        if new:
            await _write(new)
            self._kept |= new


@sync_to_async
def _write(decimals: Mapping[str, int]) -> None:
    close_old_connections()
    try:
        Mint.objects.bulk_create(
            [Mint(address=address, decimals=number) for address, number in decimals.items()],
            ROWS_PER_STATEMENT,
            update_conflicts=True,
            unique_fields=["address"],
            update_fields=["decimals"],
        )
    finally:
        close_old_connections()
