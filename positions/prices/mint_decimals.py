"""How many decimals an amount of a token has: reported by the price source, stored in the database, used by writes."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from decimal import Decimal

from asgiref.sync import sync_to_async
from django.db import close_old_connections, router

from positions.books.accounting import MOST_DECIMALS, TOKEN_DECIMALS
from positions.models import Mint
from positions.models.compiled import Compiled
from positions.models.querysets import chunks

ROWS_PER_STATEMENT = 1000
_MINTS = Compiled(lambda: Mint.objects.order_by(), "pk")


def decimals_of(token_address: str) -> int:
    """Return the decimals of a mint, by default as many as nearly all have at most. One query."""
    found = _MINTS.find(token_address, using=router.db_for_read(Mint))
    return found[0].decimals if found else TOKEN_DECIMALS


def decimals_of_all(token_addresses: Collection[str]) -> dict[str, int]:
    """Return the decimals of each of these mints. A query for 500."""
    found = dict.fromkeys(token_addresses, TOKEN_DECIMALS)
    for some in chunks(token_addresses):
        found.update(Mint.objects.filter(pk__in=some).values_list("address", "decimals"))
    return found


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
