"""Metrics: of one process, of several, and who may read them."""

from __future__ import annotations

import asyncio
import json
import os
import re
import sys
import urllib.error
import urllib.request
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth.models import User
from django.test import AsyncClient, Client
from prometheus_client.parser import text_string_to_metric_families
from websockets.exceptions import InvalidStatus

from positions.books.quotes import PriceStatus
from positions.history.recorder import Written
from positions.prices.rounds import Round
from positions.services import move_stop_loss
from realtime.conf import conf
from realtime.monitoring import metrics
from realtime.monitoring.metrics import METRICS, PROCESS_METRICS, Counts, Histogram, Sample
from realtime.monitoring.metrics_report import Reporter, Snapshot, process_name, snapshots
from realtime.monitoring.tasks import Health
from realtime.protocol.messages import Close, CloseReason
from realtime.publish.broadcast import broadcast_prices
from realtime.web.metrics_page import families
from testbed import forkserver
from tests.conftest import BONK, quote
from tests.live import PATIENCE_SECONDS, ROOT, Server, client, http, watching
from tests.waiting import eventually

SUFFIXES = {"counter": {"_total"}, "gauge": {""}, "histogram": {"_bucket", "_sum", "_count"}}
TOKEN = "a-token-of-the-tests"
Values = dict[tuple[str, frozenset[tuple[str, str]]], float]


def read(text: str) -> Values:
    """Return every sample of the page by name and labels."""
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def total(values: Values, name: str, **labels: str) -> float:
    """Add up the samples of that name that have these labels, over all processes."""
    return sum(
        value
        for (known, has), value in values.items()
        if known == name and labels.items() <= dict(has).items()
    )


def scrape(server: Server, token: str = TOKEN) -> Values:
    request = urllib.request.Request(f"{server.url}/metrics", headers={"Authorization": f"Bearer {token}"})  # noqa: S310
    with urllib.request.urlopen(request, timeout=PATIENCE_SECONDS) as answer:  # noqa: S310
        return read(answer.read().decode())


def name_of(server: Server) -> str:
    """Return what the metrics call its process, which knows itself at once."""
    assert server.process is not None
    begin = f"{process_name().split(':')[0]}:{server.process.pid}:"
    (name,) = {
        dict(labels)["process"]
        for known, labels in scrape(server)
        if known == "nexgent_process_start_time_seconds" and dict(labels)["process"].startswith(begin)
    }
    return name


@pytest.fixture(scope="module")
def servers(django_db_setup, tmp_path_factory):
    """A daphne and a uvicorn that report often. Nothing but messages brings events: what those cost is counted."""
    folder = tmp_path_factory.mktemp("metrics")
    settings = {
        "NEXGENT_METRICS_TOKEN": TOKEN,
        "NEXGENT_PRESENCE_SECONDS": "0.2",
        "NEXGENT_RECONCILE_SECONDS": "3600",
    }
    with (
        Server("daphne", log=folder / "daphne", **settings) as one,
        Server("uvicorn", log=folder / "uvicorn", **settings) as other,
    ):
        yield one, other


# Who may read it


@pytest.mark.parametrize("authorization", [None, "Bearer ", "Bearer x", "Bearer é", f"Basic {TOKEN}"])
def test_metrics_are_for_those_with_the_token(settings, authorization):
    settings.NEXGENT = {**settings.NEXGENT, "METRICS_TOKEN": TOKEN}
    headers = {"Authorization": authorization} if authorization else {}
    answer = Client(headers=headers).get("/metrics")
    assert answer.status_code == 401
    assert answer.content == b""
    assert answer.headers["WWW-Authenticate"] == 'Bearer realm="metrics"'


def test_metrics_do_not_exist_without_the_setting(settings):
    assert conf.METRICS_TOKEN == ""
    assert Client(headers={"Authorization": "Bearer "}).get("/metrics").status_code == 404


async def ask(settings, **headers: str) -> str:
    settings.NEXGENT = {**settings.NEXGENT, "METRICS_TOKEN": TOKEN}
    answer = await AsyncClient().get("/metrics", headers={"Authorization": f"Bearer {TOKEN}", **headers})
    assert answer.status_code == 200
    return answer.content.decode()


async def test_metrics_name_every_metric_with_its_help(settings):
    text = await ask(settings)
    for name, metric in METRICS.items():
        name = f"{name}_total" if metric.kind == "counter" else name
        assert f"# HELP {name} {metric.help}\n# TYPE {name} {metric.kind}\n" in text


async def test_metrics_are_openmetrics_where_that_is_asked_for(settings):
    text = await ask(settings, Accept="application/openmetrics-text; version=1.0.0")
    assert text.endswith("# EOF\n")


async def test_metrics_without_valkey_are_of_this_process(settings, tmp_path):
    settings.NEXGENT = {**settings.NEXGENT, "REDIS_URL": f"unix://{tmp_path}/nobody.sock"}
    values = read(await ask(settings))
    assert total(values, "nexgent_valkey_up") == 0
    assert total(values, "nexgent_process_start_time_seconds", process=process_name(), kind="server") > 0


# Over several processes


async def test_every_process_answers_for_all(transactional_db, servers, alice, agent, position):
    daphne, uvicorn = servers

    names = [name_of(server) for server in servers]

    async def values_hold() -> bool:
        answers = [await sync_to_async(scrape)(server) for server in servers]
        return all(
            [total(values, "nexgent_sockets", process=name) for name in names] == [1, 0]
            and all(total(values, "nexgent_process_start_time_seconds", process=name) for name in names)
            for values in answers
        )

    other = await sync_to_async(lambda: type(agent).objects.create(owner=alice, name="beta"))()
    async with watching(uvicorn, alice, other):
        pass
    async with watching(daphne, alice, agent):
        await eventually(values_hold, "both servers report one socket and two processes")


async def test_socket_is_counted_from_its_connect_to_its_close(
    transactional_db, servers, alice, agent, position
):
    server, _ = servers
    name = name_of(server)
    before: Values = {}

    async def is_quiet() -> bool:
        before.update(await sync_to_async(scrape)(server))
        return total(before, "nexgent_sockets", process=name) == 0

    await eventually(is_quiet, "the sockets of other tests gone")
    async with watching(server, alice, agent) as socket:
        await sync_to_async(move_stop_loss)(position_id=position.pk, percentage=-quote(BONK, "5").price)
        await socket.until("position_update")
        await broadcast_prices([quote(BONK, "0.5")])
        await socket.until("price_update_batch")
        await socket.send(type="ping")
        await socket.until("pong")
        await socket.connection.send("{")
        await socket.until("error")
        await socket.send(type="subscribe", agentId=str(agent.pk), lastSeq=1)
        assert (await socket.until("subscribed"))["data"]["recovered"] is True
        await socket.send(type="subscribe", agentId=str(agent.pk), lastSeq=10**9)
        assert (await socket.until("subscribed"))["data"]["recovered"] is False
    async with client(server, token="x", agent=agent) as socket:
        await socket.closed()
    changes: dict[str, Any] = {}

    async def counted() -> bool:
        after = await sync_to_async(scrape)(server)
        changes.clear()
        for (metric, labels), value in after.items():
            if ("process", name) in labels and value != (was := before.get((metric, labels), 0.0)):
                has = ",".join(each for key, each in sorted(labels) if key not in {"process", "le"})
                changes[f"{metric}{{{has}}}"] = value - was
        return "nexgent_closes_total{1008,Authentication failed}" in changes and (
            "nexgent_closes_total{1000,Closed by the client}" in changes
        )

    await eventually(counted, "both ends are counted")
    expected = {
        "nexgent_connects_total{}": 2,
        "nexgent_closes_total{1000,Closed by the client}": 1,
        "nexgent_closes_total{1008,Authentication failed}": 1,
        "nexgent_messages_sent_total{connected}": 1,
        "nexgent_messages_sent_total{initial_data}": 2,
        "nexgent_messages_sent_total{position_update}": 2,
        "nexgent_messages_sent_total{price_update_batch}": 2,  # the resume brings the newest, too
        "nexgent_messages_sent_total{pong}": 1,
        "nexgent_messages_sent_total{subscribed}": 2,
        "nexgent_messages_sent_total{error}": 2,
        "nexgent_messages_sent_total{closing}": 1,
        "nexgent_messages_received_total{ping}": 1,
        "nexgent_messages_received_total{malformed}": 1,
        "nexgent_messages_received_total{subscribe}": 2,
        "nexgent_resumes_total{recovered}": 1,
        "nexgent_resumes_total{snapshot}": 1,
        "nexgent_event_to_socket_seconds_count{}": 1,
    }
    assert {name: changes.get(name) for name in expected} == expected


def test_processes_of_the_same_number_on_hosts_of_the_same_name_have_different_names():
    """As in containers: each has a process 1. Both are forked from one process, as workers of a server are."""
    script = "from realtime.monitoring.metrics_report import process_name as name; print(name(), name())"
    environment = {**os.environ, "DJANGO_SETTINGS_MODULE": "tests.settings"}
    names = set()
    for _ in range(2):
        done = forkserver.run(
            [sys.executable, "-c", script], env=environment, cwd=ROOT, timeout=3 * PATIENCE_SECONDS
        )
        assert done.returncode == 0, done.stderr
        first, again = done.stdout.split()
        assert first == again
        names.add(first.split(":")[2])
    assert len(names) == 2


async def test_numbers_of_a_process_that_ends_are_gone(settings):
    settings.NEXGENT = {**settings.NEXGENT, "PRESENCE_SECONDS": 0.05}
    reporter = Reporter("server")
    running = asyncio.ensure_future(reporter.run(Health(grace_seconds=0.0)))

    async def known() -> bool:
        return process_name() in {each.process for each in await snapshots()}

    await eventually(known, "its numbers are there")
    running.cancel()
    await asyncio.wait([running])
    await reporter.leave()
    assert not await known()


async def test_numbers_of_a_process_that_was_killed_expire(settings):
    await Reporter("server")._write(expire_seconds=0.05)

    async def gone() -> bool:
        return process_name() not in {each.process for each in await snapshots()}

    await eventually(gone, "its numbers are gone")


# One process


def test_histogram_counts_what_is_at_most_each_bound():
    histogram = Histogram((0.1, 1.0))
    for seconds in (0.05, 0.1, 0.5, 7.0):
        histogram.observe(seconds)
    assert histogram.sample() == Sample([], 7.65, [2, 1, 1])
    written = {"nexgent_price_round_seconds": [Sample([], 7.65, [0, 1] + [0] * 8 + [3])]}
    page = families([Snapshot("a:1", written)], {})
    samples = {
        tuple(sample.labels.values()): sample.value for sample in page["nexgent_price_round_seconds"].samples
    }
    assert (samples["a:1", "0.05"], samples["a:1", "0.1"], samples["a:1", "20.0"]) == (0, 1, 1)
    assert samples["a:1", "+Inf"] == 4


@pytest.mark.parametrize(
    ("close", "client_code", "counted"),
    [
        (CloseReason.TIMEOUT.value, 1000, ("1000", "Connection timeout")),
        (CloseReason.TRY_LATER.value, 1006, ("1013", "Try again later")),
        (None, 1001, ("1001", "Closed by the client")),
        (None, 1006, ("1006", "Connection lost")),
        (None, None, ("1006", "Connection lost")),
        (Close(1006, "", reconnect=True), 1006, ("1006", "Connection lost")),
        (None, 4711, ("other", "Closed by the client")),
    ],
)
def test_close_is_counted_by_code_and_reason(close, client_code, counted):
    counts = Counts()
    counts.close(close, client_code)
    assert counts.closes == {counted: 1}


def test_round_of_prices_is_counted():
    counts = Counts()
    counts.round(
        "dexscreener", Round(tokens=3, priced=2, seconds=0.25, oldest_age_seconds=4.5, statuses={"live": 2})
    )
    assert Sample(["live"], 2) in counts.read("prices")["nexgent_price_tokens_by_status"]
    statuses: dict[PriceStatus, int] = {"stale": 2, "none": 1}
    failed = Round(tokens=3, errors=("a", "b"), source_errors=1, seconds=9.0, statuses=statuses)
    counts.round("dexscreener", failed)
    samples = counts.read("prices")
    assert samples["nexgent_price_rounds"] == [
        Sample(["dexscreener", "ok"], 1),
        Sample(["dexscreener", "errors"], 1),
    ]
    assert samples["nexgent_price_source_errors"] == [Sample(["dexscreener"], 1)]
    assert samples["nexgent_price_tokens"] == [Sample([], 3)]
    assert samples["nexgent_price_tokens_by_status"] == [
        *[Sample(["live"], 0), Sample(["stale"], 2), Sample(["thin"], 0), Sample(["gone"], 0)],
        Sample(["none"], 1),
    ]
    assert "nexgent_price_oldest_age_seconds" not in samples  # nobody knows it
    assert samples["nexgent_price_round_seconds"][0].value == 9.25


def test_write_of_history_is_counted():
    counts = Counts()
    counts.history(Written(rows=40, points=2, followed=3, pruned=7, seconds=0.2))
    counts.history(Written(pruned=1, seconds=0.3, lag_seconds=61, error="the server is away"))
    samples = counts.read("prices")
    assert samples["nexgent_history_rows"] == [
        Sample(["written"], 40),
        Sample(["points"], 2),
        Sample(["followed"], 3),
        Sample(["pruned"], 8),
    ]
    assert samples["nexgent_history_errors"] == [Sample([], 1)]
    assert samples["nexgent_history_lag_seconds"] == [Sample([], 61)]
    assert samples["nexgent_history_write_seconds"][0].value == 0.5


def test_age_of_what_another_clock_calls_the_future_is_nothing():
    assert metrics.seconds_since("2099-01-01T00:00:00.000Z") == 0.0
    assert metrics.seconds_since("2020-01-01T00:00:00.000Z") > 1e8


def test_metric_of_a_newer_process_is_left_out():
    page = families([Snapshot("a:1", {"nexgent_of_tomorrow": [Sample([], 1.0)]})], {})
    assert set(page) == set(METRICS)


# What is written about it


def test_every_metric_is_documented_with_its_labels():
    text = (ROOT / "docs/metrics.md").read_text()
    rows = re.findall(r"^\| `(nexgent_\w+)` \| (\w+) \|([^|]*)\|", text, re.MULTILINE)
    documented = {name: (kind, set(re.findall(r"`(\w+)`", labels))) for name, kind, labels in rows}
    assert documented == {
        f"{name}_total" if metric.kind == "counter" else name: (
            metric.kind,
            {*metric.labels, *(["process"] if name in PROCESS_METRICS else [])},
        )
        for name, metric in METRICS.items()
    }


def test_dashboard_shows_only_metrics_and_labels_that_exist_and_all_of_them():
    dashboard = json.loads((ROOT / "docs/grafana-dashboard.json").read_text())
    expressions = [target["expr"] for panel in dashboard["panels"] for target in panel.get("targets", [])]
    labels_known = {label for metric in METRICS.values() for label in metric.labels} | {"process", "le"}
    shown = set()
    for expression in expressions:
        for name, labels in re.findall(r"(nexgent_\w+)(?:\{([^}]*)\})?", expression):
            base = name if name in METRICS else re.sub(r"_(bucket|sum|count|total)\Z", "", name)
            assert name.removeprefix(base) in SUFFIXES[METRICS[base].kind], expression
            assert set(re.findall(r"(\w+)\s*[=!]", labels)) <= {*METRICS[base].labels, "process"}, expression
            shown.add(base)
        for group in re.findall(r"\bby \(([^)]*)\)", expression):
            assert {each.strip() for each in group.split(",")} <= labels_known, expression
    assert shown == set(METRICS)


def test_panels_of_the_dashboard_do_not_overlap():
    panels = json.loads((ROOT / "docs/grafana-dashboard.json").read_text())["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    cells = [
        (place["x"] + x, place["y"] + y)
        for place in (panel["gridPos"] for panel in panels)
        for x in range(place["w"])
        for y in range(place["h"])
    ]
    assert len(cells) == len(set(cells))
    assert all(x < 24 for x, _ in cells)


async def test_requests_and_refused_logins_and_connects_are_counted(
    settings, shared_server, transactional_db
):
    server = shared_server(
        "uvicorn",
        NEXGENT_METRICS_TOKEN=TOKEN,
        NEXGENT_LOGIN_FAILURES="1",
        NEXGENT_TOKEN_REQUESTS_PER_MINUTE="3",
    )
    process = {"process": name_of(server)}
    form = {"username": "nobody", "password": "x"}
    logins = [http.post(f"{server.url}/api/token/", json=form).status_code for _ in range(4)]
    assert logins == [401, 429, 429, 429]
    for origin in ("https://evil.example.org", "http://[broken"):
        with pytest.raises(InvalidStatus):
            async with client(server, token="x", agent="x", additional_headers={"Origin": origin}):
                pass
    values = scrape(server)
    name = "nexgent_http_request_seconds_count"
    assert [total(values, name, status=status, **process) for status in ("401", "429")] == [1, 3]
    bounds = ("login_failures", "token_requests", "origin")
    assert [total(values, "nexgent_refusals_total", bound=each, **process) for each in bounds] == [2, 1, 2]


@pytest.mark.postgresql
def test_pool_of_database_connections_is_measured(transactional_db):
    User.objects.count()
    samples = Reporter("server").snapshot().samples
    (size,) = samples["nexgent_database_connections"]
    assert size.value >= 1
    assert {
        "nexgent_database_connections_in_use", "nexgent_database_pool_waits", "nexgent_database_pool_wait_seconds",
        "nexgent_database_pool_timeouts",
    } <= samples.keys()  # fmt: skip
