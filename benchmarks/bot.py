"""The process that writes to the database: `python -m benchmarks.bot`, synchronous like a trading bot."""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any

import django
from django.core.management import call_command

from benchmarks import market
from benchmarks.children import obey

django.setup()

from django.contrib.auth.models import User  # noqa: E402
from django.db import connection, transaction  # noqa: E402
from django.db.models import QuerySet  # noqa: E402
from django.test import Client  # noqa: E402

from positions.accounts.families import issue  # noqa: E402
from positions.books import accounting  # noqa: E402
from positions.books.snapshots import snapshot  # noqa: E402
from positions.models import Agent, AgentValue, Candle, Position, PositionEvent, Wallet  # noqa: E402
from positions.models.guard import unguarded  # noqa: E402
from positions.services import buy_more, open_position  # noqa: E402

BATCH = 2_000
LONGEST_RUN = timedelta(days=1)


def migrate() -> str:
    """Create the schema and the only user; return an access token."""
    call_command("migrate", verbosity=0)
    user, _ = User.objects.get_or_create(username="benchmark")
    return str(issue(user, lifetime=LONGEST_RUN))


def populate(*, first: int, count: int, tokens: int, missed: int = 0) -> None:
    """Create agents with the holdings that benchmarks.market defines, and with so many events that change nothing."""
    owner = User.objects.get(username="benchmark")
    for start in range(first, first + count, BATCH):
        numbers = range(start, min(start + BATCH, first + count))
        agents = Agent.objects.bulk_create(
            Agent(pk=market.agent_id(number, tokens), owner=owner, name=f"agent {number}", event_seq=missed)
            for number in numbers
        )
        wallets = Wallet.objects.bulk_create(
            Wallet(agent=agent, address=f"{market.token(number)[:-12]}{tokens}A{number}".replace("0", "z"))
            for number, agent in zip(numbers, agents, strict=True)
        )
        # QuerySet's own, not Position's: that one makes an event for each.
        with unguarded():
            positions = QuerySet[Position](Position).bulk_create(
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
            for position in positions[:: market.POSITIONS_PER_AGENT] if missed else ():
                stored = snapshot(position)
                QuerySet[PositionEvent](PositionEvent).bulk_create(
                    PositionEvent(
                        agent_id=position.agent_id,
                        seq=seq,
                        event_type=PositionEvent.Type.UPDATED,
                        position_id=position.pk,
                        position=stored,
                        created_at=position.created_at,
                    )
                    for seq in range(1, missed + 1)
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


def purchases(*, kinds: list[str], count: int) -> dict[str, dict[str, float]]:
    """Book so many purchases of each kind, in turn; return the medians of what one took."""
    owner = User.objects.get(username="benchmark")
    agent = Agent.objects.create(owner=owner, name="purchases")
    wallet = Wallet.objects.create(
        agent=agent, address=market.token(0)[:-20] + agent.pk.hex[:16].replace("0", "z")
    )
    client = Client(HTTP_HOST="127.0.0.1", HTTP_AUTHORIZATION=f"Bearer {issue(owner, lifetime=LONGEST_RUN)}")
    positions = {
        kind: open_position(
            wallet=wallet, token_address=market.token(number), tokens=Decimal(1000), spent_sol=Decimal(10)
        ).pk
        for number, kind in enumerate(kinds)
    }
    elapsed: dict[str, list[float]] = {kind: [] for kind in kinds}
    cpu: dict[str, list[float]] = {kind: [] for kind in kinds}
    for number in range(count):
        for kind in kinds:
            began, cpu_began = time.perf_counter(), time.thread_time()
            PURCHASES[kind](positions[kind], f"{kind}-{wallet.address}-{number}", client)
            elapsed[kind].append(1e3 * (time.perf_counter() - began))
            cpu[kind].append(1e3 * (time.thread_time() - cpu_began))
    return {
        kind: {
            "milliseconds": statistics.median(elapsed[kind]),
            "cpu_milliseconds": statistics.median(cpu[kind]),
        }
        for kind in kinds
    }


@transaction.atomic
def _without_a_trade(position_id: Any, name: str, client: Client) -> None:
    """What `buy_more` did before there were trades."""
    agent_id = Position.objects.values_list("agent_id", flat=True).get(pk=position_id)
    Agent.objects.select_for_update().get(pk=agent_id)
    position = Position.objects.select_for_update().get(pk=position_id)
    position.holding = accounting.buy(position.holding, tokens=Decimal("1.5"), spent_sol=Decimal("0.01"))
    position.dca_count += 1
    position.save()


def _post(position_id: Any, client: Client, **headers: str) -> None:
    answer = client.post(
        f"/api/positions/{position_id}/buy/",
        {"tokens": "1.5", "spentSol": "0.01"},
        "application/json",
        secure=True,  # else it is redirected to https
        headers=headers,
    )
    assert answer.status_code == 200, (answer.status_code, answer.content)  # noqa: S101


PURCHASES: dict[str, Callable[[Any, str, Client], object]] = {
    "event": _without_a_trade,
    "trade": lambda position_id, name, client: buy_more(
        position_id=position_id, tokens=Decimal("1.5"), spent_sol=Decimal("0.01")
    ),
    "transaction": lambda position_id, name, client: buy_more(
        position_id=position_id, tokens=Decimal("1.5"), spent_sol=Decimal("0.01"), transaction_id=name
    ),
    "post": lambda position_id, name, client: _post(position_id, client),
    "key": lambda position_id, name, client: _post(position_id, client, idempotency_key=name),
}


def history() -> dict[str, tuple[int, int]]:
    """Return how many candles and points there are, and how many bytes they take, indexes included."""
    found = {}
    with connection.cursor() as cursor:
        for what, model in (("candles", Candle), ("points of agents' values", AgentValue)):
            cursor.execute("SELECT pg_total_relation_size(%s)", [model._meta.db_table])
            found[what] = model.objects.count(), int(cursor.fetchone()[0])
    return found


def main() -> None:
    obey(
        {"migrate": migrate, "populate": populate, "saves": saves, "purchases": purchases, "history": history}
    )


if __name__ == "__main__":
    main()
