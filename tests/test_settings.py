"""Settings from the environment: valid values, and the messages for invalid and unknown ones."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from nexgent.addresses import database, redis_urls
from nexgent.environment import SHORTEST_SECRET_KEY, Environment, secret_key
from positions.conf import PositionsSettings, conf
from positions.declared import Limit
from realtime.conf import channel_layer, origin
from tests.live import PATIENCE_SECONDS, ROOT, manage

DATA = Path("/data")
MUST_BE = "DATABASE_URL must look like postgresql://user:password@host:5432/name or sqlite:////path/to/file."
REDIS_MUST_BE = (
    "REDIS_URL must be redis://host:6379/0, rediss://… or unix:///path, several separated by commas;"
    " the scheme of one is 'http'."
)


def check(**environment: str) -> subprocess.CompletedProcess[str]:
    """Run `manage.py check`, as a user does."""
    return manage("check", **environment)


def test_every_invalid_value_is_named_at_once_in_a_line_each():
    done = check(
        NEXGENT_INBOUND_BURST="many",
        NEXGENT_BEHIND_PROXY="perhaps",
        NEXGENT_LOG_LEVEL="loud",
        NEXGENT_URL_PREFIX="nexgent/",
        NEXGENT_PING_INTERVAL_SECONDS="nan",
        NEXGENT_METRICS_TOKEN="too-short-token",
        DATABASE_URL="mysql://user:its-password@host/name",
        REDIS_URL="http://:its-password@host",
    )
    assert done.returncode == 1
    assert done.stdout == ""
    assert sorted(done.stderr.splitlines()) == [
        MUST_BE,
        "NEXGENT_BEHIND_PROXY must be one of true, false, yes, no, on, off, 1, 0; it is 'perhaps'.",
        "NEXGENT_INBOUND_BURST must be a whole number above 0; it is 'many'.",
        "NEXGENT_LOG_LEVEL must be one of CRITICAL, FATAL, ERROR, WARN, WARNING, INFO, DEBUG, NOTSET; it is 'loud'.",
        "NEXGENT_METRICS_TOKEN has 15 characters; it needs at least 16 random ones.",
        "NEXGENT_PING_INTERVAL_SECONDS must be a number above 0; it is 'nan'.",
        "NEXGENT_URL_PREFIX must begin with a slash and end without one, as /nexgent; it is 'nexgent/'.",
        REDIS_MUST_BE,
    ]


def test_secret_of_a_list_is_named_by_its_place_and_not_quoted():
    env = Environment({"X": f"{'a' * 50}, too-short,"})
    assert env.credentials("X", shortest=50) == ["a" * 50, "too-short"]
    assert env.errors == ["X: number 2 has 9 characters; each needs at least 50 random ones."]


def test_variable_that_is_no_setting_is_warned_of_with_the_name_that_was_meant():
    done = check(NEXGENT_HEALING_SECONDS="5", NEXGENT_MAX_SOCKET="5", NEXGENT_SOMETHING="5")
    assert done.returncode == 0
    lines = [line.strip() for line in done.stderr.splitlines() if "W001" in line or "HINT" in line]
    assert lines == [
        "?: (nexgent.W001) NEXGENT_HEALING_SECONDS is not a setting and has no effect.",
        "HINT: It is called NEXGENT_RECONCILE_SECONDS now.",
        "?: (nexgent.W001) NEXGENT_MAX_SOCKET is not a setting and has no effect.",
        "HINT: Did you mean NEXGENT_MAX_SOCKETS?",
        "?: (nexgent.W001) NEXGENT_SOMETHING is not a setting and has no effect.",
        "HINT: docs/settings.md lists all settings.",
    ]


@pytest.mark.parametrize(("text", "value"), [("on", True), (" TRUE ", True), ("0", False), ("", False)])
def test_flag_is_read(text: str, value: bool):
    env = Environment({"X": text})
    assert (env.flag("X", default=not value), env.errors) == (value, [])


@pytest.mark.parametrize("text", ["0", "-1", "inf", "nan", "", "1,5"])
def test_number_out_of_range_counts_as_its_default_and_is_an_error(text: str):
    env = Environment({"X": text})
    assert env.number("X", 2.5) == 2.5
    assert env.errors == [f"X must be a number above 0; it is {text!r}."]


@pytest.mark.parametrize(("text", "is_valid"), [("2147483647", True), ("2147483648", False), ("1e12", False)])
def test_number_is_at_most_the_largest_of_32_bits(text: str, is_valid: bool):
    env = Environment({"X": text})
    assert env.number("X", 2.5) == (2147483647 if is_valid else 2.5)
    assert env.errors == ([] if is_valid else [f"X must be at most 2147483647; it is {text!r}."])


@pytest.mark.parametrize(
    ("unit", "least", "most"),
    [("seconds", "0.001", "315360000"), ("minutes", "0.001", "5256000"), ("days", "0.001", "3650")],
)
def test_duration_is_from_a_thousandth_to_ten_years(unit: str, least: str, most: str):
    span = timedelta(**{unit: 1})
    for text in (least, most):
        env = Environment({"X": text})
        assert (env.duration("X", 5.0, unit=span), env.errors) == (float(text), [])
    for text, bound in (
        ("0.0009", f"at least {least}"),
        (f"{most}.1", f"at most {most}"),
        ("0", "a number above 0"),
    ):
        env = Environment({"X": text})
        assert env.duration("X", 5.0, unit=span) == 5.0
        assert env.errors == [f"X must be {bound}; it is {text!r}."]


def test_every_number_that_is_too_large_is_named_and_nothing_overflows():
    """Each setting that is read as a number, by its name in docs/settings.md."""
    number = re.compile(r"^\| `(NEXGENT_\w+)` \| `[0-9]+`", re.MULTILINE)
    names = number.findall((ROOT / "docs/settings.md").read_text())
    assert len(names) > 25
    done = check(**dict.fromkeys(names, "1" + "0" * 300))
    assert done.returncode == 1
    lines = done.stderr.splitlines()
    assert {line.split()[0] for line in lines} == set(names)
    assert all(re.match(r"NEXGENT_\w+ must be at most [0-9]+; it is '10", line) for line in lines), lines


def test_number_with_a_minimum_may_be_the_minimum():
    env = Environment({"X": "0"})
    assert (env.number("X", 5, minimum=0), env.errors) == (0, [])


@pytest.mark.parametrize(("text", "limit"), [("", 0), (" ", 0), ("0", 0), ("7", 7), (None, 5)])
def test_limit_that_is_zero_or_empty_is_none(text: str | None, limit: int):
    env = Environment({} if text is None else {"X": text})
    assert (env.value("X", Limit(5)), env.errors, env.names) == (limit, [], {"X"})


def test_limit_below_zero_is_an_error():
    env = Environment({"X": "-1"})
    env.value("X", Limit(5))
    assert env.errors == ["X must be a whole number of at least 0; it is '-1'."]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("https://App.example.org", "https://app.example.org"),
        ("https://app.example.org:443", "https://app.example.org"),
        ("http://[::1]:8000", "http://[::1]:8000"),
        ("capacitor://localhost", "capacitor://localhost"),
    ],
)
def test_origin_is_as_browsers_send_it(text: str, value: str):
    assert origin(text) == value


@pytest.mark.parametrize(
    "text",
    [
        "app.example.org",
        "*",
        "https://",
        "https://a.org/",
        "https://a.org/x",
        "https://user@a.org",
        "https://*.a.org",
        "https://.a.org",
        "https://a.org:port",
    ],
)
def test_origin_that_no_browser_sends_is_refused(text: str):
    with pytest.raises(ValueError, match=r"is not an origin|^Port could not be cast"):
        origin(text)


def read(url: str) -> tuple[dict[str, Any], list[str]]:
    env = Environment({"DATABASE_URL": url})
    return database(env, data_dir=DATA), env.errors


def test_database_url_gives_every_part_to_the_driver():
    settings, errors = read("postgresql://us%40er:pass%2Fword@db.example.org:5433/na%20me?sslmode=require")
    assert errors == []
    assert {name: settings[name] for name in ("USER", "PASSWORD", "HOST", "PORT", "NAME")} == {
        "USER": "us@er",
        "PASSWORD": "pass/word",
        "HOST": "db.example.org",
        "PORT": 5433,
        "NAME": "na me",
    }
    assert settings["OPTIONS"]["sslmode"] == "require"
    assert settings["OPTIONS"]["pool"]["max_size"] == 12
    assert settings["CONN_HEALTH_CHECKS"]


def test_database_url_names_a_unix_socket():
    assert read("postgresql:///nexgent?host=/run/postgresql")[0]["HOST"] == "/run/postgresql"


@pytest.mark.parametrize(
    ("url", "path"), [("", DATA / "nexgent.sqlite3"), ("sqlite:////a%20b/c", Path("/a b/c"))]
)
def test_database_in_a_file(url: str, path: Path):
    settings, errors = read(url)
    assert (settings["NAME"], settings["OPTIONS"]["transaction_mode"], errors) == (path, "IMMEDIATE", [])


@pytest.mark.parametrize(
    "url",
    [
        "x",
        "postgresql://host",
        "postgresql://host:port/name",
        "postgis://host/name",
        "sqlite://",
        "sqlite:///relative",
    ],
)
def test_database_url_that_is_invalid_is_an_error_without_its_password(url: str):
    assert read(url)[1] == [MUST_BE]


@pytest.mark.parametrize("url", ["redis://host:port/0", "rediss://:its-password@host:70000"])
def test_redis_url_whose_port_is_none_is_an_error_without_its_password(url: str):
    env = Environment({"REDIS_URL": f"redis://a:6379/0,{url}"})
    redis_urls(env)
    assert env.errors == [
        REDIS_MUST_BE.replace(
            "the scheme of one is 'http'", "the port of one is not a number from 1 to 65535"
        )
    ]


def test_redis_url_that_is_no_url_is_an_error_without_its_password():
    env = Environment({"REDIS_URL": "redis://:its-password@[::1"})
    redis_urls(env)
    assert env.errors == [REDIS_MUST_BE.replace("the scheme of one is 'http'", "one is no URL")]


def test_invalid_value_is_quoted_without_the_password_in_its_url():
    env = Environment({"NEXGENT_ALLOWED_ORIGINS": "https://user:its-password@example.org"})
    env.items("NEXGENT_ALLOWED_ORIGINS", [], origin, "origins")
    assert env.errors == [
        "NEXGENT_ALLOWED_ORIGINS must be origins, separated by commas; it is 'https://…@example.org'."
    ]


@pytest.mark.parametrize(
    "url",
    [
        "redis://a:6379/0?colour=red",
        "redis://a:6379/0?protocol=7",
        "redis://a:6379/0?decode_responses=false",
        "redis://a:6379/0?encoding=latin-1",
        "redis://a:6379/0?retry=3",
        "redis://a:6379/0?host=elsewhere",
        "redis://a:6379?db=-1",
        "redis://a:6379/0?max_connections=0",
        "redis://a:6379/0?socket_timeout=-1",
        "redis://a:6379/0?socket_timeout=nan",
        "redis://a:6379/0?ssl_cert_reqs=none",
        "rediss://a:6379/0?ssl_cert_reqs=perhaps",
        "rediss://a:6379/0?ssl_ca_certs=/nowhere/ca.pem",
    ],
)
def test_redis_url_with_a_parameter_that_cannot_work_is_an_error(url: str):
    env = Environment({"REDIS_URL": url})
    redis_urls(env)
    assert env.errors == [
        REDIS_MUST_BE.replace(
            "the scheme of one is 'http'",
            "what one says behind its ? is unknown, invalid or not possible here",
        )
    ]


def test_database_url_may_name_several_hosts():
    settings, errors = read(
        "postgresql://me:its-password@one:5433,two,[::1]:5434/nexgent?target_session_attrs=primary"
    )
    assert errors == []
    assert (settings["HOST"], settings["PORT"]) == ("one,two,::1", "5433,5432,5434")
    assert (settings["NAME"], settings["USER"], settings["OPTIONS"]["target_session_attrs"]) == (
        "nexgent",
        "me",
        "primary",
    )


@pytest.mark.parametrize(
    "command",
    [["manage.py", "check"], ["-m", "daphne", "nexgent.asgi:application"]],
    ids=["manage.py", "daphne"],
)
def test_start_names_every_bad_setting_a_line_each_and_nothing_more(command: list[str]):
    environment = {"NEXGENT_DEBUG": "maybe", "NEXGENT_PING_INTERVAL_SECONDS": "60"}
    done = subprocess.run(
        [sys.executable, *command],
        env={**os.environ, **environment},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
    )
    assert (done.returncode, done.stderr.splitlines()) == (
        1,
        [
            "NEXGENT_DEBUG must be one of true, false, yes, no, on, off, 1, 0; it is 'maybe'.",
            (
                "NEXGENT_PING_INTERVAL_SECONDS must be below NEXGENT_DEAD_AFTER_SECONDS, 60; it is 60: clients"
                " that only answer would count as dead."
            ),
        ],
    )


def test_pool_whose_least_is_above_its_most_is_an_error():
    env = Environment({"NEXGENT_DATABASE_POOL_MIN": "13"})
    database(env, data_dir=DATA)
    assert env.errors == [
        "NEXGENT_DATABASE_POOL_MIN must be at most NEXGENT_DATABASE_POOL_MAX, 12; it is 13."
    ]


@pytest.mark.parametrize(
    ("url", "named", "prefix"),
    [
        ("redis://a:6379", None, "nexgent"),
        ("redis://a:6379/0", None, "nexgent"),
        ("redis://a:6379/3", None, "nexgent-3"),
        ("unix:///run/valkey.sock?db=1", None, "nexgent-1"),
        ("redis://a:6379/3", "staging", "staging"),
    ],
)
def test_redis_prefix_tells_databases_apart(settings, url: str, named: str | None, prefix: str):
    settings.NEXGENT = {"REDIS_URL": url, **({} if named is None else {"REDIS_PREFIX": named})}
    assert prefix == conf.REDIS_PREFIX
    assert channel_layer(settings.NEXGENT)["CONFIG"]["prefix"] == prefix


def test_redis_prefix_that_no_channel_may_have_is_refused():
    env = Environment({"NEXGENT_REDIS_PREFIX": "my desk:"})
    env.given(PositionsSettings)
    assert env.errors == [
        "NEXGENT_REDIS_PREFIX must be 1 to 40 letters, digits, -, _ or .; it is 'my desk:'."
    ]


def test_redis_urls_are_the_shards():
    env = Environment({"REDIS_URL": "redis://a:6379/0, unix:///b"})
    assert (redis_urls(env), env.errors) == (["redis://a:6379/0", "unix:///b"], [])
    layer = channel_layer({"DATA_DIR": DATA})
    assert [host["address"] for host in layer["CONFIG"]["hosts"]] == ["unix:///data/valkey.sock"]


def test_secret_key_of_debug_mode_is_made_once_and_for_its_owner_only(tmp_path: Path):
    keys = {secret_key(Environment({}), debug=True, data_dir=tmp_path / folder) for folder in ("a", "a", "b")}
    assert len(keys) == 2
    assert all(len(key) >= SHORTEST_SECRET_KEY for key in keys)
    files = [path for path in tmp_path.glob("*/*") if path.is_file()]
    assert [path.stat().st_mode & 0o777 for path in files] == [0o600, 0o600]
    assert {path.read_text().strip() for path in files} == keys
