"""The process that writes to the database: `python -m benchmarks.bot`, synchronous like a trading bot."""

from __future__ import annotations

import sys
import time
from decimal import Decimal
from typing import Any

import django
from django.core.management import call_command

from benchmarks import market
from benchmarks.children import obey

django.setup()

from django.contrib.auth.models import User  # noqa: E402
from django.db import connection  # noqa: E402
from django.db.models import QuerySet  # noqa: E402
from rest_framework_simplejwt.tokens import AccessToken  # noqa: E402

from positions.models import Agent, AgentValue, Candle, Position, Wallet  # noqa: E402

BATCH = 2_000


def migrate() -> str:
    """Create the schema and the only user; return an access token."""
    call_command("migrate", verbosity=0)
    user, _ = User.objects.get_or_create(username="benchmark")
    return str(AccessToken.for_user(user))


def populate(*, first: int, count: int, tokens: int) -> None:
    """Create agents with the holdings that benchmarks.market defines, without events."""
    owner = User.objects.get(username="benchmark")
    for start in range(first, first + count, BATCH):
        numbers = range(start, min(start + BATCH, first + count))
        agents = Agent.objects.bulk_create(
            Agent(pk=market.agent_id(number, tokens), owner=owner, name=f"agent {number}")
            for number in numbers
        )
        wallets = Wallet.objects.bulk_create(
            Wallet(agent=agent, address=f"{market.token(number)[:-12]}{tokens}A{number}".replace("0", "z"))
            for number, agent in zip(numbers, agents, strict=True)
        )
        # QuerySet's own, not Position's: that one makes an event for each.
        QuerySet[Position](Position).bulk_create(
            [
                Position(
                    agent=wallet.agent,
                    wallet=wallet,
                    token_address=market.token(held),
                    token_symbol=f"T{held}",
                    purchase_price=Decimal("0.0101"),
                    purchase_amount=Decimal(1000),
                    remaining_amount=Decimal(1000),
                    total_invested_sol=Decimal("10.1"),
                )
                for number, wallet in zip(numbers, wallets, strict=True)
                for held in market.holdings(number, tokens)
            ],
            batch_size=BATCH,
        )


def saves(
    *, first: int, agents: int, tokens: int, first_mark: int, count: int, interval_seconds: float
) -> Any:
    """Save one position of one agent after another, each with a unique mark.

    Return when each save began, and how many seconds all took, sending included.
    """
    positions = [
        Position.objects.filter(agent_id=market.agent_id(number, tokens)).order_by("id")[0]
        for number in range(first, first + min(agents, count))
    ]
    begin = time.monotonic()
    began = []
    for number in range(count):
        position = positions[number % len(positions)]
        position.dca_count = first_mark + number
        time.sleep(max(0.0, begin + number * interval_seconds - time.monotonic()))
        began.append((str(position.agent_id), position.dca_count, time.monotonic()))
        position.save()
    if "realtime.publish.broadcast" in sys.modules:
        from realtime.publish.broadcast import flush

        flush(30)
    return {"began": began, "seconds": time.monotonic() - begin}


def history() -> dict[str, tuple[int, int]]:
    """Return how many candles and points there are, and how many bytes they take, indexes included."""
    found = {}
    with connection.cursor() as cursor:
        for what, model in (("candles", Candle), ("points of agents' values", AgentValue)):
            cursor.execute("SELECT pg_total_relation_size(%s)", [model._meta.db_table])
            found[what] = model.objects.count(), int(cursor.fetchone()[0])
    return found


def main() -> None:
    obey({"migrate": migrate, "populate": populate, "saves": saves, "history": history})


if __name__ == "__main__":
    main()
