from __future__ import annotations

import asyncio
import io
import os
import pty
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from select import select
from typing import Any

import pytest
from channels.layers import get_channel_layer
from django.core.management import CommandError, call_command

from positions.models import Candle
from positions.prices.cache import get_feed_status, get_prices
from positions.prices.lease import LEASE_KEY
from positions.prices.report import FeedReport, summary
from positions.prices.rounds import Round
from positions.prices.simulated import START_PRICES
from positions.valkey import client
from realtime.protocol.messages import PRICES_GROUP
from tests.conftest import BONK
from tests.live import PATIENCE_SECONDS, ROOT
from tests.positions.prices.price_api import Answer, dexscreener, pair, serving

STAMP = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ"
GOOD: dict[str, Any] = {
    "tokens": 15,
    "priced": 15,
    "changed": 12,
    "oldest_age_seconds": 0.31,
    "seconds": 0.214,
}


def broadcast(*arguments: str) -> str:
    """Run the command and return what it printed."""
    out = io.StringIO()
    call_command("broadcast_prices", *arguments, stdout=out)
    return out.getvalue()


@pytest.fixture
def api(settings):
    with serving() as running:
        settings.NEXGENT = settings.NEXGENT | {
            "DEXSCREENER_URL": running.url,
            "JUPITER_URL": running.url,
            "PRICE_TIMEOUT_SECONDS": PATIENCE_SECONDS,
        }
        yield running


@pytest.mark.django_db(transaction=True)
def test_once_prices_what_is_held_and_says_where_from(position):
    printed = broadcast("--source", "simulated", "--seed", "7", "--once")
    lines = printed.splitlines()
    assert re.fullmatch(rf"{STAMP} Prices are simulated, with seed 7\.", lines[0])
    assert re.fullmatch(
        rf"{STAMP} 1 token, 1 priced, 2 changed, oldest \d+\.\d s, 0 errors, took \d+\.\d\d s", lines[1]
    )
    assert len(lines) == 2
    assert get_prices([BONK]).quotes[BONK].price == START_PRICES[BONK]
    status = get_feed_status()
    assert status is not None
    assert (status.source, status.simulated, status.priced) == ("simulated", True, 1)


@pytest.mark.django_db(transaction=True)
def test_prices_of_the_last_round_become_candles_before_the_command_ends(position):
    broadcast("--source", "simulated", "--seed", "7", "--once")
    candles = Candle.objects.filter(token__address=BONK)
    assert {(each.seconds, each.open, each.close) for each in candles} == {
        (seconds, START_PRICES[BONK], START_PRICES[BONK]) for seconds in (Candle.MINUTE, Candle.HOUR)
    }


@pytest.mark.django_db(transaction=True)
def test_interval_that_no_price_can_outlive_is_said_at_the_start(position, settings):
    settings.NEXGENT = {**settings.NEXGENT, "PRICE_STALE_SECONDS": 0.02}
    said = "Prices become stale between rounds: NEXGENT_PRICE_STALE_SECONDS is 0.02, --interval 0.02."
    assert said in broadcast("--source", "simulated", "--rounds", "1", "--interval", "0.02")
    assert said not in broadcast("--source", "simulated", "--rounds", "1", "--interval", "0.01")


@pytest.mark.django_db(transaction=True)
def test_rounds_prints_a_line_for_each(position):
    printed = broadcast("--source", "simulated", "--rounds", "3", "--interval", "0.01")
    assert len(re.findall(rf"^{STAMP} 1 token, 1 priced, ", printed, re.MULTILINE)) == 3


@pytest.mark.django_db(transaction=True)
async def test_round_reaches_the_prices_group_as_one_message(position):
    layer = get_channel_layer()
    channel = await layer.new_channel()
    await layer.group_add(PRICES_GROUP, channel)
    # Not asgiref's threads: the command has an event loop of its own, as in a process of its own.
    thread = threading.Thread(target=broadcast, args=("--source", "simulated", "--seed", "7", "--once"))
    thread.start()
    message = await asyncio.wait_for(layer.receive(channel), PATIENCE_SECONDS)
    while thread.is_alive():  # noqa: ASYNC110  joining would block the loop
        await asyncio.sleep(0.01)
    assert message["type"] == "price.batch"
    assert BONK in str(message)


@pytest.mark.django_db(transaction=True)
def test_auto_takes_dexscreener_where_it_answers(position, api):
    api.respond = dexscreener(pair(BONK, "0.5", "60"))
    printed = broadcast("--once")
    assert re.match(rf"{STAMP} DexScreener answered within \d+\.\d s\. Prices from dexscreener\.\n", printed)
    assert str(get_prices([BONK]).quotes[BONK].price.normalize()) == "0.5"


@pytest.mark.django_db(transaction=True)
def test_auto_takes_simulated_prices_where_dexscreener_does_not_answer(position, api):
    api.respond = lambda _: Answer(status=404)
    printed = broadcast("--once", "--seed", "7")
    assert re.match(rf"{STAMP} DexScreener answered 404\. Prices are simulated, with seed 7\.\n", printed)


@pytest.mark.django_db(transaction=True)
def test_replay_plays_the_file_and_says_when_it_ends(position, tmp_path):
    path = tmp_path / "prices.csv"
    path.write_text("time,token,price\n2018-01-10T04:55:00Z,BONK,0.1\n2018-01-10T05:00:00Z,BONK,0.2\n")
    arguments = ("--source", "replay", "--replay", str(path), "--interval", "0.01", "--rounds", "4")
    printed = broadcast(*arguments)
    assert re.match(rf"{STAMP} Prices are replayed from .*/prices\.csv\.\n", printed)
    assert printed.count("prices.csv has ended at 2018-01-10T05:00:00Z: prices stay as they are.") == 1
    assert str(get_prices([BONK]).quotes[BONK].price.normalize()) == "0.2"
    assert "has ended" not in broadcast(*arguments, "--loop")


@pytest.mark.django_db(transaction=True)
def test_once_without_any_price_fails(position, api):
    api.respond = lambda _: Answer(status=404)
    out = io.StringIO()
    with pytest.raises(CommandError, match=r"^No token could be priced\.$") as caught:
        call_command("broadcast_prices", "--source", "dexscreener", "--once", stdout=out)
    assert caught.value.returncode == 1
    assert re.search(rf"^{STAMP} Error: DexScreener answered 404\.$", out.getvalue(), re.MULTILINE)


@pytest.mark.django_db(transaction=True)
def test_once_with_nothing_held_succeeds(db):
    assert "no token to price" in broadcast("--source", "simulated", "--once")


@pytest.mark.django_db(transaction=True)
def test_once_runs_beside_another_process(position):
    client().set(LEASE_KEY, "there:1:abc")
    assert "1 priced" in broadcast("--source", "simulated", "--once")
    assert client().get(LEASE_KEY) == b"there:1:abc"


@pytest.mark.django_db(transaction=True)
def test_terminal_shows_one_line_rewritten_in_place(position, monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "100")
    controller, terminal = pty.openpty()
    try:
        with open(terminal, "w", closefd=False) as out:
            call_command(
                "broadcast_prices", "--source", "simulated", "--rounds", "3", "--interval", "0.01", stdout=out
            )
        read = b""
        while not read.endswith(b" s\r\n") and select([controller], [], [], PATIENCE_SECONDS)[0]:
            read += os.read(controller, 65536)
        shown = read.decode()
    finally:
        os.close(terminal)
        os.close(controller)
    assert shown.count("\r\x1b[K") == 4  # the source, then three rounds
    rounds = re.findall(
        rf"\r\x1b\[K{STAMP} 1 token, 1 priced, \d changed, oldest \d+\.\d s, 0 errors, ", shown
    )
    assert len(rounds) == 3
    assert shown.count("\n") == 2  # after the source, and at the end
    assert shown.endswith("s\r\n")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--interval", "0"], "--interval must be a number of seconds above 0; it is 0."),
        (["--interval", "-1.5"], "--interval must be a number of seconds above 0; it is -1.5."),
        (["--interval", "nan"], "--interval must be a number of seconds above 0; it is nan."),
        (["--interval", "inf"], "--interval must be a number of seconds above 0; it is inf."),
        (["--rounds", "0"], "--rounds must be at least 1; it is 0."),
        (["--source", "replay"], "--source replay needs --replay FILE."),
        (["--replay", "x.csv"], "--replay needs --source replay; the source is auto."),
        (
            ["--source", "simulated", "--replay", "x.csv"],
            "--replay needs --source replay; the source is simulated.",
        ),
        (["--source", "replay", "--replay", "x.csv", "--speed", "0"], "--speed must be at least 1; it is 0."),
        (["--speed", "2"], "--speed needs --source replay; the source is auto."),
        (["--loop"], "--loop needs --source replay; the source is auto."),
        (["--source", "jupiter", "--seed", "1"], "--seed needs --source simulated; the source is jupiter."),
        (["--source", "replay", "--replay", "none.csv"], "none.csv: No such file or directory."),
        (
            ["--source", "jupiter"],
            "Jupiter needs an API key, free at portal.jup.ag: set NEXGENT_JUPITER_API_KEY.",
        ),
        (["--once", "--rounds", "2"], "Error: argument --rounds: not allowed with argument --once"),
        (["--interval", "soon"], "Error: argument --interval: invalid float value: 'soon'"),
    ],
)
def test_arguments_that_make_no_sense_are_refused(arguments, sentence):
    with pytest.raises(CommandError) as caught:
        broadcast(*arguments)
    assert str(caught.value) == sentence


@contextmanager
def running(database: str) -> Iterator[subprocess.Popen[str]]:
    """A process that broadcasts simulated prices; killed where the test takes too long."""
    process = subprocess.Popen(
        [sys.executable, "manage.py", "broadcast_prices", "--source", "simulated", "--seed", "7"],
        cwd=ROOT,
        env=os.environ | {"DATABASE_URL": database, "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    timer = threading.Timer(3 * PATIENCE_SECONDS, process.kill)
    timer.start()
    try:
        with process:
            yield process
    finally:
        timer.cancel()
        process.kill()


def printed_until(process: subprocess.Popen[str], words: str) -> list[str]:
    assert process.stdout is not None
    lines = []
    for line in process.stdout:
        lines.append(line)
        if words in line:
            return lines
    raise AssertionError(f"ended without {words!r}: {lines}")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signal_ends_it_with_exit_code_0_and_frees_the_lease(number, tmp_path):
    """Its database is empty: not even that ends it."""
    with running(f"sqlite:///{tmp_path}/empty.sqlite3") as process:
        lines = printed_until(process, "no token to price")
        sentence = (
            "Error: The held tokens cannot be read from the database: no such table: positions_position.\n"
        )
        assert [line.endswith(sentence) for line in lines].count(True) == 1  # beside the bug's traceback
        assert client().exists(LEASE_KEY)
        process.send_signal(number)
        rest, _ = process.communicate()
        assert process.returncode == 0
        # It has tried to write the last prices.
        lost = r"\S+ \S+ WARNING \S+: history cannot be written: no such table: positions_pricedtoken\n"
        assert re.search(rf"^{lost}{STAMP} Stopped\.\n\Z", rest, re.MULTILINE)
    assert not client().exists(LEASE_KEY)


def test_second_process_stands_by_until_the_first_is_gone(tmp_path):
    client().set(LEASE_KEY, "there:1:abc")
    with running(f"sqlite:///{tmp_path}/empty.sqlite3") as process:
        lines = printed_until(process, "Standing by.")
        assert re.fullmatch(
            rf"{STAMP} Prices are being broadcast already, by process 1 on there\. Standing by\.\n", lines[-1]
        )
        client().delete(LEASE_KEY)
        printed_until(process, "no token to price")
        process.terminate()
        process.communicate()
        assert process.returncode == 0


def report(*, terminal: bool, every_round: bool = False) -> tuple[FeedReport, io.StringIO, list[float]]:
    out, now = io.StringIO(), [0.0]
    return (
        FeedReport(out.write, terminal=terminal, every_round=every_round, clock=lambda: now[0]),
        out,
        now,
    )


@pytest.mark.parametrize("terminal", [True, False])
def test_report_shows_control_sequences_of_a_source_instead_of_sending_them(terminal: bool):
    written, out, _ = report(terminal=terminal)
    written.round(Round(**GOOD | {"errors": ("The API answered \x1b[2J\r503.",)}))
    assert "Error: The API answered \\x1b[2J\\x0d503.\n" in out.getvalue()


def test_report_elsewhere_writes_the_first_round_and_one_a_minute():
    written, out, now = report(terminal=False)
    for second in range(150):
        now[0] = float(second)
        written.round(Round(**GOOD))
    assert len(out.getvalue().splitlines()) == 3
    assert re.fullmatch(
        rf"{STAMP} 15 tokens, 15 priced, 12 changed, oldest 0\.3 s, 0 errors, took 0\.21 s",
        out.getvalue().splitlines()[0],
    )


def test_report_elsewhere_writes_when_errors_begin_and_end():
    written, out, _ = report(terminal=False)
    good, bad = Round(**GOOD), Round(**GOOD | {"errors": ("The API answered 503.",), "priced": 0})
    for result in (good, good, bad, bad, bad, good, good):
        written.round(result)
    assert [line[21:] for line in out.getvalue().splitlines()] == [
        "15 tokens, 15 priced, 12 changed, oldest 0.3 s, 0 errors, took 0.21 s",
        "Error: The API answered 503.",
        "15 tokens, 0 priced, 12 changed, oldest 0.3 s, 1 error, took 0.21 s",
        "No more errors, after 3 rounds with some.",
        "15 tokens, 15 priced, 12 changed, oldest 0.3 s, 0 errors, took 0.21 s",
    ]


def test_report_on_a_terminal_keeps_errors_above_the_live_line():
    written, out, _ = report(terminal=True)
    written.round(Round(**GOOD))
    written.round(Round(**GOOD | {"errors": ("The API answered 503.",)}))
    written.end()
    assert re.fullmatch(
        rf"\r\x1b\[K{STAMP} 15 tokens.*"
        rf"\r\x1b\[KError: The API answered 503\.\n{STAMP} 15 tokens.*"
        rf"\r\x1b\[K{STAMP} 15 tokens.* 1 error.*\n",
        out.getvalue(),
    )


def test_report_on_a_narrow_terminal_cuts_the_line(monkeypatch):
    monkeypatch.setenv("COLUMNS", "40")
    written, out, _ = report(terminal=True)
    written.round(Round(**GOOD))
    line = out.getvalue().removeprefix("\r\x1b[K")
    assert len(line) == 39
    assert line.endswith("…")


@pytest.mark.parametrize(
    ("age", "words"),
    [
        (None, "no price yet"),
        (0.04, "oldest 0.0 s"),
        (119.0, "oldest 119.0 s"),
        (600, "oldest 10 min"),
        (9e4, "oldest 25 h"),
    ],
)
def test_summary_tells_the_age(age, words):
    assert words in summary(Round(**GOOD | {"oldest_age_seconds": age}))
