"""What an agent's positions are worth over time, and that what goes in and out is no gain."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal, localcontext
from itertools import pairwise

import pytest
from asgiref.sync import sync_to_async
from django.db.models import QuerySet

from positions import services, valkey
from positions.conf import conf
from positions.history.values import ValueStore
from positions.models import Agent, AgentValue, Position, Trade, Wallet
from positions.models.guard import unguarded
from tests.conftest import BONK, WIF
from tests.positions.history.conftest import NOON, World

pytestmark = pytest.mark.django_db(transaction=True)

buy_more = sync_to_async(services.buy_more)
close_position = sync_to_async(services.close_position)
take_profit = sync_to_async(services.take_profit)
move_stop_loss = sync_to_async(services.move_stop_loss)
transfer_in, transfer_out = sync_to_async(services.transfer_in), sync_to_async(services.transfer_out)


@sync_to_async
def buy(wallet: Wallet, token: str, tokens: str, spent_sol: str) -> Position:
    return services.open_position(
        wallet=wallet,
        token_address=token,
        token_symbol="T",
        tokens=Decimal(tokens),
        spent_sol=Decimal(spent_sol),
    )


async def points(agent: Agent) -> list[AgentValue]:
    return [point async for point in AgentValue.objects.filter(agent=agent).order_by("at")]


async def minute(history: World, at: str, **prices: str) -> None:
    """Run a round, and have the minute's points written."""
    await history.round(at, **prices)
    written = await history.recorder.write()
    assert written.error is None


async def note_booked(at: str) -> None:
    """Let the last trade have been booked at this time of the day."""
    last = await Trade.objects.order_by("recorded_at").alast()
    assert last is not None
    hour, minute, second = map(int, at.split(":"))
    # QuerySet's own update: Trade's refuses.
    rows = QuerySet[Trade](Trade).filter(pk=last.pk)
    with unguarded():
        await rows.aupdate(recorded_at=NOON.replace(hour=hour, minute=minute, second=second))


async def gains(agent: Agent) -> list[Decimal]:
    """Return what the agent gained from each point to the next."""
    line = [point.value_sol - point.flow_sol for point in await points(agent)]
    return [after - before for before, after in pairwise(line)]


async def test_point_has_value_cost_and_flow(history: World, position: Position, agent: Agent):
    await minute(history, "12:00:05", **{BONK: "0.000003"})
    [point] = await points(agent)
    assert (point.value_sol, point.invested_sol, point.realized_sol, point.flow_sol) == (3, 2, 0, 2)
    assert (point.sol_usd, point.positions, point.not_live) == (100, 1, 0)


async def test_points_are_written_once_a_minute(history: World, position: Position, agent: Agent):
    for at in ("12:00:05", "12:00:10", "12:00:59", "12:01:00", "12:01:05", "12:03:00"):
        await minute(history, at, **{BONK: "0.000003"})
    assert [f"{point.at:%H:%M:%S}" for point in await points(agent)] == ["12:00:05", "12:01:00", "12:03:00"]


async def test_purchases_and_sales_at_the_market_s_price_are_no_gain(
    history: World, position: Position, agent: Agent, wallet: Wallet
):
    price = {BONK: "0.000003", WIF: "0.25"}
    await minute(history, "12:00:00", **price)
    await buy_more(position_id=position.pk, tokens=Decimal(333_333), spent_sol=Decimal("0.999999"))
    wif = await buy(wallet, WIF, "7", "1.75")
    await minute(history, "12:01:00", **price)
    await take_profit(position_id=position.pk, tokens=Decimal(777_777), proceeds_sol=Decimal("2.333331"))
    await minute(history, "12:02:00", **price)
    await close_position(position_id=position.pk, proceeds_sol=Decimal("1.666668"))
    await minute(history, "12:03:00", **price)
    await close_position(position_id=wif.pk, proceeds_sol=Decimal("1.75"))
    await minute(history, "12:04:00", **price)
    assert await gains(agent) == [0, 0, 0, 0]
    assert [point.value_sol for point in await points(agent)] == [
        3, Decimal("5.749999"), Decimal("3.416668"), Decimal("1.75"), 0
    ]  # fmt: skip


async def test_only_the_price_makes_a_gain(history: World, position: Position, agent: Agent):
    await minute(history, "12:00:00", **{BONK: "0.000003"})
    history.market.sol_usd = Decimal(50)  # SOL falls by half: in SOL nothing has happened
    await minute(history, "12:01:00", **{BONK: "0.000003"})
    await take_profit(position_id=position.pk, tokens=Decimal(500_000), proceeds_sol=Decimal("1.5"))
    await minute(history, "12:02:00", **{BONK: "0.000005"})
    assert await gains(agent) == [0, 1]
    assert [point.sol_usd for point in await points(agent)] == [100, 50, 50]


async def test_cost_of_a_bad_trade_is_a_loss(history: World, position: Position, agent: Agent):
    await minute(history, "12:00:00", **{BONK: "0.000003"})
    await take_profit(position_id=position.pk, tokens=Decimal(500_000), proceeds_sol=Decimal("1.4"))
    await minute(history, "12:01:00", **{BONK: "0.000003"})
    assert await gains(agent) == [Decimal("-0.1")]


async def test_agent_that_holds_nothing_has_one_point_that_says_so(
    history: World, position: Position, agent: Agent
):
    await minute(history, "12:00:00", **{BONK: "0.000003"})
    await close_position(position_id=position.pk, proceeds_sol=Decimal("2.5"))
    await minute(history, "12:01:00")
    await minute(history, "12:02:00")
    await history.recorder.flush()
    history.restart()
    await minute(history, "12:03:00")
    found = await points(agent)
    assert [f"{point.at:%H:%M}" for point in found] == ["12:00", "12:01"]
    assert (found[1].value_sol, found[1].realized_sol, found[1].flow_sol) == (
        0,
        Decimal("0.5"),
        Decimal("-0.5"),
    )
    assert (found[1].positions, found[1].not_live) == (0, 0)


async def test_restart_goes_on_where_the_line_was(history: World, position: Position, agent: Agent):
    await close_position(position_id=position.pk, proceeds_sol=Decimal("2.5"))
    wallet = await Wallet.objects.aget(agent=agent)
    await buy(wallet, WIF, "4", "1")
    await minute(history, "12:00:00", **{WIF: "0.25"})
    await history.recorder.flush()
    history.restart()
    await minute(history, "12:01:00", **{WIF: "0.25"})
    first, second = await points(agent)
    assert (first.flow_sol, first.realized_sol, first.event_seq) == (Decimal("0.5"), Decimal("0.5"), 3)
    assert (second.flow_sol, second.realized_sol, second.event_seq) == (Decimal("0.5"), Decimal("0.5"), 3)


async def test_positions_whose_price_is_not_live_are_counted(
    history: World, position: Position, agent: Agent, wallet: Wallet
):
    """One was never priced, and counts what it cost; the other's last price counts."""
    await buy(wallet, WIF, "4", "1")
    await minute(history, "12:00:00", **{BONK: "0.000003"})
    await minute(history, "12:05:00")
    assert [(point.value_sol, point.not_live) for point in await points(agent)] == [(4, 1), (4, 2)]


async def test_process_that_runs_no_rounds_writes_no_points(history: World, position: Position, agent: Agent):
    await history.recorder.write()
    assert await points(agent) == []
    await minute(history, "12:00:00", **{BONK: "0.000003"})
    history.market.now = NOON + timedelta(minutes=2)
    await history.recorder.write()
    assert len(await points(agent)) == 1


async def test_without_the_price_cache_there_is_no_point(
    history: World, position: Position, agent: Agent, settings
):
    url = conf.REDIS_URL
    await history.round("12:00:00", **{BONK: "0.000003"})
    valkey.client.cache_clear()
    settings.NEXGENT = {**settings.NEXGENT, "REDIS_URL": "unix:///nowhere/valkey.sock"}
    failed = await history.recorder.write()
    valkey.client.cache_clear()
    settings.NEXGENT = {**settings.NEXGENT, "REDIS_URL": url}
    assert failed.error is not None
    assert await points(agent) == []
    assert (await history.recorder.write()).points == 1


async def test_points_of_many_agents_are_written_a_few_at_a_time(history: World, alice):
    store = ValueStore()
    for number in range(5):
        agent = await Agent.objects.acreate(owner=alice, name=f"agent {number}")
        wallet = await Wallet.objects.acreate(agent=agent, address=f"A{number + 1}")
        if number != 2:
            await buy(wallet, BONK, str(number + 1), "1")

    @sync_to_async
    def record() -> tuple[list[int], int]:
        after, counts = None, []
        while True:
            after, count = store.record(NOON, after=after, agents=2)
            counts.append(count)
            if after is None:
                return counts, AgentValue.objects.count()

    counts, written = await record()
    assert (sum(counts), len(counts), written) == (4, 3, 4)


async def test_first_point_of_an_hour_is_kept_longer(history: World, position: Position, agent: Agent):
    for at in ("12:58:00", "12:59:00", "13:00:00", "13:01:00"):
        await minute(history, at, **{BONK: "0.000003"})
    assert [point.is_hourly for point in await points(agent)] == [True, False, True, False]
    store = ValueStore()

    @sync_to_async
    def prune(fine: datetime, before: datetime) -> int:
        return store.prune(fine_before=fine, before=before, agents=10, limit=100)

    one = NOON.replace(hour=13)
    assert await prune(one, NOON) == 1
    assert [f"{point.at:%H:%M}" for point in await points(agent)] == ["12:58", "13:00", "13:01"]
    assert await prune(one, one) == 1
    assert [f"{point.at:%H:%M}" for point in await points(agent)] == ["13:00", "13:01"]


async def test_points_are_deleted_with_their_agent(history: World, position: Position, agent: Agent):
    await minute(history, "12:00:00", **{BONK: "0.000003"})
    await agent.adelete()
    assert not await AgentValue.objects.aexists()


# Live and simulated money, which have no sum


async def by_mode(agent: Agent) -> list[dict[str, tuple[Decimal, Decimal, Decimal, int]]]:
    """Return each point's value, realised profit, flow and positions of the modes that it tells apart."""
    whole = ("live", "simulation")
    return [
        {
            mode: (part.value_sol, part.realized_sol, part.flow_sol, part.positions)
            for mode in whole
            if point.mode == mode or point.simulated is not None
            for part in [point.only(mode)]
        }
        for point in await points(agent)
    ]


async def test_points_tell_live_from_simulated_money(
    history: World, position: Position, agent: Agent, wallet: Wallet
):
    price = {BONK: "0.000003", WIF: "0.25"}
    await minute(history, "12:00:00", **price)
    real = await Wallet.objects.acreate(agent=agent, address="Rea1" + "1" * 39, kind="live")
    wif = await buy(real, WIF, "8", "2")
    await minute(history, "12:01:00", **price)
    await close_position(position_id=wif.pk, proceeds_sol=Decimal("2.5"))
    await history.recorder.flush()
    history.restart()
    await minute(history, "12:02:00", **price)
    assert await by_mode(agent) == [
        {"simulation": (3, 0, 2, 1)},
        {"live": (2, 0, 2, 1), "simulation": (3, 0, 2, 1)},
        {"live": (0, Decimal("0.5"), Decimal("-0.5"), 0), "simulation": (3, 0, 2, 1)},
    ]


async def test_transfers_are_no_gain_of_either_mode_also_after_a_restart(
    history: World, position: Position, agent: Agent
):
    price = {BONK: "0.000003"}
    await minute(history, "12:00:00", **price)
    await transfer_out(position_id=position.pk, tokens=Decimal(400_000))
    await note_booked("12:00:50")
    await minute(history, "12:01:00", **price)
    real = await Wallet.objects.acreate(agent=agent, address="Rea1" + "1" * 39, kind="live")
    theirs = await buy(real, BONK, "1000", "0.003")
    await minute(history, "12:02:00", **price)
    await transfer_in(position_id=theirs.pk, tokens=Decimal(100_000), cost_sol=Decimal("0.7"))
    await note_booked("12:02:50")
    await minute(history, "12:03:00", **price)
    await history.recorder.flush()
    history.restart()
    await transfer_out(position_id=position.pk, tokens=Decimal(100_000))
    await note_booked("12:03:50")
    await minute(history, "12:04:00", **price)
    for mode in ("simulation", "live"):
        line = [parts[mode][0] - parts[mode][2] for parts in await by_mode(agent) if mode in parts]
        assert len(set(line)) == 1, (mode, line)


# Transfers, which the books have at cost


async def test_transfers_are_no_gain_at_whatever_price(history: World, position: Position, agent: Agent):
    """Bought at 0.000002, worth 0.000003 a token: out and in again, at other costs than that."""
    price = {BONK: "0.000003"}
    await minute(history, "12:00:00", **price)
    await transfer_out(position_id=position.pk, tokens=Decimal(400_000))
    await minute(history, "12:01:00", **price)
    await transfer_in(position_id=position.pk, tokens=Decimal(100_000), cost_sol=Decimal("0.7"))
    await minute(history, "12:02:00", **price)
    await transfer_out(position_id=position.pk, tokens=Decimal(700_000))  # all of it
    await minute(history, "12:03:00", **price)
    assert await gains(agent) == [0, 0, 0]
    assert [point.flow_sol for point in await points(agent)] == [2, Decimal("0.8"), Decimal("1.1"), -1]


async def test_transfer_to_another_agent_is_no_gain_of_either(
    history: World, position: Position, agent: Agent, alice
):
    other = await Agent.objects.acreate(owner=alice, name="beta")
    wallet = await Wallet.objects.acreate(agent=other, address="Beta")
    theirs = await buy(wallet, BONK, "1000", "0.001")
    await minute(history, "12:00:00", **{BONK: "0.000005"})
    await transfer_out(position_id=position.pk, tokens=Decimal(500_000))
    await transfer_in(position_id=theirs.pk, tokens=Decimal(500_000), cost_sol=Decimal(1))
    await minute(history, "12:01:00", **{BONK: "0.000005"})
    assert await gains(agent) == [0]
    assert await gains(other) == [0]


async def test_transfer_is_counted_once_whatever_the_clocks_say(
    history: World, position: Position, agent: Agent
):
    """The server that books it is a minute ahead, or behind."""
    await minute(history, "12:00:00", **{BONK: "0.000003"})
    for at, booked in (("12:01:00", "12:02:00"), ("12:03:00", "12:02:00"), ("12:04:00", "12:03:30")):
        await transfer_out(position_id=position.pk, tokens=Decimal(100_000))
        await note_booked(booked)
        await minute(history, at, **{BONK: "0.000003"})
    await move_stop_loss(position_id=position.pk, percentage=Decimal(-20))
    await minute(history, "12:05:00", **{BONK: "0.000003"})
    assert await gains(agent) == [0, 0, 0, 0]


async def test_restart_counts_no_transfer_twice(history: World, position: Position, agent: Agent):
    await minute(history, "12:00:00", **{BONK: "0.000003"})
    await transfer_out(position_id=position.pk, tokens=Decimal(100_000))
    await note_booked("12:00:50")
    await minute(history, "12:01:00", **{BONK: "0.000003"})
    for at in ("12:02:00", "12:03:00"):
        await history.recorder.flush()
        history.restart()
        await move_stop_loss(position_id=position.pk, percentage=Decimal(-20))
        await minute(history, at, **{BONK: "0.000003"})
    assert await gains(agent) == [0, 0, 0]


async def test_transfer_of_what_never_had_a_price_counts_its_cost(
    history: World, position: Position, agent: Agent
):
    await minute(history, "12:00:00")
    await transfer_out(position_id=position.pk, tokens=Decimal(100_000))
    await minute(history, "12:01:00")
    assert await gains(agent) == [0]


async def test_largest_amount_at_a_high_price_stops_nobody_s_history(
    history: World, position: Position, agent: Agent, wallet: Wallet
):
    """In a simulation, a hundred million billion of a token that costs a thousand SOL."""
    await buy(wallet, WIF, "999999999999999999999", "1")
    await minute(history, "12:00:05", **{BONK: "0.000003", WIF: "999999999999.5"})
    [point] = await points(agent)
    with localcontext(prec=50):
        assert point.value_sol == Decimal("999999999999.5") * Decimal("999999999999999999999") + 3
