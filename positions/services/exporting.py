"""Trades with what each sale cost and gained, by the average-cost method, in SOL and in USD as it was."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal, localcontext
from itertools import chain
from uuid import UUID

from django.db.models import QuerySet

from positions.books.accounting import SOL, ZERO
from positions.books.trades import USD_STORED, Books, Side, apply
from positions.errors import PositionsError
from positions.models import Trade
from positions.models.reading import in_parts

logger = logging.getLogger(__name__)

ROWS_PER_READ = 2000


@dataclass(frozen=True, slots=True)
class Gain:
    """Of a sale; None where something that it is worked out from is not known."""

    cost_sol: Decimal | None = None
    gain_sol: Decimal | None = None
    cost_usd: Decimal | None = None
    proceeds_usd: Decimal | None = None
    gain_usd: Decimal | None = None


def with_gains(
    trades: QuerySet[Trade], *, since: datetime | None, until: datetime | None
) -> Iterator[tuple[Trade, Gain]]:
    """Yield the trades from `since` to before `until`, by wallet and in the order of their execution.

    Earlier ones are read, too: what was sold has been bought before. Memory for each position that holds something.
    """
    if until is not None:
        trades = trades.filter(executed_at__lt=until)
    books: dict[UUID, Books] = {}
    impossible: set[UUID] = set()
    in_order = trades.select_related("position").order_by("wallet_id", "executed_at", "recorded_at")
    for trade in chain.from_iterable(in_parts(in_order, size=ROWS_PER_READ)):
        before = after = books.pop(trade.position_id, Books())
        try:
            after = apply(before, trade)
        except (PositionsError, ValueError) as error:  # written past Django; the others are as they were
            logger.warning(
                "trade %s is impossible: %s; the gains of its position are left out", trade.pk, error
            )
            impossible.add(trade.position_id)
        if after.holding.remaining_amount:
            books[trade.position_id] = after
        if since is None or trade.executed_at >= since:
            has_gain = trade.side == Side.SALE and trade.position_id not in impossible
            yield trade, _gain(trade, before, after) if has_gain else Gain()


def _gain(sale: Trade, before: Books, after: Books) -> Gain:
    with localcontext(prec=80):
        gain_sol = after.holding.realized_profit_sol - before.holding.realized_profit_sol
        cost_usd = proceeds_usd = None
        if before.cost_usd is not None and after.cost_usd is not None:
            cost_usd = before.cost_usd - after.cost_usd
        if sale.sol_usd is not None or not sale.sol:
            proceeds_usd = (sale.sol * (sale.sol_usd or ZERO)).quantize(USD_STORED)
        gain_usd = None if cost_usd is None or proceeds_usd is None else proceeds_usd - cost_usd
        return Gain((sale.sol - gain_sol).quantize(SOL), gain_sol, cost_usd, proceeds_usd, gain_usd)
