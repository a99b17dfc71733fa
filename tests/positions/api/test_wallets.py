"""Wallets: an address is unique for each user, and only its owner sees it."""

from __future__ import annotations

from uuid import uuid4

import pytest

from positions.books.snapshots import timestamp
from positions.models import Agent, Position, Wallet
from positions.services import close_position
from tests.conftest import BONK
from tests.positions.api.conftest import UNKNOWN_ID, Api

NOT_FOUND = (404, {"detail": "Not found."})
ADDRESS = "New1111111111111111111111111111111111111111"


def test_wallet_created_is_on_the_wire_and_in_the_list(alices: Api, agent: Agent):
    made = alices.post("wallets/", {"address": ADDRESS, "agentId": str(agent.pk), "kind": "live"})
    wallet = Wallet.objects.get()
    assert made.status == 201
    assert made.data == {
        "address": ADDRESS,
        "agentId": str(agent.pk),
        "kind": "live",
        "createdAt": timestamp(wallet.created_at),
    }
    listed = alices.get("wallets/")
    assert listed.data == {"count": 1, "next": None, "previous": None, "results": [made.data]}
    assert alices.get(f"wallets/{ADDRESS}/").data == made.data


def test_wallet_without_a_kind_is_a_simulation(alices: Api, agent: Agent):
    made = alices.post("wallets/", {"address": ADDRESS, "agentId": str(agent.pk)})
    assert made.data["kind"] == "simulation"


@pytest.mark.parametrize("key", ["nothing", 5, None, UNKNOWN_ID])
def test_wallet_of_no_agent_is_refused(alices: Api, key: object):
    answer = alices.post("wallets/", {"address": ADDRESS, "agentId": key})
    assert answer.status == 400
    assert list(answer.data["errors"]) == ["agentId"]


def test_wallet_of_a_stranger_s_agent_is_refused_as_that_of_an_unknown_one(bobs: Api, agent: Agent):
    strange, unknown = (
        bobs.post("wallets/", {"address": ADDRESS, "agentId": str(key)}) for key in (agent.pk, uuid4())
    )
    assert strange.refusal == unknown.refusal == (400, {"errors": {"agentId": ["Agent not found."]}})
    assert not Wallet.objects.exists()


def test_wallet_of_an_address_that_the_owner_has_is_refused(alices: Api, agent: Agent, wallet):
    answer = alices.post("wallets/", {"address": wallet.address, "agentId": str(agent.pk), "kind": "live"})
    assert answer.refusal == (400, {"errors": {"address": ["You have a wallet with this address already."]}})


def test_address_that_a_stranger_has_is_like_any_other(alices: Api, bobs: Api, agent: Agent, bobs_wallet):
    """Nobody learns whether it is known, and nobody can take it before its owner does."""
    theirs = bobs_wallet.address
    body = {"agentId": str(agent.pk), "kind": "live"}
    unknown, known = (alices.post("wallets/", {**body, "address": each}) for each in (ADDRESS, theirs))
    assert (unknown.status, known.status) == (201, 201)
    assert known.data == {**unknown.data, "address": theirs, "createdAt": known.data["createdAt"]}
    opening = {"tokenAddress": BONK, "tokens": 1, "spentSol": 1, "transactionId": "one"}
    for api in (alices, bobs):
        made = api.post("positions/", {**opening, "wallet": theirs})
        assert (made.status, made.data["walletAddress"]) == (201, theirs)
        assert [row["id"] for row in api.get(f"positions/?wallet={theirs}").data["results"]] == [
            made.data["id"]
        ]
        [trade] = api.get(f"trades/?wallet={theirs}").data["results"]
        assert trade["walletAddress"] == theirs
        assert api.post(f"positions/{made.data['id']}/close/", {"proceedsSol": 1}).status == 200
    assert alices.get(f"wallets/{theirs}/").data == known.data
    assert bobs.get(f"wallets/{ADDRESS}/").refusal == bobs.delete(f"wallets/{ADDRESS}/").refusal == NOT_FOUND
    assert alices.delete(f"wallets/{theirs}/").status == 204
    assert Wallet.objects.filter(address=theirs).get() == bobs_wallet


def test_wallet_second_of_its_kind_may_hold_the_same_token(alices: Api, agent: Agent, position: Position):
    answer = alices.post("wallets/", {"address": ADDRESS, "agentId": str(agent.pk), "kind": "simulation"})
    assert answer.status == 201
    body = {"wallet": ADDRESS, "tokenAddress": BONK, "tokens": 1, "spentSol": 1}
    assert alices.post("positions/", body).status == 201
    held = alices.get(f"positions/?agent={agent.pk}&token={BONK}").data["results"]
    assert [row["walletAddress"] for row in held] == [position.wallet_id, ADDRESS]
    assert len(alices.get(f"positions/?wallet={ADDRESS}").data["results"]) == 1


@pytest.mark.parametrize(
    ("address", "message"),
    [
        (
            "0OIl",
            "“0OIl” is not a Solana address: base58 has no 0, O, I, l or other signs.",
        ),
        ("a" * 65, "address must have at most 64 characters; it has 65"),
        ("", "This field may not be blank."),
        (7, "address must be a string, not 7"),
        (None, "This field may not be null."),
    ],
)
def test_wallet_of_a_bad_address_is_refused(alices: Api, agent: Agent, address: object, message: str):
    answer = alices.post("wallets/", {"address": address, "agentId": str(agent.pk)})
    assert answer.refusal == (400, {"errors": {"address": [message]}})


def test_wallet_without_anything_names_every_field(alices: Api):
    answer = alices.post("wallets/", {"agent": "x", "kind": "paper"})
    required = ["This field is required."]
    errors = {
        "agent": ["Unknown field."],
        "address": required,
        "agentId": required,
        "kind": ['kind must be one of simulation, live, not "paper"'],
    }
    assert answer.refusal == (400, {"errors": errors})


def test_wallet_without_open_positions_is_deleted(alices: Api, position: Position, wallet: Wallet):
    close_position(position_id=position.pk, proceeds_sol=position.total_invested_sol)
    assert alices.delete(f"wallets/{wallet.pk}/").status == 204
    assert not Wallet.objects.exists()


def test_wallet_with_an_open_position_stays(alices: Api, position: Position, wallet: Wallet):
    answer = alices.delete(f"wallets/{wallet.pk}/")
    assert answer.refusal == (409, {"detail": "This wallet has 1 open position: close them first."})
    assert Wallet.objects.get().positions.get().status == "open"


def test_wallet_is_not_found_by_a_stranger(bobs: Api, wallet: Wallet):
    assert bobs.get(f"wallets/{wallet.pk}/").refusal == NOT_FOUND
    assert bobs.delete(f"wallets/{wallet.pk}/").refusal == NOT_FOUND
    assert bobs.get("wallets/").data["results"] == []
    assert bobs.get(f"wallets/?agent={wallet.agent_id}").data["results"] == []
    assert Wallet.objects.exists()


@pytest.mark.parametrize("key", [ADDRESS, "%00", "0", "é", "a" * 65, ADDRESS.lower()])
def test_wallet_that_is_unknown_is_not_found(alices: Api, key: str):
    assert alices.get(f"wallets/{key}/").refusal == NOT_FOUND


def test_wallet_cannot_be_changed(alices: Api, wallet: Wallet):
    answer = alices.patch(f"wallets/{wallet.pk}/", {"kind": "live"})
    assert answer.refusal == (405, {"detail": 'Method "PATCH" not allowed.'})


def test_wallets_are_filtered_by_agent(alices: Api, alice, wallet: Wallet):
    other = Agent.objects.create(owner=alice, name="other")
    Wallet.objects.create(agent=other, address=ADDRESS)
    results = alices.get(f"wallets/?agent={other.pk}").data["results"]
    assert [result["address"] for result in results] == [ADDRESS]
    assert alices.get("wallets/?agent=x").refusal == (400, {"errors": {"agent": ["Enter a valid UUID."]}})
    assert alices.get("wallets/?kind=live").refusal == (400, {"errors": {"kind": ["Unknown parameter."]}})


@pytest.mark.parametrize("count", [1, 5])
def test_wallets_list_costs_the_same_for_any_length(
    alices: Api, alice, django_assert_num_queries, count: int
):
    for number in range(1, count + 1):
        agent = Agent.objects.create(owner=alice, name=f"agent {number}")
        Wallet.objects.create(agent=agent, address=f"Wa11et{number}")
    with django_assert_num_queries(3):
        assert len(alices.get("wallets/").data["results"]) == count
