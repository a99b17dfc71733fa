"""The agents and wallets of an export: found by their ids and addresses, or made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from django.contrib.auth import get_user_model
from django.core.management.base import CommandError

from positions.management.engine.records import AgentRow, Problem, Rows, WalletRow
from positions.management.engine.tables import AGENTS, USERS, WALLETS
from positions.models import Agent, Wallet

LONGEST_NAME = 100


@dataclass(slots=True)
class Made:
    agents: dict[UUID, Agent] = field(default_factory=dict)
    wallets: dict[str, Wallet] = field(default_factory=dict)
    """By their address here."""
    new: dict[str, int] = field(default_factory=lambda: {"agent": 0, "wallet": 0})


def owners_of(rows: Rows, owner: str | None, problems: list[Problem]) -> dict[UUID, Any]:
    """Return the user who gets each agent: `owner`, or the one whose name or email is that of its user there.

    Raises CommandError where there is no user of the name `owner`.
    """
    users = get_user_model()
    if owner is not None:
        user = users._default_manager.filter(**{users.USERNAME_FIELD: owner}).first()
        if user is None:
            raise CommandError(f"There is no user {owner!r}.")
        return {agent.id: user for agent in rows.agents}
    are_bad = any(problem.table == USERS.name for problem in problems)
    if rows.agents and not rows.users and not are_bad:
        raise CommandError("The export has no users: say with --owner USER whose agents these are.")
    # A project's own users may have no email.
    fields = {each.name for each in users._meta.get_fields()}
    names = sorted({users.USERNAME_FIELD, users.get_email_field_name()} & fields)
    emails = {each.id: each.email for each in rows.users}
    found: dict[UUID, Any] = {}
    for each in rows.users:
        for name in names:
            same = users._default_manager.filter(**{f"{name}__iexact": each.email})[:2]
            if len(same) == 1:
                found[each.id] = same[0]
                break
        else:
            if any(agent.user_id == each.id for agent in rows.agents):
                text = f"email: no one user here has the name or email {each.email}; make one, or use --owner"
                problems.append(Problem(USERS.name, each.row, text))
    owners = {}
    for agent in rows.agents:
        if agent.user_id in found:
            owners[agent.id] = found[agent.user_id]
        elif agent.user_id not in emails and not are_bad:
            problems.append(Problem(AGENTS.name, agent.row, "user_id: no row of users has this id"))
    return owners


def make(rows: Rows, owners: Mapping[UUID, Any], problems: list[Problem], notes: list[Problem]) -> Made:
    """Make what is not there yet, in the caller's transaction. What is there is left as it is."""
    made = Made()
    known = Agent.objects.in_bulk([agent.id for agent in rows.agents])
    for row in rows.agents:
        if row.id not in owners:
            continue
        if row.id in made.agents:
            problems.append(Problem(AGENTS.name, row.row, "id: an earlier row has it already"))
            continue
        agent = known.get(row.id)
        if agent is None:
            agent = _agent(row, owners[row.id], notes)
            made.new["agent"] += 1
        elif agent.owner_id != owners[row.id].pk:
            problems.append(Problem(AGENTS.name, row.row, f"id: agent {row.id} is another user's here"))
        made.agents[row.id] = agent
    for wallet in rows.wallets:
        _wallet(wallet, made, problems, notes)
    return made


def _agent(row: AgentRow, owner: Any, notes: list[Problem]) -> Agent:
    name = "".join(sign for sign in row.name if sign.isprintable())
    if len(name) > LONGEST_NAME or name != row.name:
        name = name[:LONGEST_NAME]
        notes.append(Problem(AGENTS.name, row.row, f"its name is {name!r} here"))
    agent = Agent.objects.create(id=row.id, owner=owner, name=name, trading_mode=row.mode)
    if row.created_at is not None:
        Agent.objects.filter(pk=agent.pk).update(created_at=row.created_at)
    return agent


def _wallet(row: WalletRow, made: Made, problems: list[Problem], notes: list[Problem]) -> None:
    agent = made.agents.get(row.agent_id)
    if agent is None:
        problems.append(Problem(WALLETS.name, row.row, "agent_id: no agent of the export has this id"))
        return
    wallet = Wallet.objects.filter(owner=agent.owner_id, address=row.address).first()
    if wallet is None:
        wallet = Wallet.objects.create(agent=agent, address=row.address, kind=row.kind)
        if row.created_at is not None:
            Wallet.objects.filter(pk=wallet.pk).update(created_at=row.created_at)
        made.new["wallet"] += 1
        if row.address != row.engines:
            notes.append(Problem(WALLETS.name, row.row, f"{row.engines} is {row.address} here"))
    elif wallet.agent_id != agent.pk:
        text = f"wallet_address: {row.address} belongs to another agent of its owner here"
        problems.append(Problem(WALLETS.name, row.row, text))
        return
    made.wallets[row.address] = wallet


def check_wallets(rows: Rows, problems: list[Problem]) -> None:
    """Add a problem for each row whose wallet the export does not have."""
    named: dict[str, Sequence[Any]] = {
        "agent_positions": rows.open,
        "agent_historical_swaps": rows.closed,
        "agent_transactions": rows.transactions,
    }
    for table, each in named.items():
        for row in each:
            if row.wallet not in rows.addresses:
                text = f"wallet_address: no row of {WALLETS.name} has {row.wallet}"
                problems.append(Problem(table, row.row, text))
