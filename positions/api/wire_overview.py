"""The overview, as REST answers it."""

from __future__ import annotations

from collections.abc import Collection
from uuid import UUID

from msgspec import Struct

from positions.api.wire import Id, ModeName
from positions.books.snapshots import Number, Timestamp, number, timestamp
from positions.history.overview import AgentOverview, ModeTotals, Overview, Valued


class RankedOnRest(Struct, rename="camel", kw_only=True):
    """An open position, and its profit since it was opened."""

    position_id: Id
    token_symbol: str
    profit_loss_sol: Number
    profit_loss_percent: Number


class ModeTotalsOnRest(Struct, rename="camel", kw_only=True):
    """Sums of SOL over the positions in an agent's live, or in its simulated wallets: the two are never summed."""

    mode: ModeName
    open_positions: int
    positions_not_live: int
    """Those without a live price: valued at their last price, or at cost if none was ever known."""
    position_value_sol: Number
    unrealized_sol: Number
    realized_sol: Number
    """With the positions that are open and with those that are closed."""
    profit_loss_sol: Number
    """Realised and unrealised together."""
    invested_sol: Number
    """All that was ever invested, in what is closed too."""
    profit_loss_percent: Number
    """Of that."""
    today_sol: Number | None
    """How the profit has changed since the first prices of the day (UTC); null if unknown."""
    since: Timestamp | None
    """From when on today counts."""
    best: RankedOnRest | None
    """The open position with the highest return."""
    worst: RankedOnRest | None


class AgentOverviewOnRest(Struct, rename="camel", kw_only=True):
    id: Id
    name: str
    trading_mode: ModeName
    connected: bool | None
    """Whether a socket owns the agent: that of its bot. Null if unknown."""
    modes: list[ModeTotalsOnRest]
    """One for each mode of the wallets that there are positions of."""


class OverviewOnRest(Struct, rename="camel", kw_only=True):
    """All your agents at a glance."""

    timestamp: Timestamp
    sol_price_usd: Number | None
    agents: list[AgentOverviewOnRest]


def overview_on_rest(seen: Overview, connected: Collection[UUID] | None) -> OverviewOnRest:
    """Return the overview; `connected`: the agents that are, None where that is unknown."""
    return OverviewOnRest(
        timestamp=timestamp(seen.at),
        sol_price_usd=number(seen.sol_usd),
        agents=[_agent(each, connected) for each in seen.agents],
    )


def _agent(each: AgentOverview, connected: Collection[UUID] | None) -> AgentOverviewOnRest:
    agent = each.agent
    return AgentOverviewOnRest(
        id=str(agent.pk),
        name=agent.name,
        trading_mode=agent.trading_mode,
        connected=None if connected is None else agent.pk in connected,
        modes=[_totals(totals) for totals in each.modes],
    )


def _totals(totals: ModeTotals) -> ModeTotalsOnRest:
    return ModeTotalsOnRest(
        mode=totals.mode,
        open_positions=totals.positions,
        positions_not_live=totals.not_live,
        position_value_sol=number(totals.value_sol),
        unrealized_sol=number(totals.unrealized_sol),
        realized_sol=number(totals.realized_sol),
        profit_loss_sol=number(totals.realized_sol + totals.unrealized_sol),
        invested_sol=number(totals.invested_sol),
        profit_loss_percent=number(totals.profit_percent),
        today_sol=number(totals.today_sol),
        since=timestamp(totals.since) if totals.since else None,
        best=_ranked(totals.best),
        worst=_ranked(totals.worst),
    )


def _ranked(held: Valued | None) -> RankedOnRest | None:
    return held and RankedOnRest(
        position_id=str(held.row.id),
        token_symbol=held.row.token_symbol,
        profit_loss_sol=number(held.worth.profit_loss_sol),
        profit_loss_percent=number(held.worth.profit_loss_percent),
    )
