"""Django's page for errors in debug mode, and its text for mails, without a secret: of settings, variables, requests.

Django's own hides settings by their names, so that a password inside REDIS_URL or CHANNEL_LAYERS is shown; in debug
mode it shows every variable and the fields of a login. Here a value is looked at, and what the page would say of it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pprint import pformat
from typing import Any

from django.http import HttpRequest
from django.utils.safestring import SafeString
from django.views.debug import ExceptionReporter, SafeExceptionReporterFilter

from realtime.monitoring.known_secrets import hide, hide_values
from realtime.monitoring.redaction import is_secret


class Shown:
    """Stands for a value whose repr has a secret."""

    def __init__(self, text: str) -> None:
        self._text = text

    def __repr__(self) -> str:
        return self._text


class Filter(SafeExceptionReporterFilter):
    # Django's own, and the tickets of sockets.
    hidden_settings = re.compile("API|AUTH|TOKEN|TICKET|KEY|SECRET|PASS|SIGNATURE|COOKIE|SESSION|DSN", re.I)

    def is_active(self, request: HttpRequest | None) -> bool:
        return True  # in debug mode, too: somebody looks over a shoulder, or finds the page in a bug report

    def cleanse_setting(self, key: Any, value: Any) -> Any:
        cleansed = super().cleanse_setting(key, value)
        return cleansed if isinstance(cleansed, dict | list | tuple) else _shown(cleansed)

    def get_post_parameters(self, request: HttpRequest | None) -> Any:
        posted = super().get_post_parameters(request)
        return {name: self.cleanse_setting(name, value) for name, value in posted.items()}

    def get_traceback_frame_variables(self, request: HttpRequest | None, tb_frame: Any) -> Any:
        variables: Iterable[tuple[str, Any]] = super().get_traceback_frame_variables(request, tb_frame)
        return [(name, self._variable(name, value)) for name, value in variables]

    def _variable(self, name: str, value: Any) -> Any:
        if isinstance(value, str) and is_secret(name):
            return self.cleansed_substitute
        return _shown(value)


class Reporter(ExceptionReporter):
    """DEFAULT_EXCEPTION_REPORTER."""

    def get_traceback_data(self) -> dict[str, Any]:
        data: dict[str, Any] = super().get_traceback_data()
        for name in ("exception_value", "exception_notes", "request_insecure_uri", "unicode_hint"):
            if data.get(name):
                data[name] = hide(data[name])
        data["request_GET_items"] = [
            (name, self.filter.cleanse_setting(name, value))
            for name, value in data.get("request_GET_items", ())
        ]
        return data

    # What else they show, the causes of an exception or the lines of a template, is looked at as a whole.

    def get_traceback_html(self) -> SafeString:
        return SafeString(hide_values(super().get_traceback_html()))

    def get_traceback_text(self) -> SafeString:
        return SafeString(hide_values(super().get_traceback_text()))


def _shown(value: Any) -> Any:
    """Return the value, or what stands for it where what a page would say of it has a secret."""
    if isinstance(value, str):
        return hide(value)
    try:
        text = pformat(value)
    except Exception as error:  # noqa: BLE001  the value of a variable may be anything: Django says the same
        return Shown(f"Error in formatting: {type(error).__name__}")
    hidden = hide(text)
    return value if hidden == text else Shown(hidden)
