"""How many decimals an amount of a token has: told by the price source, kept in the database, asked for by writes."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

from asgiref.sync import sync_to_async
from django.db import close_old_connections

from positions.books.accounting import MOST_DECIMALS, TOKEN_DECIMALS
from positions.models import Mint

ROWS_PER_STATEMENT = 1000


def decimals_of(token_address: str) -> int:
    """Return the decimals of a mint, by default those that hardly any has more of. One query."""
    known = Mint.objects.filter(pk=token_address).values_list("decimals", flat=True).first()
    return TOKEN_DECIMALS if known is None else known


def usable_decimals(told: object) -> int | None:
    """Return what a source tells, or None where it is no number of decimals that a column can hold."""
    if isinstance(told, int | Decimal) and not isinstance(told, bool) and told in range(MOST_DECIMALS + 1):
        return int(told)
    return None


class DecimalsKeeper:
    """Writes the decimals of mints as a source tells them: of each mint once, since they never change."""

    def __init__(self) -> None:
        self._kept: dict[str, int] = {}

    async def keep(self, told: Mapping[str, int]) -> None:
        """Write what is new of these. Raises DatabaseError; then it is new in the next round, too."""
        new = {address: decimals for address, decimals in told.items() if self._kept.get(address) != decimals}
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
