"""The base of all commands: what they print for people is harmless on a terminal, errors included.

Where log lines are JSON and nobody looks on, as in a service or a timer, so is what they write to standard error, and
all that an unattended command says. What other commands print is their result, which stays as it is.
"""

from __future__ import annotations

import logging
from typing import Any

from django.conf import settings
from django.core.management import base
from django.utils.module_loading import import_string

from positions.books.terminal import printable

LEVELS = {"CommandError": logging.ERROR, "Error": logging.WARNING}
"""By what a text begins with: what ends the command, and what it tries again."""


class Output(base.OutputWrapper):
    """A stream for people: control characters and the like are shown, not sent. With a formatter, one of log lines."""

    def __init__(self, out: Any, formatter: logging.Formatter | None = None) -> None:
        super().__init__(out)
        self.formatter = formatter

    def write(  # type: ignore[override]
        self, msg: str = "", style_func: Any = None, ending: str | None = None
    ) -> None:
        if self.formatter is not None:
            level = LEVELS.get(msg.partition(":")[0], logging.INFO)
            record = logging.LogRecord(__name__, level, "", 0, msg.strip(), None, None)
            super().write(self.formatter.format(record))
            return
        # With a function of its own, the message has colours already: what system checks say.
        super().write(printable(msg) if style_func is None else msg, style_func, ending)

    def rewrite(self, line: str) -> None:
        """Write the line over the one that a terminal shows now."""
        super().write(f"\r{printable(line)}", ending="")

    def write_ours(self, text: str) -> None:
        """Write text with control sequences of our own, in which what is somebody else's is `printable` already."""
        super().write(text, ending="")

    def write_data(self, text: str) -> None:
        """Write what a program reads, as it is; harmless where a person does, on a terminal."""
        super().write(printable(text, keep="\r\n\t") if self.isatty() else text, ending="")


class Command(base.BaseCommand):
    """Of this project. Subclasses write to `self.stdout` and `self.stderr` as ever."""

    is_unattended = False
    """Whether it runs as a service or by a timer, so that what it says belongs into the log."""

    @property  # type: ignore[override]
    def stdout(self) -> Output:
        return self._stdout

    @stdout.setter
    def stdout(self, out: Any) -> None:
        self._stdout = _output(out, is_log=self.is_unattended)

    @property  # type: ignore[override]
    def stderr(self) -> Output:
        return self._stderr

    @stderr.setter
    def stderr(self, out: Any) -> None:
        self._stderr = _output(out, is_log=True)

    def create_parser(self, prog_name: str, subcommand: str, **options: Any) -> base.CommandParser:
        parser = super().create_parser(prog_name, subcommand, **options)
        refuse = parser.error
        parser.error = lambda message: refuse(printable(message))  # type: ignore[method-assign]
        return parser


def _output(out: Any, *, is_log: bool) -> Output:
    if isinstance(out, Output):
        return out
    stream = Output(getattr(out, "_out", out))
    if is_log and not stream.isatty():
        stream.formatter = json_formatter()
    return stream


def json_formatter() -> logging.Formatter | None:
    """Return the formatter of log lines where these are JSON (NEXGENT_LOG_FORMAT)."""
    logs: dict[str, Any] = settings.LOGGING
    if logs.get("handlers", {}).get("stderr", {}).get("formatter") != "json":
        return None
    formatter: logging.Formatter = import_string(logs["formatters"]["json"]["()"])()
    return formatter
