from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from positions.books.accounting import digits
from positions.books.live import live
from positions.books.snapshots import number, snapshot, stored, timestamp
from positions.models import Position
from positions.prices.quotes import Market
from positions.services import close_position, open_position, take_profit
from tests.conftest import BONK
from tests.positions.market import quote

pytestmark = pytest.mark.django_db

STORED = [
    "id",
    "agentId",
    "walletAddress",
    "tokenAddress",
    "tokenSymbol",
    "purchaseTransactionId",
    "purchasePrice",
    "purchaseAmount",
    "totalInvestedSol",
    "remainingAmount",
    "realizedProfitSol",
    "costUsd",
    "realizedProfitUsd",
    "currentStopLossPercentage",
    "peakPrice",
    "lastStopLossUpdate",
    "dcaCount",
    "lastDcaTime",
    "lowestPrice",
    "dcaTransactionIds",
    "takeProfitLevelsHit",
    "takeProfitTransactionIds",
    "lastTakeProfitTime",
    "moonBagActivated",
    "moonBagAmount",
    "totalTakeProfitLevels",
    "tpBatchStartLevel",
    "createdAt",
    "updatedAt",
]
COMPUTED = [
    "currentPrice",
    "currentPriceUsd",
    "priceSource",
    "priceTimestamp",
    "purchasePriceUsd",
    "positionValueSol",
    "positionValueUsd",
    "profitLossSol",
    "profitLossUsd",
    "profitLossUsdAtCost",
    "profitLossPercent",
    "priceChangePercent",
    "priceStatus",
    "liquidityUsd",
    "exitValueSol",
]


def on_the_wire(struct: msgspec.Struct) -> Any:
    return json.loads(msgspec.json.encode(struct), parse_float=Decimal, parse_int=Decimal)


@pytest.mark.parametrize(
    ("decimal", "text"),
    [
        ("0.000000123400000000", "0.0000001234"),
        ("0.000000000000000001", "0.000000000000000001"),
        ("1E-18", "0.000000000000000001"),
        ("0E-18", "0"),
        ("-0.000", "0"),
        ("0", "0"),
        ("100", "100"),
        ("1E+3", "1000"),
        ("100.000", "100"),
        ("-1.50", "-1.5"),
        ("999999999999.999999999999999999", "999999999999.999999999999999999"),
    ],
)
def test_digits_are_plain(decimal: str, text: str):
    assert digits(Decimal(decimal)) == text
    assert bytes(number(Decimal(decimal))) == text.encode()


def test_number_that_is_not_there_is_none():
    assert number(None) is None


@pytest.mark.parametrize(
    ("moment", "text"),
    [
        (datetime(2026, 1, 31, 12, 0, tzinfo=UTC), "2026-01-31T12:00:00.000Z"),
        (datetime(2026, 1, 31, 12, 0, 0, 999_999, tzinfo=UTC), "2026-01-31T12:00:00.999Z"),
        (datetime(2026, 1, 31, 12, 0, 0, 1_000, timezone(timedelta(hours=2))), "2026-01-31T10:00:00.001Z"),
    ],
)
def test_timestamp_has_milliseconds_and_z(moment: datetime, text: str):
    assert timestamp(moment) == text


def test_live_position_has_exactly_the_keys_of_the_protocol(position: Position):
    assert list(on_the_wire(live(snapshot(position), None, sol_usd=None))) == STORED + COMPUTED


def test_stored_position_has_exactly_the_stored_keys_of_the_protocol(position: Position):
    assert list(on_the_wire(stored(snapshot(position)))) == STORED


def test_snapshot_is_json_and_comes_back_as_it_was(position: Position):
    data = snapshot(Position.objects.get(pk=position.pk))
    assert json.loads(json.dumps(data)) == data


def test_every_digit_of_the_row_is_on_the_wire_and_no_more(position: Position):
    moment = datetime(2026, 1, 31, 12, 0, 0, 5_000, tzinfo=UTC)
    Position.objects.filter(pk=position.pk).update(
        purchase_price=Decimal("0.0000001234"),
        purchase_amount=Decimal("999999999999.999999999999999999"),
        remaining_amount=Decimal(100),
        total_invested_sol=Decimal("2.5"),
        realized_profit_sol=Decimal("-0.000000001"),
        current_stop_loss_percentage=Decimal("-12.5"),
        peak_price=Decimal("0.000000000000000001"),
        lowest_price=None,
        moon_bag_amount=Decimal("0.50"),
        last_dca_time=moment,
        dca_count=2,
    )
    text = msgspec.json.encode(stored(snapshot(Position.objects.get(pk=position.pk)))).decode()
    for part in (
        '"purchasePrice":0.0000001234,',
        '"purchaseAmount":999999999999.999999999999999999,',
        '"remainingAmount":100,',
        '"totalInvestedSol":2.5,',
        '"realizedProfitSol":-0.000000001,',
        '"currentStopLossPercentage":-12.5,',
        '"peakPrice":0.000000000000000001,',
        '"lowestPrice":null,',
        '"moonBagAmount":0.5,',
        '"lastDcaTime":"2026-01-31T12:00:00.005Z",',
        '"dcaCount":2,',
    ):
        assert part in text


def test_identity_keeps_its_types_and_its_case(position: Position):
    wire = on_the_wire(stored(snapshot(position)))
    identity = (str(position.pk), str(position.agent_id), position.wallet_id, BONK, "BONK")
    assert tuple(wire[name] for name in STORED[:5]) == identity
    assert wire["purchaseTransactionId"] is None
    assert wire["moonBagActivated"] is False


def test_transaction_ids_are_strings_whatever_was_stored(position: Position):
    position.dca_transaction_ids = [12345678901234567890, "5abc"]
    position.take_profit_transaction_ids = [7]
    position.save()
    wire = on_the_wire(stored(snapshot(Position.objects.get(pk=position.pk))))
    assert wire["dcaTransactionIds"] == ["12345678901234567890", "5abc"]
    assert wire["takeProfitTransactionIds"] == ["7"]


def test_live_price_gives_the_computed_fields(position: Position):
    wire = on_the_wire(live(snapshot(position), quote(BONK, "0.000003", "0.00045"), sol_usd=Decimal(999)))
    assert {name: wire[name] for name in COMPUTED} == {
        "currentPrice": Decimal("0.000003"),
        "currentPriceUsd": Decimal("0.00045"),
        "priceSource": "live",
        "priceTimestamp": "2026-01-31T12:00:00.250Z",
        "purchasePriceUsd": Decimal("0.0003"),  # at the quote's own 150 USD for one SOL, not at 999
        "positionValueSol": 3,
        "positionValueUsd": 450,
        "profitLossSol": 1,
        "profitLossUsd": 150,
        "profitLossUsdAtCost": None,  # it was bought at a rate that is not known
        "profitLossPercent": 50,
        "priceChangePercent": 50,
        "priceStatus": "live",
        "liquidityUsd": None,
        "exitValueSol": None,
    }


def test_live_price_without_usd_leaves_usd_unknown(position: Position):
    wire = on_the_wire(live(snapshot(position), quote(BONK, "0.000003"), sol_usd=Decimal(150)))
    unknown = ["currentPriceUsd", "purchasePriceUsd", "positionValueUsd", "profitLossUsd"]
    assert [wire[name] for name in unknown] == [None] * 4
    assert wire["profitLossSol"] == 1


def test_profit_in_usd_at_cost_has_each_trade_at_the_rate_of_its_time(wallet):
    position = open_position(
        wallet=wallet, token_address=BONK, tokens=Decimal(1000), spent_sol=Decimal(2), sol_usd=Decimal(100)
    )
    take_profit(position_id=position.pk, tokens=Decimal(500), proceeds_sol=Decimal(3), sol_usd=Decimal(120))
    held = Position.objects.get()
    wire = on_the_wire(live(snapshot(held), quote(BONK, "0.004", "0.6"), sol_usd=None))
    assert (wire["costUsd"], wire["realizedProfitUsd"]) == (100, 260)
    assert wire["profitLossUsdAtCost"] == 300 - 100 + 260
    closed = close_position(position_id=position.pk, proceeds_sol=Decimal(1), sol_usd=Decimal(50))
    for price in (None, quote(BONK, "0.004"), quote(BONK, "9", "900")):
        wire = on_the_wire(live(snapshot(closed), price, sol_usd=None))
        assert wire["profitLossUsdAtCost"] == 260 + 50 - 100


def test_purchase_price_is_used_where_no_live_price_is_known(position: Position):
    position.realized_profit_sol = Decimal("0.25")
    wire = on_the_wire(live(snapshot(position), None, sol_usd=Decimal(150)))
    assert {name: wire[name] for name in COMPUTED} == {
        "currentPrice": Decimal("0.000002"),
        "currentPriceUsd": 0,
        "priceSource": "purchase",
        "priceTimestamp": None,
        "purchasePriceUsd": Decimal("0.0003"),
        "positionValueSol": 2,
        "positionValueUsd": 300,
        "profitLossSol": Decimal("0.25"),
        "profitLossUsd": Decimal("37.5"),
        "profitLossUsdAtCost": None,
        "profitLossPercent": Decimal("12.5"),
        "priceChangePercent": 0,
        "priceStatus": "none",
        "liquidityUsd": None,
        "exitValueSol": None,
    }


def test_purchase_price_and_an_unknown_price_of_sol_leave_usd_unknown(position: Position):
    wire = on_the_wire(live(snapshot(position), None, sol_usd=None))
    assert (wire["currentPriceUsd"], wire["positionValueUsd"], wire["profitLossUsd"]) == (0, None, None)


def test_market_gives_liquidity_and_exit_value(position: Position):
    pool = Market("thin", Decimal("900.5"), Decimal(3_000_000), Decimal(4))
    priced = replace(quote(BONK, "0.000003"), market=pool)
    wire = on_the_wire(live(snapshot(position), priced, sol_usd=None))
    assert (wire["priceStatus"], wire["liquidityUsd"], wire["exitValueSol"]) == ("thin", Decimal("900.5"), 1)
    stale = on_the_wire(live(snapshot(position), replace(priced, is_stale=True), sol_usd=None))
    assert (stale["priceStatus"], stale["exitValueSol"]) == ("stale", 1)


def test_price_of_a_token_that_is_gone_keeps_its_time_and_brings_nothing(position: Position):
    market = Market("gone", priced_at=datetime(2026, 1, 31, 11, 0, tzinfo=UTC))
    wire = on_the_wire(
        live(snapshot(position), replace(quote(BONK, "0.000003"), market=market), sol_usd=None)
    )
    assert (wire["priceStatus"], wire["currentPrice"], wire["exitValueSol"]) == (
        "gone",
        Decimal("0.000003"),
        0,
    )
    assert wire["priceTimestamp"] == "2026-01-31T11:00:00.000Z"


def test_price_of_0_leaves_usd_to_what_sol_costs_elsewhere(position: Position):
    wire = on_the_wire(live(snapshot(position), quote(BONK, "0", "0"), sol_usd=Decimal(150)))
    assert (wire["currentPrice"], wire["positionValueUsd"], wire["profitLossUsd"]) == (0, 0, -300)
    assert wire["profitLossPercent"] == -100
