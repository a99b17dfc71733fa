"""Log lines: JSON with ids, one line when a socket begins and one when it ends, never a token."""

from __future__ import annotations

import asyncio
import json
import logging
import secrets
import subprocess
import sys
from typing import Any

import pytest
from django.http import HttpResponse
from django.test import AsyncClient, Client, RequestFactory

from realtime.hub.hub import Hub
from realtime.monitoring import log_lines
from realtime.monitoring.log_lines import JsonFormatter, TextFormatter
from realtime.monitoring.request_ids import request_ids
from tests.live import Server, access_token, client, database_url, manage, watching
from tests.waiting import eventually

TOKEN = "eyJhbGciOiJIUzI1NiJ9.eyJ1c2VyX2lkIjoiMSJ9.c2lnbmF0dXJl"


def record(message: str = "said %s", *args: object, **extra: object) -> logging.LogRecord:
    fault = sys.exc_info() if sys.exception() else None
    logger = logging.getLogger("realtime.test")
    return logger.makeRecord(logger.name, logging.INFO, __file__, 1, message, args, fault, extra=dict(extra))


def as_json(line: logging.LogRecord) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(JsonFormatter().format(line))
    return found


def test_json_line_has_time_level_logger_message_and_fields():
    line = as_json(record("said %s", "„so“", agent_id="a", code=1000))
    assert line.pop("time").endswith("+00:00")
    assert line == {
        "level": "INFO",
        "logger": "realtime.test",
        "message": "said „so“",
        "agent_id": "a",
        "code": 1000,
    }


def test_json_line_of_a_fault_is_one_line_with_its_traceback():
    try:
        raise ValueError("two\nlines")
    except ValueError:
        text = JsonFormatter().format(record("failed"))
    assert "\n" not in text
    assert json.loads(text)["traceback"].endswith("ValueError: two\nlines")


def test_lines_know_the_request_and_the_socket_that_they_are_about():
    request, socket = log_lines.request_id.set("request-1"), log_lines.connection_id.set("socket-1")
    try:
        assert (
            as_json(record("x")).items() >= {"request_id": "request-1", "connection_id": "socket-1"}.items()
        )
        text = TextFormatter("{message}", style="{").format(record("x", agent_id="a"))
        assert text == "x request_id=request-1 connection_id=socket-1 agent_id=a"
    finally:
        log_lines.request_id.reset(request)
        log_lines.connection_id.reset(socket)


@pytest.mark.parametrize(
    "line",
    [
        record("GET /ws?token=%s", TOKEN),
        record(f"token {TOKEN}"),
        record("x", path=f"/ws?agentId=1&token={TOKEN}"),
        record("/?refresh=abc.def&x=1"),
    ],
)
@pytest.mark.parametrize("formatter", [JsonFormatter(), TextFormatter()])
def test_no_line_has_a_token(line, formatter):
    text = formatter.format(line)
    assert "eyJ" not in text
    assert "abc" not in text
    assert "…" in text


def test_token_in_a_traceback_is_taken_out():
    try:
        raise ValueError(f"bad token {TOKEN}")
    except ValueError:
        line = record("failed")
    for formatter in (JsonFormatter(), TextFormatter()):
        assert "eyJ" not in formatter.format(line)


# Requests


def test_answer_carries_the_id_that_the_proxy_gave():
    given = secrets.token_hex(16)
    assert Client().get("/health/live", headers={"X-Request-ID": given}).headers["X-Request-ID"] == given


@pytest.mark.parametrize("given", ["", "short", "x" * 65, 'a" level=ERROR', "zeile\nzwei"])
def test_id_that_is_none_is_replaced(given):
    made = Client().get("/health/live", headers={"X-Request-ID": given}).headers["X-Request-ID"]
    assert len(made) == 32
    assert made != given


async def test_asynchronous_answers_have_an_id_too():
    assert len((await AsyncClient().get("/metrics")).headers["X-Request-ID"]) == 32


def test_lines_written_during_a_request_have_its_id():
    seen = []

    def answer(request: object) -> HttpResponse:
        seen.append(as_json(record("x"))["request_id"])
        return HttpResponse()

    response: Any = request_ids(answer)(RequestFactory().get("/"))
    assert seen == [response.headers["X-Request-ID"]]


# Sockets


@pytest.mark.parametrize("kind", ["daphne", "uvicorn"])
@pytest.mark.both_databases
async def test_socket_is_a_line_when_it_begins_and_one_when_it_ends(
    transactional_db, tmp_path, kind, alice, agent, position
):
    token = access_token(alice)
    with Server(kind, log=tmp_path / "log", NEXGENT_LOG_FORMAT="json") as server:
        async with watching(server, alice, agent):
            pass
        async with client(server, token=token, agent=agent) as one:
            connected = (await one.expect("connected"))["data"]
            async with client(server, token=token, agent=agent) as newer:
                await newer.until("initial_data")
                await one.closed()
        async with client(server, token="x", agent=agent) as refused:
            await refused.closed()

        async def all_ended() -> bool:
            return server.log.read_text().count("socket closed") == 4

        await eventually(all_ended, "all four sockets have their line")
    text = server.log.read_text()
    lines = [json.loads(line) for line in text.splitlines() if '"socket ' in line]
    ours = [line for line in lines if line.get("connection_id") == connected["connectionId"]]
    assert [line["message"] for line in ours] == ["socket opened", "socket closed"]
    assert ours[0]["user_id"] == str(alice.pk)
    assert ours[0]["agent_id"] == ours[1]["agent_id"] == str(agent.pk)
    assert (ours[1]["code"], ours[1]["reason"]) == (1000, "New connection established")
    assert [line["message"] for line in lines].count("socket opened") == 3
    ends = sorted((line["code"], line["reason"]) for line in lines if "code" in line)
    assert ends[-1] == (1008, "Authentication failed")
    assert {line["peer"] for line in lines} == {"127.0.0.1"}
    assert "[accepted]" not in text
    assert "connection open" not in text
    assert token.split(".")[1] not in text


async def test_sockets_that_a_shutdown_ends_say_so(transactional_db, tmp_path, alice, agent, position):
    with Server("uvicorn", log=tmp_path / "log", NEXGENT_LOG_FORMAT="json") as server:
        async with watching(server, alice, agent) as socket:
            assert server.process is not None
            server.process.terminate()
            await socket.closed()
        assert server.stop() in {0, -15}
    (line,) = [json.loads(line) for line in server.log.read_text().splitlines() if "socket closed" in line]
    assert (line["code"], line["reason"]) == (1000, "Server shutdown")


async def test_what_the_hub_logs_is_about_no_connection():
    """The first socket of a process starts its hub: that must not have the socket's id for as long as it lives."""
    log_lines.connection_id.set("of the first socket")
    seen = asyncio.get_running_loop().create_future()

    async def look() -> None:
        seen.set_result(log_lines.connection_id.get())

    Hub().spawn(look())
    assert await seen == ""


# Commands


def in_production(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a command of ours where log lines are JSON."""
    return manage(*arguments, DATABASE_URL=database_url(), NEXGENT_LOG_FORMAT="json")


@pytest.mark.parametrize(
    ("arguments", "level", "message"),
    [
        (["prune_events", "--older-than", "30d"], "INFO", "0 events from before "),
        (["broadcast_prices", "--source", "simulated", "--once"], "INFO", "Prices are simulated, with seed "),
        (["prune_answers", "--older-than", "x"], "ERROR", "CommandError: --older-than must be an age "),
        (["import_trades", "no-such-file.csv"], "ERROR", "CommandError: "),
        (["shell", "-v", "0", "-c", "raise LookupError('a bug')"], "CRITICAL", "the process ends: a bug"),
    ],
)
def test_what_a_command_says_without_a_terminal_is_json(transactional_db, arguments, level, message):
    done = in_production(*arguments)
    lines = [json.loads(line) for line in (done.stdout + done.stderr).splitlines()]
    assert lines[0]["level"] == level
    assert lines[0]["message"].startswith(message)


def test_result_of_a_command_stays_as_it_is_where_log_lines_are_json(transactional_db, alice):
    done = in_production("issue_token", "alice")
    assert done.stdout.count(".") == 2  # of a JWT
    assert json.loads(done.stderr.splitlines()[0])["level"] == "INFO"
    assert done.stdout.strip() not in done.stderr
