"""A very large portfolio, and prices for it."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal

from positions.models import Position, Wallet
from positions.prices.quotes import Quote
from tests.end_to_end.browser.conftest import new_token

MANY = 500


def many_positions(wallet: Wallet, count: int = MANY) -> list[Position]:
    """Write that many open positions, each of another token."""
    return Position.objects.bulk_create(
        Position(
            agent_id=wallet.agent_id,
            wallet=wallet,
            token_address=new_token(),
            token_symbol=f"T{number:03}",
            purchase_price=Decimal("0.00001234") * (number + 1),
            purchase_amount=Decimal(100_000),
            remaining_amount=Decimal(75_000),
            total_invested_sol=Decimal("1.234") * (number + 1),
            realized_profit_sol=Decimal("0.01"),
            current_stop_loss_percentage=Decimal(-20),
        )
        for number in range(count)
    )


def rounds(positions: list[Position], *, seed: int = 1) -> Iterator[list[Quote]]:
    """Yield rounds of the feed in which every price moves."""
    chance = random.Random(seed)  # noqa: S311
    prices = {position.token_address: float(position.purchase_price) for position in positions}
    while True:
        now = datetime.now(UTC)
        quotes = []
        for token in prices:
            prices[token] *= 1 + chance.gauss(0, 0.003)
            price = Decimal(f"{prices[token]:.12g}")
            quotes.append(Quote(token, price, (price * 187).quantize(Decimal("1e-12")), now))
        yield quotes
