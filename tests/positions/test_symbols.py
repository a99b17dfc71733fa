"""Symbols as tokens have them."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from positions.books.snapshots import snapshot
from positions.books.symbols import harmless, short_address, symbol_of
from positions.errors import PositionsError
from positions.models import Position, PositionEvent
from tests.conftest import BONK

FAMILY = "👨\u200d👩\u200d👧\u200d👦"


@pytest.mark.parametrize(
    ("chosen", "shown"),
    [
        ("BONK", "BONK"),
        ("$WIF", "$WIF"),
        ("BONK\0\0\0\0\0\0", "BONK"),
        ("  BONK\n", "BONK"),
        ("dog\u3000wif\t hat", "dog wif hat"),
        (FAMILY, FAMILY),
        ("❤\ufe0f\u200d🔥", "❤\ufe0f\u200d🔥"),
        ("🏳\ufe0f\u200d🌈", "🏳\ufe0f\u200d🌈"),
        ("👍🏽", "👍🏽"),
        ("می\u200cشد", "می\u200cشد"),
        ("שלום", "שלום"),
        ("\u202eKNOB\u202c", "KNOB"),
        ("a\u061c\u200e\u200f\u2066b\u2069", "ab"),
        ("U\u200bSD\ufeffC", "USDC"),
        ("US\u00adDC", "USDC"),
        ("\x1b[31mRED\x07", "[31mRED"),
        ("lone \ud800 surrogate", "lone surrogate"),
        ("\u200dX\u200d", "X"),
        ("", ""),
        ("\0\0\0", ""),
        (" \u3164\u2800\uffa0", ""),
        ("\u200d\ufe0f\u200d", ""),
    ],
)
def test_symbol_is_made_harmless(chosen: str, shown: str):
    assert harmless(chosen) == shown


@given(st.text(st.characters()))
@settings(max_examples=500, deadline=None, database=None)
def test_any_text_is_harmless_once_and_for_all(text: str):
    shown = harmless(text)
    assert harmless(shown) == shown
    assert {unicodedata.category(char) for char in shown} & {"Cc", "Cs"} == set()
    assert {char for char in shown if unicodedata.category(char) == "Cf"} <= {"\u200c", "\u200d"}
    shown.encode()


@pytest.mark.parametrize("chosen", ["", "\0", "\u202e", " "])
def test_symbol_without_anything_to_see_is_the_short_address(chosen: str):
    assert symbol_of(chosen, BONK) == "DezX…B263"
    assert short_address("A1pha") == "A1pha"


def test_symbol_that_is_too_long_is_refused_by_its_length():
    assert symbol_of("S" * 32 + "\0" * 100, BONK) == "S" * 32
    with pytest.raises(
        PositionsError, match=r"^token_symbol must have at most 32 characters; it has 33$"
    ) as refused:
        symbol_of("S" * 33, BONK)
    assert refused.value.field == "token_symbol"


@pytest.mark.parametrize("write", ["save", "update", "bulk_update"])
@pytest.mark.both_databases
def test_symbol_is_harmless_whichever_way_it_is_written(position: Position, write: str):
    position.token_symbol = "\u202eKNOB\0"
    if write == "save":
        position.save()
    elif write == "update":
        Position.objects.update(token_symbol=position.token_symbol)
    else:
        Position.objects.bulk_update([position], ["token_symbol"])
    row = Position.objects.get()
    event = PositionEvent.objects.last()
    assert event is not None
    assert event.position == snapshot(row)
    assert (row.token_symbol, event.position["token_symbol"]) == ("KNOB", "KNOB")


def test_symbol_of_which_nothing_is_seen_is_not_saved_as_nothing(position: Position):
    position.token_symbol = "\u202e"
    position.save()
    assert (position.token_symbol, Position.objects.get().token_symbol) == ("DezX…B263", "DezX…B263")
