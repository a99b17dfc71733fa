"""Agents: managed by their owners, hidden from everybody else."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import User

from positions.books.snapshots import timestamp
from positions.models import Agent, Position, PositionEvent
from positions.services import close_position
from tests.positions.api.conftest import UNKNOWN_ID, Api

NOT_FOUND = (404, {"detail": "Not found."})


def test_agent_created_is_on_the_wire_and_in_the_list(alices: Api):
    made = alices.post("agents/", {"name": "alpha", "tradingMode": "live"})
    agent = Agent.objects.get()
    assert made.status == 201
    assert made.data == {
        "id": str(agent.pk),
        "name": "alpha",
        "tradingMode": "live",
        "eventSeq": 0,
        "openPositions": 0,
        "createdAt": timestamp(agent.created_at),
        "updatedAt": timestamp(agent.updated_at),
    }
    assert agent.owner.username == "alice"
    listed = alices.get("agents/")
    assert listed.data == {"count": 1, "next": None, "previous": None, "results": [made.data]}


def test_agent_without_a_mode_is_a_simulation(alices: Api):
    assert alices.post("agents/", {"name": "alpha"}).data["tradingMode"] == "simulation"


def test_agent_counts_its_events_and_its_open_positions(alices: Api, position: Position, agent: Agent):
    data = alices.get(f"agents/{agent.pk}/").data
    assert (data["eventSeq"], data["openPositions"]) == (1, 1)
    close_position(position_id=position.pk, proceeds_sol=position.total_invested_sol)
    data = alices.get(f"agents/{agent.pk}/").data
    assert (data["eventSeq"], data["openPositions"]) == (2, 0)


@pytest.mark.parametrize(
    ("body", "errors"),
    [
        ({}, {"name": ["This field is required."]}),
        ({"name": ""}, {"name": ["This field may not be blank."]}),
        ({"name": None}, {"name": ["This field may not be null."]}),
        ({"name": 5}, {"name": ["name must be a string, not 5"]}),
        ({"name": "a\0"}, {"name": ["Null characters are not allowed."]}),
        ({"name": "x" * 101}, {"name": ["name must have at most 100 characters; it has 101"]}),
        (
            {"name": "a", "tradingMode": "paper"},
            {"tradingMode": ['tradingMode must be one of simulation, live, not "paper"']},
        ),
        (
            {"name": "a", "tradingMode": []},
            {"tradingMode": ["tradingMode must be one of simulation, live, not a list"]},
        ),
        ({"name": "a", "trading_mode": "live"}, {"trading_mode": ["Unknown field."]}),
        (
            {"eventSeq": 7, "owner": 1},
            {
                "eventSeq": ["Unknown field."],
                "owner": ["Unknown field."],
                "name": ["This field is required."],
            },
        ),
    ],
)
def test_agent_of_bad_input_is_refused_by_field(
    alices: Api, body: dict[str, object], errors: dict[str, list[str]]
):
    assert alices.post("agents/", body).refusal == (400, {"errors": errors})
    assert not Agent.objects.exists()


def test_agent_patched_changes_what_is_named_only(alices: Api, position: Position, agent: Agent):
    answer = alices.patch(f"agents/{agent.pk}/", {"name": "omega"})
    assert answer.status == 200
    assert (answer.data["name"], answer.data["tradingMode"]) == ("omega", "simulation")
    assert (answer.data["eventSeq"], answer.data["openPositions"]) == (1, 1)
    agent.refresh_from_db()
    assert (agent.name, agent.trading_mode, agent.event_seq) == ("omega", "simulation", 1)
    assert alices.patch(f"agents/{agent.pk}/", {"tradingMode": "live"}).data["tradingMode"] == "live"
    assert alices.patch(f"agents/{agent.pk}/", {}).data["name"] == "omega"


def test_agent_patched_with_bad_input_is_refused_by_field(alices: Api, agent: Agent):
    answer = alices.patch(f"agents/{agent.pk}/", {"eventSeq": 0, "name": "omega"})
    assert answer.refusal == (400, {"errors": {"eventSeq": ["Unknown field."]}})
    agent.refresh_from_db()
    assert agent.name == "alpha"


def test_agent_without_open_positions_is_deleted(alices: Api, position: Position, agent: Agent):
    close_position(position_id=position.pk, proceeds_sol=position.total_invested_sol)
    answer = alices.delete(f"agents/{agent.pk}/")
    assert (answer.status, answer.content) == (204, b"")
    assert not Agent.objects.exists()


def test_agent_with_an_open_position_stays(alices: Api, position: Position, agent: Agent):
    answer = alices.delete(f"agents/{agent.pk}/")
    assert answer.refusal == (409, {"detail": "This agent has 1 open position: close them first."})
    assert Position.objects.get().status == "open"


def test_agent_is_not_found_by_a_stranger(bobs: Api, position: Position, agent: Agent):
    for answer in (
        bobs.get(f"agents/{agent.pk}/"),
        bobs.patch(f"agents/{agent.pk}/", {"name": "stolen"}),
        bobs.patch(f"agents/{agent.pk}/", {"bad": "input"}),
        bobs.delete(f"agents/{agent.pk}/"),
        bobs.get(f"agents/{agent.pk}/events/"),
        bobs.get(f"agents/{agent.pk}/events/?after=nonsense"),
    ):
        assert answer.refusal == NOT_FOUND
    assert bobs.get("agents/").data["results"] == []
    agent.refresh_from_db()
    assert agent.name == "alpha"


@pytest.mark.parametrize("key", [UNKNOWN_ID, "1", "%00", "é", "x" * 500])
def test_agent_that_is_unknown_is_not_found(alices: Api, key: str):
    assert alices.get(f"agents/{key}/").refusal == NOT_FOUND


@pytest.mark.parametrize("count", [1, 5])
def test_agents_list_costs_the_same_for_any_length(alices: Api, alice, django_assert_num_queries, count: int):
    for name in range(count):
        Agent.objects.create(owner=alice, name=f"agent {name}")
    with django_assert_num_queries(3):
        assert len(alices.get("agents/").data["results"]) == count


def test_agents_list_refuses_unknown_parameters(alices: Api):
    assert alices.get("agents/?name=x").refusal == (400, {"errors": {"name": ["Unknown parameter."]}})


def test_writing_through_rest_makes_events_that_rest_reads_back(alices: Api, agent: Agent, wallet):
    body = {"wallet": wallet.pk, "tokenAddress": "Token1", "tokenSymbol": "ONE", "tokens": 10, "spentSol": 1}
    made = alices.post("positions/", body).data
    alices.post(f"positions/{made['id']}/buy/", {"tokens": 10, "spentSol": 2})
    alices.post(f"positions/{made['id']}/close/", {"proceedsSol": 4})
    data = alices.get(f"agents/{agent.pk}/events/").data
    assert (data["lastSeq"], data["more"]) == (3, False)
    created, updated, closed = data["events"]
    rows = PositionEvent.objects.all()
    assert [event["timestamp"] for event in data["events"]] == [timestamp(row.created_at) for row in rows]
    assert (created["eventType"], created["seq"]) == ("position_created", 1)
    assert (updated["eventType"], updated["seq"]) == ("position_updated", 2)
    assert list(closed) == ["eventType", "positionId", "seq", "timestamp", "note"]
    assert (closed["eventType"], closed["positionId"], closed["seq"]) == ("position_closed", made["id"], 3)
    computed = {name for name in made if name.startswith(("current", "position", "profit", "price"))}
    computed = computed - {"currentStopLossPercentage"} | {"purchasePriceUsd", "liquidityUsd", "exitValueSol"}
    stored = {name: value for name, value in made.items() if name not in computed}
    for name in ("status", "closedAt", "closeReason", "salePrice"):
        del stored[name]
    assert created["position"] == stored
    assert updated["position"]["totalInvestedSol"] == 3


def test_events_come_in_pages_oldest_first(alices: Api, position: Position, agent: Agent):
    for percentage in range(4):
        alices.post(f"positions/{position.pk}/stop-loss/", {"percentage": percentage})
    first = alices.get(f"agents/{agent.pk}/events/?limit=2").data
    assert [event["seq"] for event in first["events"]] == [1, 2]
    assert (first["lastSeq"], first["more"]) == (2, True)
    rest = alices.get(f"agents/{agent.pk}/events/?after=2&limit=3").data
    assert [event["seq"] for event in rest["events"]] == [3, 4, 5]
    assert (rest["lastSeq"], rest["more"]) == (5, False)
    assert alices.get(f"agents/{agent.pk}/events/?after=5").data == {
        "events": [],
        "lastSeq": 5,
        "more": False,
    }


def test_events_come_newest_first_before_a_number(alices: Api, position: Position, agent: Agent):
    for percentage in range(4):
        alices.post(f"positions/{position.pk}/stop-loss/", {"percentage": percentage})
    first = alices.get(f"agents/{agent.pk}/events/?before={2**63 - 1}&limit=2").data
    assert [event["seq"] for event in first["events"]] == [5, 4]
    assert (first["lastSeq"], first["more"]) == (4, True)
    rest = alices.get(f"agents/{agent.pk}/events/?before=4&limit=3&position={position.pk}").data
    assert [event["seq"] for event in rest["events"]] == [3, 2, 1]
    assert (rest["lastSeq"], rest["more"]) == (1, False)
    assert alices.get(f"agents/{agent.pk}/events/?before=1").data == {
        "events": [],
        "lastSeq": 1,
        "more": False,
    }
    refusal = alices.get(f"agents/{agent.pk}/events/?before=3&after=1").refusal
    assert refusal == (400, {"errors": {"before": ["Give either after or before."]}})


def test_agents_come_in_pages_by_name(alices: Api, alice: User):
    for name in ("delta", "bravo", "charlie", "bravo"):
        Agent.objects.create(owner=alice, name=name)
    names, link = [], "agents/?limit=2"
    while link:
        page = alices.get(link.removeprefix("http://testserver/api/")).data
        names += [result["name"] for result in page["results"]]
        link = page["next"]
    assert names == ["bravo", "bravo", "charlie", "delta"]


@pytest.mark.parametrize("after", ["-1", "x", "1.5", "", "1_0", "9223372036854775808", "٣", "9" * 5000])
def test_events_after_no_number_is_refused(alices: Api, agent: Agent, after: str):
    message = "This must be a whole number from 0 to 9223372036854775807."
    answer = alices.get(f"agents/{agent.pk}/events/?after={after}")
    assert answer.refusal == (400, {"errors": {"after": [message]}})


@pytest.mark.parametrize("limit", ["0", "501", "x"])
def test_events_of_a_bad_limit_is_refused(alices: Api, agent: Agent, limit: str):
    answer = alices.get(f"agents/{agent.pk}/events/?limit={limit}")
    assert answer.refusal == (400, {"errors": {"limit": ["This must be a whole number from 1 to 500."]}})


def test_events_refuse_unknown_parameters(alices: Api, agent: Agent):
    answer = alices.get(f"agents/{agent.pk}/events/?lastSeq=3&after=1&after=2")
    errors = {"lastSeq": ["Unknown parameter."], "after": ["Give this parameter only once."]}
    assert answer.refusal == (400, {"errors": errors})
