"""The options of `manage.py up`, and which of them go together."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management import CommandError, CommandParser

from positions.prices import sources
from realtime.launcher import embedded_valkey

MOST_PROCESSES = 64


def add_options(parser: CommandParser) -> None:
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (127.0.0.1)")
    parser.add_argument("--port", type=int, default=4000, help="port to listen on (4000)")
    parser.add_argument("--server", choices=["daphne", "uvicorn"], default="daphne")
    parser.add_argument(
        "--processes",
        type=int,
        default=1,
        metavar="N",
        help="server processes on the port (1); with several, SIGHUP replaces them one after the other",
    )
    parser.add_argument(
        "--source",
        choices=[sources.AUTO, *sources.names()],
        default=sources.AUTO,
        help="where prices come from; auto (the default) is dexscreener if it answers, else simulated",
    )
    parser.add_argument("--replay", type=Path, metavar="FILE", help="the CSV file of --source replay")
    parser.add_argument(
        "--interval",
        type=float,
        metavar="SECONDS",
        help="seconds from one round of prices to the next (1.5)",
    )
    parser.add_argument("--no-demo", action="store_true", help="create no demo user and no demo positions")


def check_options(options: Mapping[str, Any]) -> None:
    """Raise CommandError for what `up` cannot do, before anything is started."""
    if sys.platform == "win32":
        raise CommandError(
            "`up` runs on Linux and macOS. On Windows set REDIS_URL to a Redis or Valkey server and start"
            " `manage.py migrate`, `daphne nexgent.asgi:application` and `manage.py broadcast_prices`."
        )
    if not 1 <= options["port"] <= 65535:
        raise CommandError(f"--port must be between 1 and 65535; it is {options['port']}.")
    if not 1 <= options["processes"] <= MOST_PROCESSES:
        raise CommandError(
            f"--processes must be between 1 and {MOST_PROCESSES}; it is {options['processes']}."
        )
    if options["interval"] is not None and not 0 < options["interval"] < float("inf"):
        raise CommandError(f"--interval must be a number of seconds above 0; it is {options['interval']:g}.")
    if (options["source"] == "replay") != (options["replay"] is not None):
        raise CommandError("--source replay and --replay FILE belong together.")
    if embeds_valkey():
        try:
            embedded_valkey.binary()
        except embedded_valkey.UnsupportedError as error:
            raise CommandError(
                f"There is no embedded Valkey here: {error}. Set REDIS_URL to a Redis or Valkey server,"
                " such as redis://localhost:6379/0."
            ) from error


def embeds_valkey() -> bool:
    """Return whether `up` runs a Valkey of its own: where the settings name none."""
    return "REDIS_URL" not in getattr(settings, "NEXGENT", {})
