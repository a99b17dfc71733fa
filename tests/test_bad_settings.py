"""Settings that start and then fail, or do something else than they say: named when a process starts, a line each."""

from __future__ import annotations

import os
import sqlite3
import subprocess
from pathlib import Path

import pytest

from nexgent.addresses import database, redis_urls
from nexgent.environment import Environment, host, trusted_origin
from nexgent.private_files import PrivateConnection
from tests.live import Server, manage
from tests.waiting import until

HOSTS = "NEXGENT_ALLOWED_HOSTS must be names without scheme, port and path, separated by commas"
PRODUCTION = {
    "NEXGENT_DEBUG": "0",
    "NEXGENT_SECRET_KEY": "k3jh45kjh34k5jh3k4j5h3k4jh5k3j4h5k3j4h5k3j4h5k3jh45kjh3Zz",
    "NEXGENT_ALLOWED_HOSTS": "example.org",
}


def check(*options: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return manage("check", *options, **environment)


def test_values_that_would_fail_later_are_named_at_once_in_a_line_each():
    done = check(
        NEXGENT_DATA_DIR="~nobody-of-this-name/data",
        NEXGENT_ALLOWED_HOSTS="https://example.org, example.org:443",
        NEXGENT_TRUSTED_ORIGINS="app.example.org",
        NEXGENT_DEXSCREENER_URL="api.dexscreener.com",
        NEXGENT_JUPITER_URL="https://",
        NEXGENT_HSTS_PRELOAD="1",
        NEXGENT_HSTS_SUBDOMAINS="0",
        DATABASE_URL="postgresql://me:its-password@host/name?sslmode=requir",
        REDIS_URL="redis://:its-password@host:6379/production",
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert sorted(done.stderr.splitlines()) == [
        'DATABASE_URL: what it says behind its ? is invalid: invalid sslmode value: "requir".',
        f"{HOSTS}; it is 'https://example.org, example.org:443'.",
        "NEXGENT_DATA_DIR must be the path of a folder; it is '~nobody-of-this-name/data'.",
        "NEXGENT_DEXSCREENER_URL must be http://… or https://…; it is 'api.dexscreener.com'.",
        (
            "NEXGENT_HSTS_PRELOAD must be off unless NEXGENT_HSTS_SUBDOMAINS is on and NEXGENT_HSTS_SECONDS at least"
            " 31536000: browsers' lists take no other domain."
        ),
        "NEXGENT_JUPITER_URL must be http://… or https://…; it is 'https://'.",
        (
            "NEXGENT_TRUSTED_ORIGINS must be origins such as https://app.example.org, separated by commas; it is"
            " 'app.example.org'."
        ),
        (
            "REDIS_URL must be redis://host:6379/0, rediss://… or unix:///path, several separated by commas; behind the"
            " port of one is no number of a database, or unix:// without a path."
        ),
    ]


@pytest.mark.parametrize(
    ("query", "problem"),
    [
        ("sslmode=verify-full&connect_timeout=3&application_name=nexgent", None),
        ("target_session_attrs=primary&options=-c%20statement_timeout%3D5000", None),
        ("host=/run/postgresql&hostaddr=10.255.255.1&assume_role=me", None),
        ("colour=red", 'invalid connection option "colour"'),
        ("pool=12", 'invalid connection option "pool"'),
        ("target_session_attrs=primry", 'invalid target_session_attrs value: "primry"'),
        ("connect_timeout=soon", "connect_timeout must be a whole number; it is 'soon'"),
    ],
)
def test_what_libpq_would_not_take_is_found_without_a_connection(query: str, problem: str | None):
    env = Environment({"DATABASE_URL": f"postgresql://me:its-password@db.example.org/nexgent?{query}"})
    database(env, data_dir=Path("/data"))
    assert env.errors == (
        [f"DATABASE_URL: what it says behind its ? is invalid: {problem}."] if problem else []
    )


@pytest.mark.parametrize(
    ("url", "is_valid"),
    [
        ("redis://a", True),
        ("redis://a:6379/", True),
        ("rediss://a:6379/15?ssl_cert_reqs=none", True),
        ("unix:///run/valkey.sock?db=2", True),
        ("redis://a:6379/x", False),
        ("redis://a:6379/-1", False),
        ("redis://a:6379/1/2", False),
        ("unix://", False),
    ],
)
def test_redis_url_names_a_database_by_number(url: str, is_valid: bool):
    env = Environment({"REDIS_URL": url})
    redis_urls(env)
    assert bool(env.errors) is not is_valid


@pytest.mark.parametrize(
    "text", ["example.org", ".example.org", "*", "10.0.0.1", "[::1]", "my_host", "example.org."]
)
def test_host_is_what_a_request_may_name(text: str):
    assert host(text) == text


@pytest.mark.parametrize(
    "text", ["http://a.org", "a.org:443", "a.org/", "a b", "*.a.org", "a..org", "a.org\n"]
)
def test_host_that_no_request_names_is_refused(text: str):
    with pytest.raises(ValueError, match="is not a host"):
        host(text)


def test_trusted_origin_may_stand_for_all_subdomains():
    assert trusted_origin("https://*.example.org") == "https://*.example.org"
    with pytest.raises(ValueError, match="is not an origin"):
        trusted_origin("*.example.org")


def test_folder_that_is_empty_is_the_default_and_not_where_the_process_was_started(tmp_path: Path):
    env = Environment({"X": "", "Y": " relative "})
    assert env.folder("X", tmp_path) == tmp_path
    assert env.folder("Y", tmp_path) == Path.cwd() / "relative"
    assert env.errors == []


def test_preload_is_off_by_default_where_no_list_would_take_the_domain():
    for change in ({"NEXGENT_HSTS_SUBDOMAINS": "0"}, {"NEXGENT_HSTS_SECONDS": "3600"}):
        done = check("--deploy", **PRODUCTION, **change)
        assert done.returncode == 0, done.stderr
        assert "security.W021" in done.stderr  # Django's, of a site without preload


def test_database_file_that_cannot_be_opened_is_named(tmp_path: Path):
    with pytest.raises(sqlite3.OperationalError) as error:
        PrivateConnection(tmp_path / "nowhere" / "nexgent.sqlite3")
    assert str(error.value) == (
        f"unable to open database file: {tmp_path}/nowhere/nexgent.sqlite3: No such file or directory"
    )


def test_server_logs_a_misspelt_name_and_a_pool_that_is_too_small(tmp_path: Path):
    """It runs no checks, as commands do."""
    changes = {"NEXGENT_MAX_SOCKET": "5", "NEXGENT_HOSTS": "x", "NEXGENT_DATABASE_THREADS": "12"}
    with Server("uvicorn", log=tmp_path / "log", **changes):
        until(lambda: "W001" in (tmp_path / "log").read_text(), "it is logged")
    log = (tmp_path / "log").read_text()
    assert "NEXGENT_MAX_SOCKET is not a setting and has no effect. Did you mean NEXGENT_MAX_SOCKETS?" in log
    assert "NEXGENT_HOSTS is not a setting" in log
    if "postgresql" in os.environ["DATABASE_URL"]:
        assert "NEXGENT_DATABASE_POOL_MAX, 12, is not above NEXGENT_DATABASE_THREADS, 12." in log
