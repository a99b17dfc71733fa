"""Transfers at their market value, not at cost as the books have them: so that moving tokens is no gain and no loss."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from decimal import Decimal, localcontext
from typing import NamedTuple
from uuid import UUID

from positions.books.accounting import SOL
from positions.books.trades import Side
from positions.models import Trade

CLOCKS_DIFFER = timedelta(minutes=2)
"""By how much, on two machines, at most."""
COLUMNS = (
    "pk",
    "position__agent_id",
    "position__wallet__kind",
    "position__token_address",
    "side",
    "tokens",
    "sol",
    "recorded_at",
)


class Transfer(NamedTuple):
    id: UUID
    agent_id: UUID
    mode: str
    """Of the wallet: live or simulated money."""
    token_address: str
    side: str
    tokens: Decimal
    cost_sol: Decimal
    recorded_at: datetime


class Transfers:
    """Finds transfers that have not been counted yet."""

    def __init__(self) -> None:
        self._counted: dict[UUID, datetime] = {}
        """The transfers of the last minutes: the time of booking does not show which of these have been counted."""

    def new(self, since: Mapping[UUID, datetime]) -> list[Transfer]:
        """Return what was booked since these moments, by agent, and not counted. One statement."""
        if not since:
            return []
        sides = (Side.TRANSFER_IN, Side.TRANSFER_OUT)
        booked = Trade.objects.filter(
            position__agent_id__in=since, side__in=sides, recorded_at__gt=min(since.values())
        )
        found = [Transfer(*row) for row in booked.order_by().values_list(*COLUMNS)]
        return [
            each for each in found if each.recorded_at > since[each.agent_id] and each.id not in self._counted
        ]

    def have_counted(self, transfers: Iterable[Transfer], now: datetime) -> None:
        self._counted.update((each.id, each.recorded_at) for each in transfers)
        recently = now - 2 * CLOCKS_DIFFER
        self._counted = {key: at for key, at in self._counted.items() if at > recently}


def beyond_cost(
    transfers: Iterable[Transfer], prices: Mapping[str, Decimal | None]
) -> Mapping[tuple[UUID, str], Decimal]:
    """Return by agent and mode what these transfers were worth beyond their cost, in SOL: those in, less those out."""
    total: defaultdict[tuple[UUID, str], Decimal] = defaultdict(Decimal)
    for each in transfers:
        price = prices[each.token_address]
        if price is None:
            continue  # its position counts what it cost, too
        with localcontext(prec=80):
            beyond = (price * each.tokens - each.cost_sol).quantize(SOL)
        total[each.agent_id, each.mode] += beyond if each.side == Side.TRANSFER_IN else -beyond
    return total
