"""Two agents whose events are recorded, and the invariants of every agent's events."""

from __future__ import annotations

from decimal import Decimal
from typing import Any
from uuid import UUID

from django.contrib.auth.models import User
from django.utils import timezone

from positions.books.accounting import Holding
from positions.books.snapshots import snapshot
from positions.models import Agent, Mode, Position, PositionEvent, Wallet
from positions.services import open_position
from tests.conftest import BONK, WIF

CREATED, UPDATED, CLOSED = "position_created", "position_updated", "position_closed"
BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"


def fold(log: list[PositionEvent], state: dict[str, Any] | None = None) -> dict[str, Any]:
    """Return the open positions that a client has after these events."""
    held = dict(state or {})
    for event in log:
        if event.event_type == CLOSED:
            held.pop(str(event.position_id), None)
        else:
            assert event.position is not None
            held[str(event.position_id)] = event.position
    return held


def fetch(agent_id: UUID) -> dict[str, Any]:
    """Return the agent's open positions as a fresh fetch gives them."""
    return {str(row.pk): snapshot(row) for row in Position.objects.open().filter(agent_id=agent_id)}


def log_of(agent_id: UUID) -> list[PositionEvent]:
    return list(PositionEvent.objects.filter(agent_id=agent_id).order_by("seq"))


def check(agent_id: UUID) -> None:
    """Assert that the agent's events are numbered without a gap and agree with all that it holds."""
    log = log_of(agent_id)
    assert [event.seq for event in log] == list(range(1, len(log) + 1))
    seq = Agent.objects.filter(pk=agent_id).values_list("event_seq", flat=True).first()
    assert seq in (len(log), None)
    assert fold(log) == fetch(agent_id)


def fields(event: PositionEvent) -> tuple[int, str, UUID, object]:
    return event.seq, event.event_type, event.position_id, event.position


Wanted = tuple[str, Position | UUID]


class World:
    """Alice's two agents, the first with BONK and WIF. Knows what was recorded and sent since it was made."""

    def __init__(self) -> None:
        self.alice = alice = User.objects.create(username="alice")
        self.agent = Agent.objects.create(owner=alice, name="alpha")
        self.other = Agent.objects.create(owner=alice, name="beta")
        self.wallet = Wallet.objects.create(agent=self.agent, address="A1pha")
        self.live = Wallet.objects.create(agent=self.agent, address="A1phaLive", kind=Mode.LIVE)
        self.others = Wallet.objects.create(agent=self.other, address="Beta")
        self.bonk = self.bought(self.wallet, BONK, "BONK")
        self.wif = self.bought(self.wallet, WIF, "WIF")
        self.sent: list[PositionEvent] = []
        self.mark = {agent.pk: self.seq(agent) for agent in (self.agent, self.other)}

    @staticmethod
    def bought(wallet: Wallet, token_address: str, symbol: str) -> Position:
        return open_position(
            wallet=wallet,
            token_address=token_address,
            token_symbol=symbol,
            tokens=Decimal(1000),
            spent_sol=Decimal(2),
        )

    @staticmethod
    def seq(agent: Agent) -> int:
        return Agent.objects.values_list("event_seq", flat=True).get(pk=agent.pk)

    @staticmethod
    def unsaved(wallet: Wallet, token_address: str, symbol: str = "NEW", **fields: Any) -> Position:
        position = Position(
            agent_id=wallet.agent_id,
            wallet=wallet,
            token_address=token_address,
            token_symbol=symbol,
            updated_at=timezone.now(),
            **fields,
        )
        position.holding = Holding(Decimal("0.5"), Decimal(10), Decimal(10), Decimal(5))
        return position

    def receive(self, events: list[PositionEvent], **kwargs: object) -> None:
        self.sent += events

    def expect(
        self,
        *expected: Wanted,
        other: tuple[Wanted, ...] = (),
        in_any_order: bool = False,
        of_threads: bool = False,
    ) -> None:
        """Assert that these events, and no others, were recorded and sent since the world was made.

        of_threads: several wrote, and each sends its own after its commit.
        """
        for agent_id, wanted in ((self.agent.pk, expected), (self.other.pk, other)):
            log = [event for event in log_of(agent_id) if event.seq > self.mark[agent_id]]
            keys = [(event.event_type, event.position_id) for event in log]
            wanted_keys = [(kind, getattr(position, "pk", position)) for kind, position in wanted]
            if in_any_order:
                keys.sort(key=str)
                wanted_keys.sort(key=str)
            assert keys == wanted_keys
            sent = [event for event in self.sent if event.agent_id == agent_id]
            if of_threads:
                sent.sort(key=lambda event: event.seq)
            assert [fields(event) for event in sent] == [fields(event) for event in log]
            assert all((event.position is None) == (event.event_type == CLOSED) for event in log)
            check(agent_id)
