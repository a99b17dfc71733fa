"""`manage.py up`: everything that this project needs, on one machine, with nothing to configure.

This module has the order of the steps; realtime.launcher.supervisor keeps the children running.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import signal
from typing import Any

from asgiref.sync import sync_to_async
from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.management import CommandError, CommandParser, call_command
from django.db import DatabaseError, connections
from django.urls import NoReverseMatch, get_script_prefix, reverse

from positions.conf import embedded_valkey_socket
from positions.demo_login import DEMO_PASSWORD, DEMO_USERNAME
from positions.errors import PositionsError
from positions.management import output
from positions.prices import sources
from positions.prices.quotes import PriceSource, SourceError
from positions.prices.replay import ReplaySource
from positions.services import demo
from realtime.conf import conf
from realtime.launcher import embedded_valkey
from realtime.launcher.addresses import as_in_url, is_loopback
from realtime.launcher.child import Child
from realtime.launcher.options import add_options, check_options, embeds_valkey
from realtime.launcher.processes import our_child, servers
from realtime.launcher.single_instance import AlreadyRunningError, only_instance
from realtime.launcher.staff_login import staff_login
from realtime.launcher.supervisor import ChildError, Supervisor
from realtime.launcher.terminal import has_terminal
from realtime.launcher.wait_for import (
    NotReadyError,
    until_http_answers,
    until_port_is_free,
    until_ready,
    until_redis_answers,
)
from realtime.paths import base

PORT_SECONDS = 20.0
"""How long children of a killed `up` may still use the port: realtime.launcher.watchdog.GRACE_SECONDS and a margin."""
EMBEDDED_VALKEY_SECONDS = 180.0
"""Longer than it takes to give up a child that cannot run, whose output says why: five starts, on a machine where each
takes half a minute, and 7.5 s of delays."""
REDIS_SECONDS = 5.0
SERVER_SECONDS = 60.0
REPLAY_POSITIONS = 50
"""How many tokens of a replayed file the demo buys at most."""


def pages(server: str) -> tuple[str, str | None]:
    """Return the addresses of the page and of the admin, wherever the project has them; None where it has no admin."""
    try:
        admin = "/" + reverse("admin:index").removeprefix(get_script_prefix())
    except NoReverseMatch:
        return server + base(), None
    return server + base(), server + admin


class Command(output.Command):
    help = "Start everything on this machine (Valkey, database, prices, server) and run until Ctrl-C."

    def add_arguments(self, parser: CommandParser) -> None:
        add_options(parser)

    admin: str | None = None
    """How to log in to the admin; None while nobody can."""

    def handle(self, **options: Any) -> None:
        self.options = options
        self.url, self.admin_url = pages(f"http://{as_in_url(options['host'])}:{options['port']}")
        check_options(options)
        with contextlib.ExitStack() as held:
            try:
                # It has the key that signs tokens, everyone's data and the socket that controls Valkey.
                embedded_valkey.make_private(conf.DATA_DIR)
                was_killed = held.enter_context(
                    only_instance(conf.DATA_DIR / "up.lock", note=f"pid {os.getpid()}, {self.url}")
                )
            except AlreadyRunningError as error:
                raise CommandError(f"`up` is already running ({error}) on {conf.DATA_DIR}.") from error
            except (OSError, embedded_valkey.UnsafeFolderError) as error:
                raise CommandError(f"NEXGENT_DATA_DIR: {error}.") from error
            try:
                asyncio.run(self._run(port_seconds=PORT_SECONDS if was_killed else 0.0))
            except (ChildError, NotReadyError, SourceError, embedded_valkey.UnsafeFolderError) as error:
                raise CommandError(str(error)) from error
            except DatabaseError as error:
                raise CommandError(f"The database cannot be used: {error}") from error
            except PositionsError as error:
                raise CommandError(f"The demo data cannot be created: {error}") from error

    async def _run(self, *, port_seconds: float) -> None:
        supervisor = Supervisor(self._say)
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            if signal.getsignal(number) != signal.SIG_IGN:  # nohup ignores SIGHUP
                loop.add_signal_handler(number, self._on_signal, supervisor)
        if self.options["processes"] > 1:
            closes = has_terminal() and signal.getsignal(signal.SIGHUP) != signal.SIG_IGN
            loop.add_signal_handler(signal.SIGHUP, self._on_hang_up, supervisor, closes)
        await supervisor.run(lambda: self._start(supervisor, port_seconds))
        self._say("Stopped.")

    def _on_signal(self, supervisor: Supervisor) -> None:
        self._say("Stopping … (press Ctrl-C again to stop at once)")
        supervisor.request_stop()

    def _on_hang_up(self, supervisor: Supervisor, closes: bool) -> None:
        """Replace the server processes; stop if `closes`, and the terminal has been closed."""
        if closes and not has_terminal():
            self._on_signal(supervisor)
            return
        self._say("Replacing the server processes, one after the other …")
        supervisor.request_replacement()

    async def _start(self, supervisor: Supervisor, port_seconds: float) -> None:
        await until_port_is_free(self.options["host"], self.options["port"], seconds=port_seconds)
        source, why = await self._choose_source()
        redis_seconds = REDIS_SECONDS
        if embeds_valkey():
            redis_seconds = EMBEDDED_VALKEY_SECONDS
            socket = embedded_valkey_socket(conf.DATA_DIR)
            embedded_valkey.make_private(socket.parent)
            supervisor.keep(
                our_child("valkey", "realtime.launcher.embedded_valkey", str(socket), str(conf.DATA_DIR))
            )
        for url in conf.REDIS_URLS:
            await until_redis_answers(url, seconds=redis_seconds)
        await sync_to_async(self._prepare_database)(source)
        supervisor.keep(self._prices(source))
        serving = self._servers()
        for server in serving:
            supervisor.keep(server)
        for server in serving:
            if server.ready_line:
                await until_ready(server.name, server.ready, seconds=SERVER_SECONDS + len(serving))
        await until_http_answers(f"{self.url}health/live", seconds=SERVER_SECONDS)
        self._say(self._summary(source, why))

    async def _choose_source(self) -> tuple[PriceSource, str]:
        """Resolve `auto`, and find out now whether the source can work. Raises SourceError."""
        name, why = self.options["source"], "as requested."
        if name == sources.AUTO:
            name, why = await sources.resolve_auto()
        source = await asyncio.to_thread(sources.make_source, name, replay=self.options["replay"])
        await source.aclose()
        return source, why

    def _prepare_database(self, source: PriceSource) -> None:
        call_command("migrate", verbosity=0, interactive=False)
        if self._has_demo():
            demo.create_demo()
            if isinstance(source, ReplaySource):
                prices = itertools.islice(source.first_prices().items(), REPLAY_POSITIONS)
                demo.create_replay_positions(dict(prices))
        if settings.DEBUG:
            self.admin = staff_login(conf.DATA_DIR)
        elif get_user_model()._default_manager.filter(is_staff=True, is_active=True).exists():
            self.admin = ""
        for connection in connections.all(initialized_only=True):
            connection.close()
            if hasattr(connection, "close_pool"):  # PostgreSQL
                connection.close_pool()

    def _prices(self, source: PriceSource) -> Child:
        arguments = ["broadcast_prices", "--source", source.name]
        if self.options["replay"] is not None:
            arguments += ["--replay", str(self.options["replay"])]
        if self.options["interval"] is not None:
            arguments += ["--interval", str(self.options["interval"])]
        return our_child("prices", "django", *arguments)

    def _servers(self) -> list[Child]:
        server, host, port = (self.options[name] for name in ("server", "host", "port"))
        try:
            return servers(server, host, port, self.options["processes"])
        except OSError as error:
            raise NotReadyError(f"Cannot listen on {host}:{port}: {error.strerror}.") from error

    def _has_demo(self) -> bool:
        return settings.DEBUG and not self.options["no_demo"]

    def _summary(self, source: PriceSource, why: str) -> str:
        """Return what someone who has just typed `make run` needs to know."""
        facts = {
            "Page": self.url,
            "Admin": self.admin_url
            and self.admin_url + (", once `manage.py createsuperuser` has run" if self.admin is None else ""),
            "": f"log in as {self.admin}" if self.admin and self.admin_url else None,
            "Login": f"{DEMO_USERNAME}, password {DEMO_PASSWORD}" if self._has_demo() else None,
            "Prices": f"{source.name}{' (made up)' if source.simulated else ''}: {why}",
            "Data": f"{conf.DATA_DIR}",
            "Database": connections["default"].display_name,
            "Server": f"{self.options['server']}, {_processes(self.options['processes'])}",
            "Stop": "Ctrl-C",
        }
        lines = ["", "Nexgent is up.", ""]
        lines += [f"  {name:8} {value}" for name, value in facts.items() if value]
        if settings.DEBUG and not is_loopback(self.options["host"]):
            lines += [
                "",
                f"  Warning: other machines can reach {self.options['host']}, and this is debug mode"
                + (", with a password that everyone knows." if self._has_demo() else "."),
                "  NEXGENT_DEBUG=0 turns debug mode off; NEXGENT_ALLOWED_HOSTS names the hosts to serve.",
            ]
        return "\n".join([*lines, ""])

    def _say(self, line: str) -> None:
        """Write to the terminal. If it has been closed, the shutdown must go on."""
        with contextlib.suppress(OSError):
            self.stdout.write(line)
            self.stdout.flush()


def _processes(count: int) -> str:
    return "1 process" if count == 1 else f"{count} processes; SIGHUP to pid {os.getpid()} replaces them"
