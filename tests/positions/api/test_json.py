"""Exact numbers, and bodies that are refused before they are parsed."""

from __future__ import annotations

import io
import json
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from django.utils.translation import gettext_lazy
from rest_framework.exceptions import ErrorDetail, ParseError

from positions.api.json import MAX_BODY_BYTES, ExactJSONParser, ExactJSONRenderer
from tests.positions.api.conftest import Api


def parse(text: str) -> dict[str, object]:
    return ExactJSONParser().parse(io.BytesIO(text.encode()))


@pytest.mark.parametrize("digits", ["0.0000001234", "1234567.123456789012345678", "0.10", "1e-18", "-0.5"])
def test_parser_number_with_a_point_keeps_its_digits(digits: str):
    number = parse(f'{{"n": {digits}}}')["n"]
    assert isinstance(number, Decimal)
    assert str(number) == str(Decimal(digits))


def test_parser_whole_number_past_64_bits_keeps_its_digits():
    assert parse('{"n": 123456789012345678901234567890}') == {"n": 123456789012345678901234567890}


@pytest.mark.parametrize(
    ("number", "text"),
    [
        ("0.0000001234", "0.0000001234"),
        ("1.309e-4", "0.0001309"),
        ("0.000130900000000000", "0.0001309"),
        ("1E+12", "1000000000000"),
        ("1234567.123456789012345678", "1234567.123456789012345678"),
        ("0E-18", "0"),
        ("-0.00", "0"),
    ],
)
def test_renderer_decimal_is_written_in_plain_digits(number: str, text: str):
    assert ExactJSONRenderer().render({"n": [Decimal(number)]}) == f'{{"n":[{text}]}}'.encode()


def test_renderer_times_lazy_texts_and_error_details_become_strings():
    data = {
        "at": datetime(2026, 1, 31, 12, 0, 0, 999_999, tzinfo=UTC),
        "lazy": gettext_lazy("Not found."),
        "detail": ErrorDetail("no", "code"),
    }
    written = json.loads(ExactJSONRenderer().render(data))
    assert written == {"at": "2026-01-31T12:00:00.999Z", "lazy": "Not found.", "detail": "no"}


def test_renderer_nothing_is_empty():
    assert ExactJSONRenderer().render(None) == b""


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        ('{"a": 1', "The body is not JSON: Input data was truncated (byte 7)."),
        (" ", "The body is not JSON: Input data was truncated (byte 1)."),
        ('{"a": NaN}', "The body is not JSON: JSON is malformed: invalid character (byte 6)."),
        ('{"a": -Infinity}', "The body is not JSON: JSON is malformed: invalid character (byte 7)."),
        ('{"a": 01}', "The body is not JSON: JSON is malformed: invalid number (byte 7)."),
        ("{'a': 1}", "The body is not JSON: JSON is malformed: object keys must be strings (byte 1)."),
        ("{} {}", "The body is not JSON: JSON is malformed: trailing characters (byte 4)."),
        ('{"a": 1e99999999999999999999999}', "The body has a number that is out of range: 1e999999"),
        ("[" * 50_000, "The body is nested too deeply."),
        ("[]", "The body must be a JSON object."),
        ("null", "The body must be a JSON object."),
        ('"text"', "The body must be a JSON object."),
        (b'{"a": "\xff"}', "The body is not UTF-8: invalid start byte (byte 0)."),
    ],
)
def test_body_that_is_no_json_object_is_refused_saying_where(alices: Api, body: str | bytes, detail: str):
    answer = alices.post("positions/", body)
    assert answer.status == 400
    assert list(answer.data) == ["detail"]
    assert answer.data["detail"].startswith(detail)


def test_body_with_a_number_of_thousands_of_digits_is_refused():
    with pytest.raises(ParseError, match="The body is not JSON: Integer value out of range"):
        parse('{"n": ' + "1" * 5000 + "}")


def test_body_over_the_limit_is_refused(alices: Api):
    body = '{"name": "' + "x" * MAX_BODY_BYTES + '"}'
    assert alices.post("agents/", body).refusal == (
        413,
        {"detail": "The body must have at most 65536 bytes."},
    )


def test_body_at_the_limit_is_read(alices: Api):
    text = '{"name": "' + "x" * (MAX_BODY_BYTES - len('{"name": ""}')) + '"}'
    assert len(text) == MAX_BODY_BYTES
    answer = alices.post("agents/", text)
    assert answer.refusal == (
        400,
        {"errors": {"name": ["name must have at most 100 characters; it has 65524"]}},
    )


def test_body_of_a_form_is_refused(alices: Api):
    answer = alices.request("POST", "agents/", "name=x", content_type="application/x-www-form-urlencoded")
    detail = 'Unsupported media type "application/x-www-form-urlencoded" in request.'
    assert answer.refusal == (415, {"detail": detail})


def test_answer_is_json_without_a_charset(alices: Api):
    assert alices.get("agents/").headers["Content-Type"] == "application/json"
