"""The value of an agent's positions over time, over REST."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from positions.models import Agent, AgentValue
from tests.positions.api.conftest import Api

NOON = datetime(2026, 1, 31, 12, 0, 0, 250_000, tzinfo=UTC)


def put(agent: Agent, *minutes: int, **figures: object) -> None:
    """Store points of these minutes after noon."""
    given = {
        "value_sol": Decimal(3),
        "sol_usd": Decimal("150.25"),
        "invested_sol": Decimal(2),
        "realized_sol": Decimal("-0.5"),
        "flow_sol": Decimal("2.5"),
        "positions": 2,
        "not_live": 1,
        "event_seq": 7,
    }
    AgentValue.objects.bulk_create(
        AgentValue(agent=agent, at=NOON + timedelta(minutes=n), is_hourly=n % 60 == 0, **given | figures)
        for n in minutes
    )


def minutes(api: Api, agent: Agent, query: str) -> tuple[list[int], bool]:
    answer = api.get(f"agents/{agent.pk}/value-history/?{query}")
    assert answer.status == 200, answer.text
    found = [datetime.fromisoformat(point["timestamp"]) for point in answer.data["points"]]
    return [round((moment - NOON).total_seconds() / 60) for moment in found], answer.data["more"]


def test_points_are_sent_digit_for_digit(alices: Api, agent: Agent):
    put(agent, 0)
    put(agent, 1, value_sol=Decimal("0.000000001"), sol_usd=None)
    answer = alices.get(f"agents/{agent.pk}/value-history/")
    assert answer.text == (
        f'{{"agentId":"{agent.pk}","interval":"1m","points":['
        '{"timestamp":"2026-01-31T12:00:00.250Z","valueSol":3,"valueUsd":450.75,"solPriceUsd":150.25,'
        '"investedSol":2,"realizedProfitSol":-0.5,"netFlowSol":2.5,"positions":2,"positionsNotLive":1},'
        '{"timestamp":"2026-01-31T12:01:00.250Z","valueSol":0.000000001,"valueUsd":null,"solPriceUsd":null,'
        '"investedSol":2,"realizedProfitSol":-0.5,"netFlowSol":2.5,"positions":2,"positionsNotLive":1}'
        '],"more":false}'
    )


def test_points_of_one_mode_are_those_that_tell_it_apart(alices: Api, agent: Agent):
    put(agent, 0)  # of an earlier release
    put(agent, 1, mode="live")
    part = {"value": "1.000000001", "invested": "0.5", "realized": "-1", "flow": "1.25"}
    simulated = {f"simulated_{name}_sol": Decimal(figure) for name, figure in part.items()}
    put(agent, 2, simulated_positions=1, simulated_not_live=0, **simulated)
    put(agent, 3, mode="simulation")
    assert minutes(alices, agent, "mode=live") == ([1, 2], False)
    assert minutes(alices, agent, "mode=simulation&limit=1") == ([3], True)
    figures = ("valueSol", "investedSol", "realizedProfitSol", "netFlowSol", "positions", "positionsNotLive")
    for mode, expected in [
        ("simulation", (Decimal("1.000000001"), Decimal("0.5"), -1, Decimal("1.25"), 1, 0)),
        ("live", (Decimal("1.999999999"), Decimal("1.5"), Decimal("0.5"), Decimal("1.25"), 1, 1)),
    ]:
        points = alices.get(f"agents/{agent.pk}/value-history/?mode={mode}").data["points"]
        assert tuple(points[mode == "live"][name] for name in figures) == expected
    assert alices.get(f"agents/{agent.pk}/value-history/?mode=paper").refusal == (
        400,
        {"errors": {"mode": ["This must be one of simulation, live."]}},
    )


def test_points_of_a_span_and_gaps_stay_gaps(alices: Api, agent: Agent):
    put(agent, 0, 1, 2, 5, 6)
    assert minutes(alices, agent, "limit=2") == ([5, 6], True)
    assert minutes(alices, agent, "from=2026-01-31T12:02:00Z&to=2026-01-31T12:06:00Z") == ([2, 5], False)


def test_points_by_the_hour_are_the_first_of_each(alices: Api, agent: Agent):
    put(agent, 0, 1, 60, 61, 180)
    assert minutes(alices, agent, "interval=1h") == ([0, 60, 180], False)


def test_points_of_a_stranger_s_agent_are_not_found(bobs: Api, agent: Agent):
    put(agent, 0)
    assert bobs.get(f"agents/{agent.pk}/value-history/").refusal == (404, {"detail": "Not found."})


def test_points_of_a_span_that_makes_no_sense_are_refused(alices: Api, agent: Agent):
    answer = alices.get(f"agents/{agent.pk}/value-history/?interval=1d")
    assert answer.refusal == (400, {"errors": {"interval": ["This must be one of 1m, 1h."]}})


@pytest.mark.parametrize("count", [1, 50])
def test_points_cost_the_same_for_any_number(
    alices: Api, agent: Agent, django_assert_num_queries, count: int
):
    put(agent, *range(count))
    with django_assert_num_queries(3):  # user, agent, points
        assert len(minutes(alices, agent, "")[0]) == count
