"""Cells of CSV files: no spreadsheet finds a formula in them, in any language, and they read back as they were."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from positions.books.cells import cell, text_of

WIDE = "\uff1d\uff0b\uff0d\uff20\u2212"
# What a formula may begin with, and what may come before it in a text, unseen or as the end of another cell.
STARTS = ["=1+1", "+A1", "-A1", "@SUM(1)", *(f"{each}A1" for each in WIDE), "=cmd|' /C calc'!A0"]
BEFORE = ["", *' \ufeff\u200b\xa0\x00"\t\r\n\u2028;,|', '""', '; "']
NUMBER = re.compile(r"-?[0-9.]+")


def as_spreadsheets_read(text: str) -> Iterator[str]:
    """Yield the cells that some spreadsheet may find, whatever separates them, whether it heeds quotes or not."""
    text = text.replace("\x00", "")
    lines = [f"{line}\n" for line in re.split("\r\n|[\n\r]", text)]
    for separator in ",;\t|":
        yield from (cell for row in csv.reader(lines, delimiter=separator) for cell in row)
        yield from re.split(f"[{separator}\n\r]", text)
    yield from re.split("[,;\t|\n\r\v\f\x1c-\x1e\x85\u2028\u2029]", text)


def written(*values: object) -> str:
    out = io.StringIO()
    csv.writer(out).writerow([cell(value) for value in values])
    return out.getvalue()


def formulas(text: str) -> list[str]:
    seen = [each.lstrip(' "\u201c\u201d\xa0\u200b\u2028\ufeff\t\r\n') for each in as_spreadsheets_read(text)]
    return [each for each in seen if each and each[0] in f"=+-@{WIDE}" and not NUMBER.fullmatch(each.strip())]


@pytest.mark.parametrize("separator", ["", "a", "a;", 'a";', "a\n", "a\t", "a,"])
def test_text_is_a_formula_in_no_language(separator: str):
    for before, start in product(BEFORE, STARTS):
        text = f"{separator}{before}{start}"
        if separator != "a" or before[-1:] in {*";,|\t\r\n\u2028"}:  # "a=1+1" is none
            assert formulas(f"x,{text}\r\n"), "the test would see it"
        line = written("x", text, Decimal("-1.5"), "y")
        assert formulas(line) == [], repr(line)
        assert text_of(next(csv.reader(io.StringIO(line, newline="")))[1]) == text


@settings(deadline=None)
@given(st.text(alphabet=[*"a'\";,|\t\r\n=- \uff1d\ufeff"]))
def test_text_reads_back_as_it_was(text: str):
    assert text_of(cell(text)) == text
    assert formulas(written(text, text, Decimal(-1), text)) == []


def test_numbers_and_times_stay_what_they_are():
    moment = datetime(2026, 1, 2, tzinfo=UTC)
    assert written(Decimal("-1.50"), -2, 0.5, None, moment, "closed at -20 %; by hand", "DezX…B263") == (
        "-1.5,-2,0.5,,2026-01-02T00:00:00+00:00,closed at -20 %; by hand,DezX…B263\r\n"
    )


def test_other_objects_are_text():
    class Name:
        def __str__(self) -> str:
            return "=1+1"

    assert cell(Name()) == "'=1+1"
