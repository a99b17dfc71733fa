"""Making agents and wallets, within their owner's quotas."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.db import transaction

from positions.models import Agent, Mode, Wallet
from positions.services import quotas


def create_agent(*, owner: Any, name: str, trading_mode: str = Mode.SIMULATION) -> Agent:
    """Make an agent of this user. Raises QuotaReached. One COUNT more than without a quota."""
    values = {"owner_id": owner.pk, "name": name, "trading_mode": trading_mode}
    if not quotas.is_near(owner, "agents"):
        return Agent.objects.create(**values)
    with transaction.atomic():
        quotas.check(owner, "agents")
        return Agent.objects.create(**values)


def create_wallet(*, owner: Any, agent_id: UUID, address: str, kind: str = Mode.SIMULATION) -> Wallet:
    """Make a wallet of an agent, which is this user's. Raises QuotaReached. One COUNT more than without a quota."""
    values = {"agent_id": agent_id, "address": address, "kind": kind}
    if not quotas.is_near(owner, "wallets"):
        return Wallet.objects.create(**values)
    with transaction.atomic():
        # Whoever opens a position locks the agent before the user, too.
        list(Agent.objects.select_for_update(no_key=True).filter(pk=agent_id).order_by().values_list("pk"))
        quotas.check(owner, "wallets")
        return Wallet.objects.create(**values)
