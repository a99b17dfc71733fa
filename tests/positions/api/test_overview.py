"""All agents of a user at a glance."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest
from asgiref.sync import async_to_sync
from django.contrib.auth.models import User
from django.utils import timezone

from positions import valkey
from positions.models import Agent, Position, Wallet
from positions.prices.openings import put_openings
from positions.prices.quotes import Quote
from positions.services import close_position, open_position, take_profit
from tests.conftest import BONK, JUP, WIF
from tests.positions.api.conftest import Api


def buy(wallet: Wallet, token: str, spent_sol: str = "1") -> Position:
    """Ten tokens."""
    return open_position(
        wallet=wallet,
        token_address=token,
        token_symbol=token[:4],
        tokens=Decimal(10),
        spent_sol=Decimal(spent_sol),
    )


def begin_day(*quotes: Quote) -> None:
    async def write() -> None:
        await put_openings(quotes)
        await valkey.close_async_client()

    async_to_sync(write)()


def test_overview_has_every_agent_with_live_and_simulated_totals_apart(
    alices: Api, alice: User, agent: Agent, wallet: Wallet, feed, bobs_position: Position
):
    real = Wallet.objects.create(agent=agent, address="Rea1" + "1" * 39, kind="live")
    Agent.objects.create(owner=alice, name="zeta", trading_mode="live")
    bonk, wif, jup = buy(wallet, BONK), buy(wallet, WIF, "2"), buy(real, JUP)
    now = timezone.now()
    begin_day(Quote(BONK, Decimal("0.12"), None, now), Quote(JUP, Decimal("0.1"), None, now))
    take_profit(position_id=bonk.pk, tokens=Decimal(5), proceeds_sol=Decimal("0.75"))
    sold = buy(wallet, "So1d" + "1" * 39)
    close_position(position_id=sold.pk, proceeds_sol=Decimal("0.5"))
    feed(
        Quote(BONK, Decimal("0.2"), None, timezone.now()),
        Quote(JUP, Decimal("0.05"), None, timezone.now()),
        sol_usd=Decimal(200),
    )
    data = alices.get("overview/").data
    assert (data["solPriceUsd"], [each["name"] for each in data["agents"]]) == (200, ["alpha", "zeta"])
    alpha, zeta = data["agents"]
    assert (alpha["id"], alpha["tradingMode"], alpha["connected"]) == (str(agent.pk), "simulation", False)
    assert (zeta["modes"], zeta["tradingMode"]) == ([], "live")
    simulated, live = alpha["modes"]
    since = simulated.pop("since")
    assert since is not None
    assert (
        simulated
        == {
            "mode": "simulation",
            "openPositions": 2,
            "positionsNotLive": 1,
            "positionValueSol": 3,  # five BONK at 0.2, and WIF at what it cost
            "unrealizedSol": Decimal("0.5"),
            "realizedSol": Decimal("-0.25"),  # 0.25 with BONK, -0.5 with what was sold
            "profitLossSol": Decimal("0.25"),
            "investedSol": 4,
            "profitLossPercent": Decimal("6.25"),
            "todaySol": Decimal("0.05"),  # 0.2 at the first price of BONK, 0.75 - 0.5 now
            "best": {
                "positionId": str(bonk.pk),
                "tokenSymbol": BONK[:4],
                "profitLossSol": Decimal("0.75"),
                "profitLossPercent": 75,
            },
            "worst": {
                "positionId": str(wif.pk),
                "tokenSymbol": WIF[:4],
                "profitLossSol": 0,
                "profitLossPercent": 0,
            },
        }
    )
    assert (live["mode"], live["positionValueSol"], live["profitLossSol"], live["todaySol"]) == (
        "live", Decimal("0.5"), Decimal("-0.5"), Decimal("-0.5"),
    )  # fmt: skip
    assert live["best"]["positionId"] == live["worst"]["positionId"] == str(jup.pk)


def test_overview_without_agents_is_empty(bobs: Api):
    assert bobs.get("overview/").data["agents"] == []


def test_today_is_unknown_without_a_first_price(alices: Api, wallet: Wallet):
    buy(wallet, BONK)
    assert alices.get("overview/").data["agents"][0]["modes"][0]["todaySol"] is None


def test_what_was_closed_before_today_counts_as_realised_only(alices: Api, wallet: Wallet):
    close_position(position_id=buy(wallet, BONK).pk, proceeds_sol=Decimal(3))
    Position.objects.update(closed_at=timezone.now() - timedelta(days=1))
    (totals,) = alices.get("overview/").data["agents"][0]["modes"]
    assert (totals["openPositions"], totals["realizedSol"], totals["todaySol"]) == (0, 2, 0)
    assert (totals["profitLossPercent"], totals["best"]) == (200, None)


def test_overview_without_the_price_cache_has_the_last_known_figures(
    alices: Api, wallet: Wallet, valkey_away
):
    buy(wallet, BONK)
    (agent,) = alices.get("overview/").data["agents"]
    assert (agent["connected"], agent["modes"][0]["positionValueSol"]) == (None, 1)
    assert (agent["modes"][0]["todaySol"], agent["modes"][0]["positionsNotLive"]) == (None, 1)


def test_overview_is_of_users_and_takes_no_parameters(alices: Api, nobodys: Api):
    assert nobodys.get("overview/").status == 401
    assert alices.get("overview/?agent=1").refusal == (400, {"errors": {"agent": ["Unknown parameter."]}})


@pytest.mark.parametrize("count", [1, 4])
def test_overview_costs_the_same_for_any_number(alices: Api, alice: User, django_assert_num_queries, count):
    begin_day(*(Quote(f"To{number}ken", Decimal("0.12"), None, timezone.now()) for number in range(1, 5)))
    for number in range(1, count + 1):
        agent = Agent.objects.create(owner=alice, name=f"agent {number}")
        wallet = Wallet.objects.create(agent=agent, address=f"Wa11et{number}")
        buy(wallet, f"To{number}ken")
        close_position(position_id=buy(wallet, f"C1osed{number}").pk, proceeds_sol=Decimal(1))
    # user, agents, positions, sums of closed ones, prices that the cache does not have, events
    with django_assert_num_queries(6):
        assert len(alices.get("overview/").data["agents"]) == count
