"""Many agents at once, and what can be seen of a server process from outside."""

from __future__ import annotations

import random
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
from asgiref.sync import sync_to_async
from django.contrib.auth.models import User

from positions import services
from positions.models import Agent, Position, Wallet
from positions.prices.quotes import Quote
from realtime.publish.broadcast import flush
from tests.conftest import quote
from tests.live import NO_TLS, PATIENCE_SECONDS, Server

BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"


def addresses(count: int) -> list[str]:
    return ["".join(random.choices(BASE58, k=44)) for _ in range(count)]  # noqa: S311


@sync_to_async
def fleet(owner: User, *, size: int, tokens: Sequence[str]) -> list[Agent]:
    """Make agents that each hold all these tokens; return once the events of that have been sent."""
    agents = Agent.objects.bulk_create([Agent(owner=owner, name=f"agent {n}") for n in range(size)])
    names = zip(agents, addresses(size), strict=True)
    wallets = Wallet.objects.bulk_create([Wallet(agent=agent, address=name) for agent, name in names])
    Position.objects.bulk_create(
        Position(
            agent=wallet.agent,
            wallet=wallet,
            token_address=token,
            token_symbol="TOKEN",
            purchase_price=Decimal(1),
            purchase_amount=Decimal(1),
            remaining_amount=Decimal(1),
            total_invested_sol=Decimal(1),
        )
        for wallet in wallets
        for token in tokens
    )
    assert flush(PATIENCE_SECONDS)
    return agents


@sync_to_async
def change(agent: Agent, number: int = 1) -> None:
    """Make one event of the agent's first position."""
    position = Position.objects.open().filter(agent=agent).order_by("created_at", "id").first()
    assert position is not None
    services.move_stop_loss(position_id=position.pk, percentage=-Decimal(number % 90))


def prices(tokens: Sequence[str], number: int) -> list[Quote]:
    """Return a price for each token that says which round it is from, long enough to weigh something."""
    return [quote(token, f"{number}.123456789012345678", f"{number}.987654321098765432") for token in tokens]


async def connection_count(server: Server) -> int:
    async with httpx.AsyncClient(verify=NO_TLS, timeout=PATIENCE_SECONDS) as http:
        return int((await http.get(f"{server.url}/health")).json()["connectionCount"])


def resident_bytes(server: Server, *, at_most: bool = False) -> int:
    """Return how much memory the process has; `at_most`, how much it ever had."""
    assert server.process is not None
    status = Path(f"/proc/{server.process.pid}/status").read_text()
    name = "VmHWM:" if at_most else "VmRSS:"
    return 1024 * int(next(line for line in status.splitlines() if line.startswith(name)).split()[1])


def open_sockets(server: Server) -> int:
    """Return how many TCP connections the process holds a descriptor of."""
    assert server.process is not None
    inodes = set()
    for descriptor in Path(f"/proc/{server.process.pid}/fd").iterdir():
        try:
            target = str(descriptor.readlink())
        except FileNotFoundError:
            continue  # closed while we looked
        if target.startswith("socket:["):
            inodes.add(target[8:-1])
    rows = [row.split() for row in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    ours = f":{server.port:04X}"
    return sum(row[9] in inodes and row[1].endswith(ours) and not row[2].endswith(":0000") for row in rows)


def only(messages: list[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    return [message["data"] for message in messages if message["type"] == kind]
