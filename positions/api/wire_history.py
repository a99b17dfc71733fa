"""The REST API's responses about history: candles, values, results."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import localcontext
from typing import Annotated, Any

from msgspec import Meta, Struct

from positions.api.wire import Id, ModeName
from positions.books.accounting import USD
from positions.books.snapshots import Number, Timestamp, number, timestamp
from positions.history.performance import Closed, Performance
from positions.history.results import Results, Today
from positions.models import Agent, AgentValue, Candle

Date = Annotated[str, Meta(extra_json_schema={"format": "date"})]


class CandleOnRest(Struct, rename="camel", kw_only=True):
    """Prices in SOL from `start` on, and the last one in USD: null where SOL in USD was unknown."""

    start: Timestamp
    open: Number
    high: Number
    low: Number
    close: Number
    close_usd: Number | None


class CandlesOnRest(Struct, rename="camel", kw_only=True):
    """Candles, oldest first. A minute or hour without a live price has none; `more`: whether the span has more."""

    token_address: str
    interval: str
    candles: list[CandleOnRest]
    more: bool


class ValueOnRest(Struct, rename="camel", kw_only=True):
    """An agent's open positions at a moment. Gain between two: the change of `valueSol` minus that of `netFlowSol`."""

    timestamp: Timestamp
    value_sol: Number
    value_usd: Number | None
    sol_price_usd: Number | None
    invested_sol: Number
    """The average cost of the tokens held."""
    realized_profit_sol: Number
    """Of all positions until then, closed ones included."""
    net_flow_sol: Number
    """Purchases minus proceeds of sales until then; transfers at their value."""
    positions: int
    positions_not_live: int
    """Those without a live price: valued at their last price, or at cost if none was ever known."""


class ValueHistoryOnRest(Struct, rename="camel", kw_only=True):
    """Points, oldest first; `more`: whether the span has more. None while nothing is held or no feed runs."""

    agent_id: Id
    interval: str
    points: list[ValueOnRest]
    more: bool


class TodayOnRest(Struct, rename="camel", kw_only=True):
    """Today's change = the profit of the open positions now + `closedProfitSol` - `startProfitSol`."""

    date: Date
    """The day (UTC) that this is of."""
    since: Timestamp | None
    """When the day began: the first price of the day (UTC). Without one, today's change is unknown."""
    start_profit_sol: Number | None
    """The profit then of all positions that are open or were closed today; null if it is no longer known."""
    closed_profit_sol: Number
    """The total profit of the positions that were closed today, since each was opened."""


class ClosedOnRest(Struct, rename="camel", kw_only=True):
    """A closed position, and its return in percent of everything spent on it: null if nothing was."""

    position_id: Id
    token_symbol: str
    profit_sol: Number
    return_percent: Number | None
    closed_at: Timestamp


class DayOnRest(Struct, rename="camel", kw_only=True):
    """The total profit of the positions that were closed on one day (UTC), since each was opened."""

    date: Date
    profit_sol: Number
    closed_positions: int


class PerformanceOnRest(Struct, rename="camel", kw_only=True):
    """How closed positions performed. Averages count each position equally; null if there are none."""

    closed_positions: int
    closed_profit_sol: Number
    win_rate_percent: Number | None
    """How many of them closed with a profit."""
    average_return_percent: Number | None
    """Of what was spent on each; positions that cost nothing are left out."""
    average_holding_seconds: int | None
    best: ClosedOnRest | None
    worst: ClosedOnRest | None
    days: list[DayOnRest]
    """The days on which a position was closed, oldest first."""


class ModeResultsOnRest(PerformanceOnRest, rename="camel", kw_only=True):
    """Of the positions in live, or in simulated wallets alone: the two are different money, and are never summed."""

    mode: ModeName
    closed_invested_sol: Number
    """What was spent on them."""
    today: TodayOnRest


class ResultsOnRest(PerformanceOnRest, rename="camel", kw_only=True):
    """How an agent's closed positions performed, and the basis of today's change."""

    event_seq: int
    """The number of the agent's last event: the results contain it, and none after it."""
    today: TodayOnRest
    modes: list[ModeResultsOnRest]
    """The same for each mode of the wallets that there are positions of."""


def candles_on_rest(
    token_address: str, interval: str, candles: Sequence[Candle], *, more: bool
) -> CandlesOnRest:
    return CandlesOnRest(
        token_address=token_address,
        interval=interval,
        candles=[
            CandleOnRest(
                start=timestamp(candle.start),
                open=number(candle.open),
                high=number(candle.high),
                low=number(candle.low),
                close=number(candle.close),
                close_usd=number(candle.close_usd),
            )
            for candle in candles
        ],
        more=more,
    )


def value_history_on_rest(
    agent: Agent, interval: str, points: Sequence[AgentValue], *, more: bool
) -> ValueHistoryOnRest:
    return ValueHistoryOnRest(
        agent_id=str(agent.pk), interval=interval, points=[_value(point) for point in points], more=more
    )


def _value(point: AgentValue) -> ValueOnRest:
    with localcontext(prec=80):
        value_usd = None if point.sol_usd is None else (point.value_sol * point.sol_usd).quantize(USD)
    return ValueOnRest(
        timestamp=timestamp(point.at),
        value_sol=number(point.value_sol),
        value_usd=number(value_usd),
        sol_price_usd=number(point.sol_usd),
        invested_sol=number(point.invested_sol),
        realized_profit_sol=number(point.realized_sol),
        net_flow_sol=number(point.flow_sol),
        positions=point.positions,
        positions_not_live=point.not_live,
    )


def results_on_rest(earned: Results) -> ResultsOnRest:
    return ResultsOnRest(
        event_seq=earned.event_seq,
        **_performance(earned.closed),
        today=_today(earned.today),
        modes=[
            ModeResultsOnRest(
                mode=each.mode,
                **_performance(each.closed),
                closed_invested_sol=number(each.closed_invested_sol),
                today=_today(each.today),
            )
            for each in earned.modes
        ],
    )


def _performance(closed: Performance) -> dict[str, Any]:
    """Return the fields of a PerformanceOnRest."""
    return {
        "closed_positions": closed.closed_positions,
        "closed_profit_sol": number(closed.profit_sol),
        "win_rate_percent": number(closed.win_rate_percent),
        "average_return_percent": number(closed.average_return_percent),
        "average_holding_seconds": closed.average_holding_seconds,
        "best": _closed(closed.best),
        "worst": _closed(closed.worst),
        "days": [
            DayOnRest(
                date=each.day.isoformat(),
                profit_sol=number(each.profit_sol),
                closed_positions=each.closed_positions,
            )
            for each in closed.days
        ],
    }


def _today(today: Today) -> TodayOnRest:
    return TodayOnRest(
        date=today.date.isoformat(),
        since=timestamp(today.since) if today.since else None,
        start_profit_sol=number(today.start_sol),
        closed_profit_sol=number(today.closed_sol),
    )


def _closed(position: Closed | None) -> ClosedOnRest | None:
    return position and ClosedOnRest(
        position_id=str(position.id),
        token_symbol=position.token_symbol,
        profit_sol=number(position.profit_sol),
        return_percent=number(position.return_percent),
        closed_at=timestamp(position.closed_at),
    )
