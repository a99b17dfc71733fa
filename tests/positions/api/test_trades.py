"""Trades over REST: what books them says more of them, and lists of them that nothing is missing from."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from positions.api.moments import MOMENT
from positions.models import Position, Trade
from positions.services import buy_more, open_position, take_profit
from tests.conftest import BONK, WIF
from tests.positions.api.conftest import Api
from tests.positions.test_trades import books_hold

pytestmark = pytest.mark.django_db

D = Decimal
NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)


def test_trade_says_when_at_what_rate_and_what_it_cost(alices: Api, wallet):
    body = {"wallet": wallet.pk, "tokenAddress": WIF, "tokens": 10, "spentSol": "1.5"}
    terms = {
        "feeSol": "0.005",
        "executedAt": "2026-01-31T13:00:00+01:00",
        "solUsd": 150,
        "transactionId": "tx",
    }
    made = alices.post("positions/", body | terms)
    assert made.status == 201
    (trade,) = alices.get("trades/").data["results"]
    recorded_at = trade.pop("recordedAt")
    assert recorded_at > trade["executedAt"]
    assert trade == {
        "id": str(Trade.objects.get().pk),
        "positionId": made.data["id"],
        "agentId": str(wallet.agent_id),
        "walletAddress": wallet.pk,
        "tokenAddress": WIF,
        "tokenSymbol": made.data["tokenSymbol"],
        "side": "purchase",
        "tokens": 10,
        "sol": D("1.5"),
        "feeSol": D("0.005"),
        "solUsd": 150,
        "transactionId": "tx",
        "executedAt": "2026-01-31T12:00:00.000Z",
        "reconstructed": False,
        "note": None,
    }


def test_every_write_takes_the_terms_of_a_trade(alices: Api, position: Position):
    path = f"positions/{position.pk}/"
    bodies: dict[str, dict[str, Any]] = {
        "buy": {"tokens": 10, "spentSol": 1},
        "take-profit": {"tokens": 10, "proceedsSol": 1},
        "airdrop": {"tokens": 10},
        "transfer-in": {"tokens": 10, "costSol": 0},
        "transfer-out": {"tokens": 10},
        "close": {"proceedsSol": 1},
    }
    for verb, body in bodies.items():
        answer = alices.post(
            f"{path}{verb}/", body | {"feeSol": "0.25", "solUsd": "99", "transactionId": verb}
        )
        assert answer.status == 200, answer.data
    trades = alices.get(f"{path}trades/?ordering=executedAt").data["results"]
    assert [each["side"] for each in trades] == [
        *("purchase", "purchase", "sale", "airdrop", "transfer_in", "transfer_out", "sale")
    ]
    assert {(each["feeSol"], each["solUsd"]) for each in trades[1:]} == {(D("0.25"), 99)}
    books_hold(position)


@pytest.mark.parametrize(
    ("side", "sol"), [("airdrop", {}), ("airdrop", {"spentSol": 0}), ("transfer_in", {"spentSol": 2})]
)
def test_position_is_opened_by_what_came_without_a_purchase(
    alices: Api, wallet, side: str, sol: dict[str, int]
):
    made = alices.post(
        "positions/", {"wallet": wallet.pk, "tokenAddress": WIF, "tokens": 10, "side": side} | sol
    )
    assert made.status == 201
    assert made.data["totalInvestedSol"] == sol.get("spentSol", 0)
    assert Trade.objects.get().side == side


@pytest.mark.parametrize(
    ("changes", "errors"),
    [
        ({"feeSol": "x"}, {"feeSol": ['feeSol must be a number, such as 0.25 or 1.2e-7, not "x"']}),
        ({"feeSol": -1}, {"feeSol": ["feeSol must be 0 or more, not -1"]}),
        ({"feeSol": 2}, {"feeSol": ["feeSol must be at most 1, the sum that it is part of, not 2"]}),
        ({"solUsd": 0}, {"solUsd": ["solUsd must be at least 0.000000001 and below 1000000000, not 0"]}),
        (
            {"executedAt": "2026-01-31"},
            {"executedAt": [f'executedAt must be {MOMENT}, not "2026-01-31"']},
        ),
        ({"executedAt": 5}, None),
        ({"executedAt": "0001-01-01T00:00:00+14:00"}, None),
        ({"executedAt": "2019-01-01T00:00:00Z"}, None),
        ({"executedAt": "2100-01-01T00:00:00Z"}, None),
        ({"side": "sale"}, {"side": ['side must be one of purchase, airdrop, transfer_in, not "sale"']}),
        ({"side": "airdrop"}, {"spentSol": ["spentSol of an airdrop must be 0, not 1"]}),
        ({"spentSol": None}, {"spentSol": ["This field may not be null."]}),
    ],
)
def test_bad_terms_are_named_and_nothing_is_booked(alices: Api, wallet, changes, errors):
    body = {"wallet": wallet.pk, "tokenAddress": WIF, "tokens": 10, "spentSol": 1}
    answer = alices.post("positions/", body | changes)
    assert answer.status == 400
    assert answer.data["errors"].keys() == (errors or changes).keys()
    if errors:
        assert answer.data["errors"] == errors
    assert not Trade.objects.exists()


def test_repeat_answers_the_same_and_other_content_409(alices: Api, position: Position):
    body = {"tokens": 10, "spentSol": 1, "transactionId": "tx"}
    first, again = (alices.post(f"positions/{position.pk}/buy/", body) for _ in range(2))
    assert (again.status, again.data) == (200, first.data)
    other = alices.post(f"positions/{position.pk}/airdrop/", {"tokens": 10, "transactionId": "tx"})
    assert other.status == 409
    assert list(other.data["errors"]) == ["transactionId"]
    assert position.trades.count() == 2


def test_late_trade_that_cannot_have_been_is_refused_by_name(alices: Api, position: Position):
    body = {"tokens": 10, "proceedsSol": 1, "executedAt": "2026-01-31T12:00:00Z"}
    answer = alices.post(f"positions/{position.pk}/take-profit/", body)
    assert answer.status == 400
    assert answer.data["errors"] == {
        "executedAt": [
            "executedAt: the sale of 10 at 2026-01-31T12:00:00+00:00 would then be more than was held, 0"
        ]
    }


# Lists


@pytest.fixture
def traded(wallet) -> list[Position]:
    """WIF and BONK, each bought at noon, in the same moment, and traded a minute apart."""
    positions = []
    for token in (WIF, BONK):
        held = open_position(
            wallet=wallet, token_address=token, tokens=D(100), spent_sol=D(1), executed_at=NOON
        )
        for minute in range(1, 4):
            moment = NOON + timedelta(minutes=minute)
            take_profit(position_id=held.pk, tokens=D(1), proceeds_sol=D(1), executed_at=moment)
        positions.append(held)
    return positions


def ids(answer: Any) -> list[str]:
    assert answer.status == 200, answer.data
    return [each["id"] for each in answer.data["results"]]


def test_trades_are_filtered(alices: Api, traded: list[Position], wallet):
    wif, _ = traded
    for query, count in {
        "": 8,
        f"wallet={wallet.pk}": 8,
        f"agent={wallet.agent_id}": 8,
        f"token={WIF}": 4,
        f"position={wif.pk}": 4,
        "side=sale": 6,
        "side=airdrop": 0,
        "from=2026-01-31T12:01:00Z": 6,
        "to=2026-01-31T12:01:00Z": 2,
        f"from=2026-01-31T12:01:00Z&to=2026-01-31T12:02:00Z&token={WIF}": 1,
    }.items():
        assert len(ids(alices.get(f"trades/?{query}"))) == count, query
    assert len(ids(alices.get(f"positions/{wif.pk}/trades/"))) == 4
    assert len(ids(alices.get(f"positions/{wif.pk}/trades/?side=sale"))) == 3


def test_pages_miss_nothing_while_trades_are_booked(alices: Api, traded: list[Position]):
    want = ids(alices.get("trades/"))
    url, seen = "trades/?limit=3", list[str]()
    while url:
        answer = alices.get(url)
        seen += ids(answer)
        buy_more(position_id=traded[0].pk, tokens=D(1), spent_sol=D(1))
        url = (answer.data["next"] or "").rpartition("/api/")[2]
    assert seen == want
    assert ids(alices.get("trades/?ordering=executedAt"))[:8] == want[::-1]


@pytest.mark.parametrize(
    "query", ["side=gift", "from=yesterday", "to=2026-01-31T12:00:00", "color=red", "ordering=id"]
)
def test_bad_filter_is_named(alices: Api, query: str):
    answer = alices.get(f"trades/?{query}")
    assert answer.status == 400
    assert list(answer.data["errors"]) == [query.partition("=")[0]]


def test_other_users_trades_are_not_there(bobs: Api, traded: list[Position]):
    assert ids(bobs.get("trades/")) == []
    assert bobs.get(f"positions/{traded[0].pk}/trades/").status == 404
    assert bobs.get("positions/no-id/trades/").status == 404
    assert ids(bobs.get(f"trades/?position={traded[0].pk}")) == []


def test_list_takes_the_same_number_of_queries_for_one_and_many(
    alices: Api, traded: list[Position], django_assert_num_queries
):
    for limit in (1, 8):
        with django_assert_num_queries(3):
            alices.get(f"trades/?limit={limit}")
