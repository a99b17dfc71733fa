"""The demo: the user `demo` with agents, wallets and positions, made by `manage.py up`. What it tells: `demo_stories`.

Its password is public, so it exists in debug mode only. Written through `positions.services`, so that every figure
follows from a purchase or a sale.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import datetime
from decimal import ROUND_DOWN, Decimal, localcontext
from typing import Any

from django.conf import settings
from django.contrib.auth import get_user_model
from django.db import transaction
from django.utils import timezone

from positions.books.accounting import SOL, TOKEN_DECIMALS, proceeds
from positions.demo_login import DEMO_PASSWORD, DEMO_USERNAME
from positions.errors import PositionsError
from positions.models import Agent, Position, Wallet
from positions.prices.simulated import SOL_IN_USD, START_PRICES
from positions.services import buy_more, close_position, move_stop_loss, open_position, take_profit
from positions.services.demo_stories import AGENTS, TOKENS, Story

BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
ADDRESS_LENGTH = 44

REPLAY_AGENT = "Replay"
REPLAY_WALLET = "DemoRep1aySimu1ation111111111111111111111111"


def create_demo() -> None:
    """Create what is missing of the demo; an agent whose wallets exist is left as it is.

    One transaction. Raises PositionsError outside debug mode.
    """
    with transaction.atomic():
        owner = _demo_user()
        now = timezone.now()
        for (name, mode), wallets in AGENTS.items():
            if Wallet.objects.filter(owner=owner, address__in=[address for _, address in wallets]).exists():
                continue
            agent = Agent.objects.create(owner=owner, name=name, trading_mode=mode)
            for (kind, address), stories in wallets.items():
                wallet = Wallet.objects.create(agent=agent, address=address, kind=kind)
                for story in sorted(stories, key=lambda story: story.age, reverse=True):
                    _tell(story, wallet, now)


def create_replay_positions(symbols_with_prices: Mapping[str, Decimal]) -> None:
    """Give the demo user an agent that holds each of these tokens, bought at exactly this price (to ten digits).

    For a replayed file, by the names that it gives its tokens: symbols or addresses. Open positions are kept.
    One transaction. Raises PositionsError outside debug mode, or for a name or price that no position can have.
    """
    with transaction.atomic():
        owner = _demo_user()
        wallet = Wallet.objects.filter(owner=owner, address=REPLAY_WALLET).first()
        if wallet is None:
            agent = Agent.objects.create(owner=owner, name=REPLAY_AGENT)
            wallet = Wallet.objects.create(agent=agent, address=REPLAY_WALLET)
        held = set(wallet.positions.open().values_list("token_address", flat=True))
        for name, price in symbols_with_prices.items():
            is_address = len(name) > 32
            address = name if is_address else made_up_address(f"token {name}")
            if address in held:
                continue
            tokens, spent_sol = _round_lot(name, price)
            open_position(
                wallet=wallet,
                token_address=address,
                token_symbol=name[:8] if is_address else name,
                tokens=tokens,
                spent_sol=spent_sol,
                transaction_id=_transaction_id(REPLAY_WALLET, name, 0),
            )


def made_up_address(text: str) -> str:
    """Return a made-up address, always the same for the same text."""
    return _base58(hashlib.sha256(text.encode()).digest()).rjust(ADDRESS_LENGTH, "1")


def _demo_user() -> Any:
    if not settings.DEBUG:
        raise PositionsError("the demo needs debug mode: its password is public")
    users: Any = get_user_model()._default_manager
    user, created = users.get_or_create(**{get_user_model().USERNAME_FIELD: DEMO_USERNAME})
    if created:
        user.set_password(DEMO_PASSWORD)
        user.save(update_fields=["password"])
    # Of two that start at the same time, the second waits here, then finds what the first has created.
    return users.select_for_update().get(pk=user.pk)


def _tell(story: Story, wallet: Wallet, now: datetime) -> None:
    """Write one position with all its history, spread evenly from its opening until now."""
    _, mint = TOKENS[story.symbol]
    opened_at = now - story.age
    acts = len(story.more) + len(story.profits) + (story.closed_at is not None)
    moments = iter([opened_at + story.age * number / (acts + 1) for number in range(1, acts + 1)])
    ids = (_transaction_id(wallet.address, story.symbol, number) for number in range(acts + 1))
    position = open_position(
        wallet=wallet,
        token_address=mint,
        token_symbol=story.symbol,
        tokens=_tokens(story.spent_sol, _price(mint, story.at)),
        spent_sol=Decimal(story.spent_sol),
        take_profit_levels=story.plan,
        transaction_id=next(ids),
        executed_at=opened_at,
        sol_usd=SOL_IN_USD.start,
    )
    key = position.pk
    for at, spent_sol in story.more:
        buy_more(
            position_id=key,
            tokens=_tokens(spent_sol, _price(mint, at)),
            spent_sol=Decimal(spent_sol),
            transaction_id=next(ids),
            executed_at=next(moments),
            sol_usd=SOL_IN_USD.start,
        )
    for at, part in story.profits:
        position.refresh_from_db()
        tokens = (position.remaining_amount * Decimal(part)).quantize(Decimal("1e-6"))
        take_profit(
            position_id=key,
            tokens=tokens,
            proceeds_sol=proceeds(tokens=tokens, price=_price(mint, at)),
            transaction_id=next(ids),
            moon_bag=story.moon_bag and (at, part) == story.profits[-1],
            executed_at=next(moments),
            sol_usd=SOL_IN_USD.start,
        )
    if story.stop_loss is not None:
        peak = _price(mint, story.peak_at) if story.peak_at else None
        position = move_stop_loss(position_id=key, percentage=Decimal(story.stop_loss), peak_price=peak)
        # The service takes the current time.
        Position.objects.filter(pk=key).update(last_stop_loss_update=position.last_trade_at)
    if story.closed_at is not None:
        position.refresh_from_db()
        close_position(
            position_id=key,
            proceeds_sol=proceeds(tokens=position.remaining_amount, price=_price(mint, story.closed_at)),
            reason=story.close_reason,
            transaction_id=next(ids),
            executed_at=next(moments),
            sol_usd=SOL_IN_USD.start,
        )


def _price(mint: str, multiple: str) -> Decimal:
    with localcontext(prec=12):
        return START_PRICES[mint] * Decimal(multiple)


def _tokens(spent_sol: str, price: Decimal) -> Decimal:
    return (Decimal(spent_sol) / price).quantize(Decimal("1e-6"))


def _round_lot(name: str, price: Decimal) -> tuple[Decimal, Decimal]:
    """Return a power of ten as the amount of tokens, and what they cost: 1 to 10 SOL where that can be."""
    if not price.is_finite() or price <= 0:
        raise PositionsError(f"{name}: {price} is not a price", field="price")
    tokens = Decimal(10) ** min(20, max(-TOKEN_DECIMALS, -price.adjusted()))
    with localcontext(prec=80):
        return tokens, max(SOL, (tokens * price).quantize(SOL, ROUND_DOWN))


def _transaction_id(*parts: object) -> str:
    """Return what looks like a transaction's signature, always the same for the same parts."""
    return _base58(hashlib.sha512(" ".join(map(str, parts)).encode()).digest())


def _base58(data: bytes) -> str:
    number, digits = int.from_bytes(data), ""
    while number:
        number, digit = divmod(number, 58)
        digits = BASE58[digit] + digits
    return digits
