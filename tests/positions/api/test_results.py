"""An agent's profit, and the base of today's change."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from asgiref.sync import async_to_sync
from django.utils import timezone

from positions import valkey
from positions.books.snapshots import timestamp
from positions.models import Agent, Position, PositionEvent, Wallet
from positions.prices.openings import put_openings
from positions.prices.quotes import Quote
from positions.services import close_position, migrate_token, open_position, take_profit
from tests.conftest import BONK, JUP, WIF
from tests.positions.api.conftest import Api

YESTERDAY = timedelta(days=1)


@pytest.fixture
def opening():
    """Let a token's day begin with this price, at the moment of the call."""

    def put(token: str, price: str, *, as_of: datetime | None = None) -> datetime:
        moment = as_of or timezone.now()

        async def write() -> None:
            await put_openings([Quote(token, Decimal(price), None, moment)])
            await valkey.close_async_client()

        async_to_sync(write)()
        return moment

    return put


def buy(wallet: Wallet, token: str) -> Position:
    """Ten tokens for 1 SOL."""
    return open_position(
        wallet=wallet, token_address=token, token_symbol="T", tokens=Decimal(10), spent_sol=Decimal(1)
    )


def results(api: Api, agent: Agent) -> tuple[object, object, object]:
    """Return what all that is closed has earned, and today's start and closed profit."""
    answer = api.get(f"agents/{agent.pk}/results/")
    assert answer.status == 200, answer.text
    today = answer.data["today"]
    return answer.data["closedProfitSol"], today["startProfitSol"], today["closedProfitSol"]


def test_results_of_an_agent_without_positions_are_nothing(alices: Api, agent: Agent):
    assert alices.get(f"agents/{agent.pk}/results/").data == {
        "eventSeq": 0,
        "closedPositions": 0,
        "closedProfitSol": 0,
        "winRatePercent": None,
        "averageReturnPercent": None,
        "averageHoldingSeconds": None,
        "best": None,
        "worst": None,
        "days": [],
        "today": {
            "date": timezone.now().date().isoformat(),
            "since": None,
            "startProfitSol": 0,
            "closedProfitSol": 0,
        },
        "modes": [],
    }


def test_today_begins_with_what_was_held_at_the_first_price(
    alices: Api, agent: Agent, wallet: Wallet, opening
):
    position = buy(wallet, BONK)
    since = opening(BONK, "0.12")
    assert results(alices, agent) == (0, Decimal("0.2"), 0)
    # What was earned and sold since changes nothing of how the day began.
    take_profit(position_id=position.pk, tokens=Decimal(5), proceeds_sol=Decimal(2))
    assert results(alices, agent) == (0, Decimal("0.2"), 0)
    close_position(position_id=position.pk, proceeds_sol=Decimal(1))
    assert results(alices, agent) == (2, Decimal("0.2"), 2)
    data = alices.get(f"agents/{agent.pk}/results/").data
    assert (data["closedPositions"], data["today"]["since"]) == (1, timestamp(since))


def test_first_price_of_a_day_stays(alices: Api, agent: Agent, wallet: Wallet, opening):
    buy(wallet, BONK)
    opening(BONK, "0.12")
    opening(BONK, "0.5")
    assert results(alices, agent) == (0, Decimal("0.2"), 0)


def test_position_opened_after_the_first_price_began_with_nothing(
    alices: Api, agent: Agent, wallet: Wallet, opening
):
    opening(WIF, "7")
    position = buy(wallet, WIF)
    assert results(alices, agent) == (0, 0, 0)
    close_position(position_id=position.pk, proceeds_sol=Decimal(3))
    assert results(alices, agent) == (2, 0, 2)


def test_position_without_a_price_today_counts_from_its_present_one(
    alices: Api, agent: Agent, wallet: Wallet, feed
):
    buy(wallet, JUP)
    Position.objects.update(created_at=timezone.now() - YESTERDAY)
    PositionEvent.objects.update(created_at=timezone.now() - YESTERDAY)
    assert results(alices, agent)[1] == 0
    feed(Quote(JUP, Decimal("0.3"), None, timezone.now() - timedelta(hours=30)))
    assert results(alices, agent)[1] == 2


def test_start_is_unknown_where_its_events_were_pruned(alices: Api, agent: Agent, wallet: Wallet, opening):
    position = buy(wallet, BONK)
    opening(BONK, "0.12")
    take_profit(position_id=position.pk, tokens=Decimal(5), proceeds_sol=Decimal(2))
    PositionEvent.objects.filter(seq=1).delete()
    assert results(alices, agent) == (0, None, 0)


def test_start_is_unknown_where_the_token_has_migrated_since(
    alices: Api, agent: Agent, wallet: Wallet, opening
):
    position = buy(wallet, BONK)
    opening(WIF, "0.001")  # another agent holds it
    migrate_token(position_id=position.pk, token_address=WIF, ratio=Decimal(100))
    assert results(alices, agent) == (0, None, 0)


def test_position_closed_before_today_is_no_part_of_it(alices: Api, agent: Agent, wallet: Wallet, opening):
    position = buy(wallet, BONK)
    close_position(position_id=position.pk, proceeds_sol=Decimal("1.5"))
    Position.objects.update(closed_at=datetime.now(UTC) - YESTERDAY)
    opening(BONK, "0.12")
    assert results(alices, agent) == (Decimal("0.5"), 0, 0)


def test_results_of_closed_positions(alices: Api, agent: Agent, wallet: Wallet):
    """Ten tokens for 1 SOL each: sold for 1.5, for 0.75 and for what they cost; one more is still held."""
    noon = datetime(2026, 1, 31, 12, 0, tzinfo=UTC)
    made = {}
    for token, proceeds, opened, closed in (
        (BONK, "1.5", noon, noon + timedelta(hours=1)),
        (WIF, "0.75", noon - timedelta(hours=2), noon + timedelta(hours=11, minutes=59)),
        (JUP, "1", noon, noon + timedelta(hours=12)),  # the next day, by a minute
    ):
        made[token] = position = buy(wallet, token)
        close_position(position_id=position.pk, proceeds_sol=Decimal(proceeds))
        Position.objects.filter(pk=position.pk).update(created_at=opened, closed_at=closed)
    buy(wallet, BONK)
    data = alices.get(f"agents/{agent.pk}/results/").data
    del data["today"], data["modes"]
    assert data == {
        "eventSeq": 10,
        "closedPositions": 3,
        "closedProfitSol": Decimal("0.25"),
        "winRatePercent": Decimal("33.333333"),
        "averageReturnPercent": Decimal("8.333333"),
        "averageHoldingSeconds": (1 * 3600 + (13 * 60 + 59) * 60 + 12 * 3600) // 3,
        "best": {
            "positionId": str(made[BONK].pk),
            "tokenSymbol": "T",
            "profitSol": Decimal("0.5"),
            "returnPercent": 50,
            "closedAt": "2026-01-31T13:00:00.000Z",
        },
        "worst": {
            "positionId": str(made[WIF].pk),
            "tokenSymbol": "T",
            "profitSol": Decimal("-0.25"),
            "returnPercent": -25,
            "closedAt": "2026-01-31T23:59:00.000Z",
        },
        "days": [
            {"date": "2026-01-31", "profitSol": Decimal("0.25"), "closedPositions": 2},
            {"date": "2026-02-01", "profitSol": 0, "closedPositions": 1},
        ],
    }


def test_position_that_cost_nothing_has_no_return(alices: Api, agent: Agent, wallet: Wallet):
    position = buy(wallet, BONK)
    close_position(position_id=position.pk, proceeds_sol=Decimal(3))
    Position.objects.update(total_invested_sol=0)
    data = alices.get(f"agents/{agent.pk}/results/").data
    assert (data["averageReturnPercent"], data["best"]["returnPercent"]) == (None, None)
    assert (data["winRatePercent"], data["best"]["profitSol"]) == (100, 2)


def test_live_and_simulated_results_are_apart(alices: Api, agent: Agent, wallet: Wallet, opening):
    real = Wallet.objects.create(agent=agent, address="Rea1" + "1" * 39, kind="live")
    buy(wallet, BONK)
    held, sold = buy(real, BONK), buy(real, WIF)
    opening(BONK, "0.12")
    take_profit(position_id=held.pk, tokens=Decimal(5), proceeds_sol=Decimal(2))
    close_position(position_id=sold.pk, proceeds_sol=Decimal(4))
    data = alices.get(f"agents/{agent.pk}/results/").data
    assert data["eventSeq"] == 5
    assert [
        (
            each["mode"],
            each["closedPositions"],
            each["closedProfitSol"],
            each["closedInvestedSol"],
            each["today"]["startProfitSol"],
            each["today"]["closedProfitSol"],
        )
        for each in data["modes"]
    ] == [("simulation", 0, 0, 0, Decimal("0.2"), 0), ("live", 1, 3, 1, Decimal("0.2"), 3)]
    simulated, live = data["modes"]
    assert (simulated["winRatePercent"], simulated["best"], simulated["days"]) == (None, None, [])
    assert (live["winRatePercent"], live["averageReturnPercent"]) == (100, 300)
    assert live["best"] == live["worst"] == data["best"]
    assert live["days"] == [{"date": data["today"]["date"], "profitSol": 3, "closedPositions": 1}]


def test_results_of_a_stranger_s_agent_are_not_found(bobs: Api, agent: Agent):
    assert bobs.get(f"agents/{agent.pk}/results/").refusal == (404, {"detail": "Not found."})


def test_results_take_no_parameters(alices: Api, agent: Agent):
    answer = alices.get(f"agents/{agent.pk}/results/?day=1")
    assert answer.refusal == (400, {"errors": {"day": ["Unknown parameter."]}})


def test_results_without_the_price_cache_say_so(alices: Api, agent: Agent, position: Position, valkey_away):
    answer = alices.get(f"agents/{agent.pk}/results/")
    assert answer.status == 503


@pytest.mark.parametrize("count", [1, 5])
def test_results_cost_the_same_for_any_number(
    alices: Api, agent: Agent, wallet: Wallet, opening, django_assert_num_queries, count: int
):
    for number in range(1, count + 1):
        position = buy(wallet, f"To{number}ken")
        closed = buy(wallet, f"C1osed{number}")
        opening(f"To{number}ken", "0.12")
        take_profit(position_id=position.pk, tokens=Decimal(1), proceeds_sol=Decimal(1))
        close_position(position_id=closed.pk, proceeds_sol=Decimal(1))
    # user, agent, positions, prices that the cache does not have, events
    with django_assert_num_queries(5):
        assert results(alices, agent) == (0, Decimal("0.2") * count, 0)


def test_events_of_one_position_only(alices: Api, agent: Agent, wallet: Wallet):
    first, second = buy(wallet, BONK), buy(wallet, WIF)
    take_profit(position_id=first.pk, tokens=Decimal(1), proceeds_sol=Decimal(1))
    close_position(position_id=second.pk, proceeds_sol=Decimal(1))

    def seqs(query: str) -> list[int]:
        return [event["seq"] for event in alices.get(f"agents/{agent.pk}/events/?{query}").data["events"]]

    assert seqs(f"position={first.pk}") == [1, 3]
    assert seqs(f"position={second.pk}&after=2") == [4]
    answer = alices.get(f"agents/{agent.pk}/events/?position=nonsense")
    assert answer.refusal == (400, {"errors": {"position": ["Enter a valid UUID."]}})


def test_positions_by_the_time_of_closing(alices: Api, wallet: Wallet):
    first, second, third = buy(wallet, BONK), buy(wallet, WIF), buy(wallet, JUP)
    close_position(position_id=second.pk, proceeds_sol=Decimal(1))
    close_position(position_id=first.pk, proceeds_sol=Decimal(1))

    def ids(query: str) -> list[str]:
        return [each["id"] for each in alices.get(f"positions/?{query}").data["results"]]

    assert ids("status=closed&ordering=-closedAt") == [str(first.pk), str(second.pk)]
    assert ids("status=all&ordering=-closedAt") == [str(first.pk), str(second.pk), str(third.pk)]
    assert ids("status=all&ordering=closedAt") == [str(second.pk), str(first.pk), str(third.pk)]
