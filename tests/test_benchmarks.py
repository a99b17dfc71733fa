"""The benchmarks run, detect errors, and write their results. No test depends on their speed."""

from __future__ import annotations

import shutil

import pytest

from benchmarks import capacity, document, market
from benchmarks.client import Client
from benchmarks.generator import Load
from benchmarks.report import Bar, Chart, Report, Spread, Verdict
from benchmarks.stage import Stage
from benchmarks.workloads import Options, connect, fan_out, price_shards, storm
from testbed import forkserver
from testbed.templates import Templates
from tests.servers import FOLDER

TOKENS = 200


@pytest.fixture(scope="module")
def stage(templates: Templates):
    with Stage(FOLDER / "bench", start=forkserver.start, templates=templates) as stage:
        yield stage


def test_fan_out_of_every_kind_of_row_delivers_every_message(stage):
    rows = {
        "ours-uvicorn",
        "compact-daphne",
        "deflate-uvicorn",
        "floor-daphne",
        "tutorial-pubsub-daphne",
        "picows",
    }
    report = fan_out.run(stage, Options(rows=frozenset(rows), repetitions=1, sockets=5, rounds=2))
    assert report.void == []
    assert len(report.rows) == len(rows)
    sizes = {row[0]: int(row[3].replace(",", "")) for row in report.rows}
    plain = sizes["this project, uvicorn"]
    assert sizes["this project, daphne, compact prices"] < plain / 2
    assert sizes["this project, uvicorn, permessage-deflate"] < plain
    assert [verdict.holds for verdict in report.verdicts if "45 bytes" in verdict.bar] == [None]


def test_connect_counts_the_statements_and_mgets_that_many_share(stage):
    rows = frozenset({"ours-daphne", "floor-uvicorn"})
    report = connect.run(stage, Options(rows=rows, repetitions=1, sockets=5))
    assert report.rows[0][1] == "5 of 5"
    statements, mgets = map(float, report.rows[0][-2:])
    assert 0 < statements <= 1
    assert 0 < mgets <= 0.5
    assert [
        verdict for verdict in report.verdicts if verdict.holds is False and "costs" not in verdict.bar
    ] == []


def test_storm_brings_new_clients_and_those_that_come_back_beside_open_sockets(stage, monkeypatch):
    monkeypatch.setattr(storm, "OPEN", 5)
    rows = frozenset({"ours-uvicorn", "floor-uvicorn"})
    report = storm.run(stage, Options(rows=rows, repetitions=1, sockets=5, rounds=3))
    assert report.void == []
    # Four on PostgreSQL, two of them of another process, the floor's, two on SQLite.
    assert [row[2] for row in report.rows] == ["5 of 5"] * 7
    assert [
        verdict for verdict in report.verdicts if verdict.holds is False and "p99" not in verdict.bar
    ] == []


def test_price_shards_save_a_process_what_its_sockets_do_not_hold(stage, monkeypatch):
    monkeypatch.setattr(price_shards, "TOKENS", TOKENS)
    monkeypatch.setattr(price_shards, "SHARDS", (1, 16))
    monkeypatch.setattr(price_shards, "SOCKETS", (1,))
    monkeypatch.setattr(price_shards, "INTERVAL_SECONDS", 0.1)
    report = price_shards.run(stage, Options(repetitions=1, rounds=2))
    assert report.void == []
    joined, kilobytes = ([float(row[place]) for row in report.rows] for place in (3, 4))
    assert joined[0] == 1 < joined[1] < 16
    assert kilobytes[1] < kilobytes[0]


@pytest.fixture
async def load() -> Load:
    """A generator that expects two rounds for one client, agent number 1."""
    load = Load()
    load.sockets.append(Client(load.tally, 1, market.agent_id(1, TOKENS), TOKENS))
    await load.expect(rounds=2, first_round=market.FIRST_ROUND, fixed=False)
    return load


async def test_generator_counts_each_round_once(load):
    client = load.sockets[0]
    for number in (market.FIRST_ROUND, market.FIRST_ROUND, market.FIRST_ROUND + 1):
        client.prices(market.prebuilt(1, TOKENS, number).encode())
    found = await load.finish(timeout_seconds=1)
    assert (found["delivered"], found["repeated"], found["skipped"], found["problems"]) == (2, 1, 0, [])


async def test_generator_says_that_a_round_did_not_come(load):
    load.sockets[0].prices(market.prebuilt(1, TOKENS, market.FIRST_ROUND).encode())
    found = await load.finish(timeout_seconds=0)
    assert found["problems"] == ["1 of 1 sockets have not received the last round: the first received 1 of 2"]


async def test_generator_says_that_a_round_was_skipped(load):
    load.sockets[0].prices(market.prebuilt(1, TOKENS, market.FIRST_ROUND + 1).encode())
    found = await load.finish(timeout_seconds=1)
    assert (found["delivered"], found["skipped"], found["problems"]) == (1, 1, [])


async def test_generator_says_that_a_price_is_older_than_the_last(load):
    for number in (market.FIRST_ROUND + 1, market.FIRST_ROUND):
        load.sockets[0].prices(market.prebuilt(1, TOKENS, number).encode())
    found = await load.finish(timeout_seconds=1)
    assert "was sent round 10001 after round 10002" in found["problems"][0]


async def test_generator_says_that_tokens_are_another_agents(load):
    load.sockets[0].prices(market.prebuilt(2, TOKENS, market.FIRST_ROUND).encode())
    found = await load.finish(timeout_seconds=0)
    assert "was sent tokens that are not its own" in found["problems"][0]


async def test_generator_says_that_a_price_is_another_tokens(load):
    text = market.prebuilt(1, TOKENS, market.FIRST_ROUND)
    held = market.holdings(1, TOKENS)
    text = text.replace(market.token(held[0]), "x").replace(market.token(held[1]), market.token(held[0]))
    load.sockets[0].prices(text.replace('"x"', f'"{market.token(held[1])}"').encode())
    found = await load.finish(timeout_seconds=0)
    assert "is not the price of round 10001" in found["problems"][0]


def report(name: str) -> Report:
    spread = Spread(2.0, 1.0, 3.0)
    return Report(
        name=name,
        title="Price fan-out",
        columns=["server", "cost"],
        rows=[["this project", spread.text()]],
        verdicts=[Verdict("cheap", "1 / 2", holds=True)],
        chart=Chart("Cost", "µs", [Bar("this <project>", spread, ours=True)]),
        when="2026-11-25",
    )


def test_document_takes_a_report_and_keeps_the_prose_and_other_reports(tmp_path):
    page = tmp_path / "performance.md"
    page.write_text(document.PAGE.read_text())
    folder = tmp_path / "performance"
    document.write([report("growth")], page=page, folder=folder)
    document.write([report("memory")], page=page, folder=folder)
    text = page.read_text()
    assert text.count(f"| this project | {Spread(2.0, 1.0, 3.0).text()} |") == 2
    assert text.count("- holds: cheap (1 / 2)") == 2
    assert text.startswith("# Performance\n")
    assert "this &lt;project&gt;" in (folder / "growth.svg").read_text()


def test_committed_page_says_what_the_committed_results_say(tmp_path):
    page = tmp_path / "performance.md"
    page.write_text(document.PAGE.read_text())
    folder = tmp_path / "performance"
    shutil.copytree(document.FOLDER, folder)
    document.write([], page=page, folder=folder)
    assert page.read_text() == document.PAGE.read_text()
    for path in sorted(folder.iterdir()):
        assert path.read_text() == (document.FOLDER / path.name).read_text(), path.name


COSTS = capacity.UnitCosts(
    message_us=20.0,
    message_bytes=1_000.0,
    compact_us=19.0,
    compact_bytes=300.0,
    token_us=1.0,
    token_bytes=100.0,
    idle_us=10.0,
    socket_kb=50.0,
    process_mb=100.0,
    connect_ms=9.0,
    statements=3.0,
)


def test_capacity_of_a_process_is_what_its_core_has_left_beside_the_tokens():
    load = capacity.Load(sockets=46_000, tokens=100_000, rounds_per_second=1.0)
    found = capacity.needs(load, COSTS)
    # 0.6 of a core, 0.1 of it for tokens: 500 ms for sockets of 20 µs a round, 10 and 5 µs a second for
    # themselves and their connects: 14,285 of them.
    assert (found.processes, found.sockets_per_process) == (4, 11_500)
    assert found.valkey_mb_per_second == pytest.approx(40.0)
    assert found.out_gbit_per_second == pytest.approx(0.368)
    assert found.compact_gbit_per_second == pytest.approx(0.1104)
    assert found.connections == 48


def test_capacity_refuses_more_tokens_than_a_process_can_take():
    with pytest.raises(ValueError, match="split them over several broadcasts"):
        capacity.needs(capacity.Load(sockets=1, tokens=1_000_000, rounds_per_second=1.0), COSTS)
