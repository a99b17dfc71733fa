"""The settings of a project that installs the apps: the dict NEXGENT, its defaults and its checks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from django.core.checks import run_checks
from django.core.exceptions import ImproperlyConfigured

from positions.conf import conf as positions_conf
from realtime.conf import channel_layer
from realtime.conf import conf as realtime_conf


def problems() -> list[tuple[str | None, str, str | None]]:
    return [(found.id, found.msg, found.hint) for found in run_checks() if "NEXGENT" in found.msg]


def test_setting_that_is_not_given_has_its_default(settings):
    del settings.NEXGENT
    assert (positions_conf.USER_AGENTS, realtime_conf.PING_INTERVAL_SECONDS) == (1_000, 30.0)
    assert Path(settings.BASE_DIR) / "var" == positions_conf.DATA_DIR
    assert f"unix://{settings.BASE_DIR}/var/valkey.sock" == positions_conf.REDIS_URL
    assert [positions_conf.REDIS_URL] == positions_conf.REDIS_URLS


def test_setting_is_not_changed_past_the_dict():
    with pytest.raises(AttributeError, match=r"^USER_AGENTS is set in NEXGENT"):
        positions_conf.USER_AGENTS = 5


def test_every_setting_takes_its_own_default(settings):
    given = {
        setting.name: setting.default for conf in (positions_conf, realtime_conf) for setting in conf.all()
    }
    settings.NEXGENT = given
    assert problems() == []


@pytest.mark.parametrize(
    ("name", "value", "wanted"),
    [
        ("MAX_SOCKETS", "20000", "a whole number above 0"),
        ("MAX_SOCKETS", True, "a whole number above 0"),
        ("MAX_SOCKETS", 0, "a whole number above 0"),
        ("MAX_SOCKETS", 2**31, "at most 2147483647"),
        ("USER_AGENTS", -1, "a whole number of at least 0"),
        ("RECONCILE_SECONDS", float("nan"), "a number above 0"),
        ("RECONCILE_SECONDS", 0.0001, "at least 0.001"),
        ("HISTORY_DAYS", 3651, "at most 3650"),
        ("BEHIND_PROXY", "no", "True or False"),
        ("METRICS_TOKEN", "short", "at least 16 random ones"),
        ("METRICS_TOKEN", None, "text"),
        ("ALLOWED_ORIGINS", "https://a.org", "origins such as https://app.example.org"),
        ("ALLOWED_ORIGINS", ["https://A.org/x"], "origins such as https://app.example.org"),
        ("ALLOWED_ORIGINS", [None], "origins such as https://app.example.org"),
        ("REDIS_URL", "localhost", "redis://host:6379/0, rediss://… or unix:///path"),
        ("REDIS_URL", None, "redis://host:6379/0, rediss://… or unix:///path"),
        ("REDIS_URL", "redis://localhost:99999/0", "redis://host:6379/0, rediss://… or unix:///path"),
        ("REDIS_URLS", [], "a list of URLs"),
        ("REDIS_PREFIX", "my desk:", "1 to 40 letters, digits, -, _ or ."),
        ("DATA_DIR", "var", "a pathlib.Path"),
        ("PRICE_SOURCES", {"Desk": "a.B"}, '{"name": "package.module.Class"}, names of lower-case letters,'),
        ("OUTSIDE_ISSUER", {"ISSUER": "x"}, "None, or a dict with ALGORITHMS, AUDIENCE, ISSUER, JWKS_URL"),
    ],
)
def test_value_that_a_setting_cannot_have_is_an_error_of_the_check(
    settings, name: str, value: Any, wanted: str
):
    settings.NEXGENT = {name: value}
    [(identity, said, _)] = problems()
    assert identity == "positions.E006"
    assert said.startswith(f'NEXGENT["{name}"] must be {wanted}')
    assert "short" not in said


def test_key_that_is_no_setting_is_warned_of_with_the_name_that_was_meant(settings):
    settings.NEXGENT = {"MAX_SOCKET": 5}
    [(identity, said, hint)] = problems()
    assert (identity, said) == ("positions.W001", 'NEXGENT["MAX_SOCKET"] is not a setting and has no effect.')
    assert hint == "Did you mean MAX_SOCKETS?"


def test_settings_that_contradict_each_other_are_an_error(settings):
    settings.NEXGENT = {"PING_INTERVAL_SECONDS": 60}
    [(identity, said, _)] = problems()
    assert identity == "positions.E006"
    assert said.startswith('NEXGENT["PING_INTERVAL_SECONDS"] must be below DEAD_AFTER_SECONDS, 60; it is 60')


def test_dict_that_is_none_is_an_error(settings):
    settings.NEXGENT = ["MAX_SOCKETS"]
    assert [identity for identity, *_ in problems()] == ["positions.E006"]


def test_url_that_is_none_leaves_it_to_the_check(settings):
    """Every key begins with the prefix: it is read before any check, when a module is imported."""
    settings.NEXGENT = {"REDIS_URL": None}  # os.environ.get("REDIS_URL"), say
    assert positions_conf.REDIS_PREFIX == "nexgent"


@pytest.mark.parametrize("nexgent", [{}, {"REDIS_URL": None}])
def test_channel_layer_of_no_server_says_what_is_missing(nexgent: dict[str, Any]):
    with pytest.raises(ImproperlyConfigured, match=r'^NEXGENT must have "REDIS_URL", such as "redis://'):
        channel_layer(nexgent)
