"""Unexpected errors: the client gets one sentence, the log the traceback."""

from __future__ import annotations

import logging

import pytest

from positions.api.errors import camel
from tests.positions.api.conftest import Api

# ServeStatic would like to check its settings, in debug mode, through an app of its own.


@pytest.mark.parametrize("debug", [True, False])
@pytest.mark.urls("tests.positions.api.broken_urls")
def test_view_that_breaks_answers_a_sentence_and_logs_the_traceback(
    alices: Api, caplog, settings, debug: bool
):
    settings.DEBUG = debug
    answer = alices.get("fails/breaks/?token=secret-token")
    assert answer.refusal == (500, {"detail": "Internal server error."})
    [record] = [record for record in caplog.records if record.name == "positions.api"]
    assert record.getMessage() == "GET '/api/fails/breaks/' failed."
    assert record.levelno == logging.ERROR
    assert "RuntimeError: broke on a secret" in caplog.text
    assert "secret-token" not in caplog.text


@pytest.mark.urls("tests.positions.api.broken_urls")
@pytest.mark.both_databases
def test_view_that_finds_no_database_answers_503_and_logs_one_line(alices: Api, caplog):
    answer = alices.get("fails/finds-no-database/")
    assert answer.refusal == (503, {"detail": "The database is unavailable. Try again later."})
    [record] = [record for record in caplog.records if record.name == "positions.api"]
    assert record.levelno == logging.WARNING
    assert record.getMessage() == (
        "GET '/api/fails/finds-no-database/': the database is unavailable:"
        ' connection to server at "db.internal" failed'
    )
    assert "Traceback" not in caplog.text


@pytest.mark.urls("tests.positions.api.broken_urls")
@pytest.mark.both_databases
def test_view_whose_query_is_invalid_answers_500_and_logs_the_traceback(alices: Api, caplog):
    for way in ("needs-a-migration", "needs-a-migration-on-sqlite"):
        assert alices.get(f"fails/{way}/").refusal == (500, {"detail": "Internal server error."})
    assert 'ProgrammingError: column "note" does not exist' in caplog.text
    assert "OperationalError: no such column" in caplog.text


@pytest.mark.urls("tests.positions.api.broken_urls")
@pytest.mark.both_databases
def test_view_that_loses_a_race_answers_a_conflict_without_the_database_s_words(alices: Api, caplog):
    answer = alices.get("fails/loses-a-race/")
    detail = "This conflicts with another request made at the same time; send it again."
    assert answer.refusal == (409, {"detail": detail})
    assert "GET '/api/fails/loses-a-race/' lost against another write." in caplog.text


@pytest.mark.parametrize(
    ("how", "code", "detail"), [("comes-too-late", 404, "Not found."), ("may-not", 403, "Not allowed.")]
)
@pytest.mark.urls("tests.positions.api.broken_urls")
def test_view_that_finds_a_row_gone_or_may_not_says_no_more_than_that(
    alices: Api, how: str, code: int, detail: str
):
    assert alices.get(f"fails/{how}/").refusal == (code, {"detail": detail})


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE", "OPTIONS"])
def test_path_that_is_unknown_is_json_in_debug_mode_too(nobodys: Api, settings, method: str):
    settings.DEBUG = True
    assert nobodys.request(method, "agentz/").refusal == (404, {"detail": "Not found."})


def test_path_without_its_slash_says_so(alices: Api, settings):
    settings.DEBUG = True
    answer = alices.post("agents", {"name": "alpha"})
    assert answer.refusal == (404, {"detail": "Not found: paths here end in a slash."})


@pytest.mark.parametrize("path", ["agents/", "wallets/", "positions/", "prices/"])
@pytest.mark.parametrize("method", ["PUT", "OPTIONS", "TRACE"])
def test_method_that_is_unknown_is_refused(alices: Api, path: str, method: str):
    assert alices.request(method, path).refusal == (405, {"detail": f'Method "{method}" not allowed.'})


def test_media_type_that_nobody_makes_is_refused(alices: Api):
    answer = alices.request("GET", "agents/", headers={"Accept": "text/html"})
    assert answer.refusal == (406, {"detail": "Could not satisfy the request Accept header."})


def test_token_paths_do_not_describe_themselves_either(nobodys: Api, db):
    assert nobodys.request("OPTIONS", "token/").refusal == (405, {"detail": 'Method "OPTIONS" not allowed.'})


@pytest.mark.parametrize(
    ("name", "wire"), [("tokens", "tokens"), ("stop_loss_percentage", "stopLossPercentage")]
)
def test_camel_is_the_wire_s_name(name: str, wire: str):
    assert camel(name) == wire
