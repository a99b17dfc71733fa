"""A position as it is sent, written by hand, is what encoding the struct gives."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from positions.books.live import encoded, live
from positions.books.numbers import digits
from positions.books.snapshots import StoredPosition, timestamp
from positions.prices.quotes import Market, Quote

MOMENT = datetime(2026, 1, 31, 12, 0, 0, 250_000, tzinfo=UTC)


def numbers(places: int, *, most: int = 10**11, signed: bool = False) -> st.SearchStrategy[Decimal]:
    return st.decimals(-most if signed else 0, most, places=places)


moments = st.integers(-3, 3).map(lambda seconds: MOMENT + timedelta(seconds=seconds))
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
prices = numbers(30, most=10**11)
positions = st.fixed_dictionaries(
    {
        "id": st.uuids().map(str),
        "agent_id": st.uuids().map(str),
        "wallet_address": texts,
        "token_address": texts,
        "token_symbol": texts,
        "purchase_transaction_id": st.none() | texts,
        "purchase_price": prices.map(digits),
        "purchase_amount": numbers(18).map(digits),
        "total_invested_sol": numbers(9).map(digits),
        "remaining_amount": numbers(18).map(digits),
        "realized_profit_sol": numbers(9, signed=True).map(digits),
        "cost_usd": st.none() | numbers(9).map(digits),
        "realized_profit_usd": st.none() | numbers(9, signed=True).map(digits),
        "current_stop_loss_percentage": st.none() | numbers(2, most=100, signed=True).map(digits),
        "peak_price": st.none() | prices.map(digits),
        "last_stop_loss_update": st.none() | moments.map(timestamp),
        "dca_count": st.integers(0, 9),
        "last_dca_time": st.none() | moments.map(timestamp),
        "lowest_price": st.none() | prices.map(digits),
        "dca_transaction_ids": st.lists(texts, max_size=3),
        "take_profit_levels_hit": st.integers(0, 9),
        "take_profit_transaction_ids": st.lists(texts, max_size=3),
        "last_take_profit_time": st.none() | moments.map(timestamp),
        "moon_bag_activated": st.booleans(),
        "moon_bag_amount": st.none() | numbers(18).map(digits),
        "total_take_profit_levels": st.none() | st.integers(0, 9),
        "tp_batch_start_level": st.none() | st.integers(0, 9),
        "created_at": moments.map(timestamp),
        "updated_at": moments.map(timestamp),
    }
)
markets = st.builds(
    Market,
    st.sampled_from(["live", "thin", "gone"]),
    st.none() | numbers(6),
    st.none() | numbers(9),
    st.none() | numbers(9),
    st.none() | moments,
)
quotes = st.builds(
    Quote, st.just("token"), prices, st.none() | numbers(18), moments, st.none() | markets, st.booleans()
)


@given(positions, st.none() | quotes, st.none() | numbers(9))
def test_encoded_position_is_the_encoded_struct(
    data: dict[str, Any], quote: Quote | None, sol_usd: Decimal | None
):
    assert data.keys() == {*StoredPosition.__struct_fields__}
    assert encoded(data, quote, sol_usd=sol_usd) == msgspec.json.encode(live(data, quote, sol_usd=sol_usd))


@pytest.mark.parametrize("code", [*range(0x80), 0x85, 0xA0, 0x2028, 0xFFFF, 0x1F680])
def test_encoded_text_has_each_character_as_in_the_encoded_struct(code: int):
    data = {**_POSITION, "token_symbol": f"a{chr(code)}b", "dca_transaction_ids": [chr(code)]}
    assert encoded(data, None, sol_usd=None) == msgspec.json.encode(live(data, None, sol_usd=None))


_POSITION: dict[str, Any] = {
    **dict.fromkeys(StoredPosition.__struct_fields__),
    "id": "1",
    "agent_id": "2",
    "wallet_address": "wallet",
    "token_address": "token",
    "token_symbol": "TOKEN",
    **dict.fromkeys(("purchase_price", "purchase_amount", "remaining_amount"), "1"),
    **dict.fromkeys(("total_invested_sol", "realized_profit_sol"), "1"),
    **dict.fromkeys(("dca_count", "take_profit_levels_hit"), 0),
    "dca_transaction_ids": [],
    "take_profit_transaction_ids": [],
    "moon_bag_activated": False,
    **dict.fromkeys(("created_at", "updated_at"), "2026-01-31T12:00:00.000Z"),
}
