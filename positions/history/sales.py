"""At what price positions were sold."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal, localcontext
from uuid import UUID

from positions.books.accounting import ZERO, price_paid
from positions.books.trades import Side
from positions.models import Position, Trade


def sale_prices(positions: Iterable[Position]) -> Mapping[UUID, Decimal]:
    """Return what those of the positions that are closed were sold at: on average, in SOL, net of fees. One query.

    Without those that were never sold, but sent away. Of a token that migrated: what was sold under its last mint.
    """
    closed = [position.pk for position in positions if position.status == Position.Status.CLOSED]
    if not closed:
        return {}
    sold: dict[UUID, tuple[Decimal, Decimal]] = {}
    trades = Trade.objects.filter(position_id__in=closed, side__in=(Side.SALE, Side.MIGRATION))
    with localcontext(prec=80):
        for key, side, tokens, sol in trades.values_list("position_id", "side", "tokens", "sol"):
            if side == Side.MIGRATION:
                sold.pop(key, None)
                continue
            all_tokens, all_sol = sold.get(key, (ZERO, ZERO))
            sold[key] = all_tokens + tokens, all_sol + sol
    return {key: price_paid(tokens=tokens, sol=sol) or ZERO for key, (tokens, sol) in sold.items()}
