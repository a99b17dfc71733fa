"""Real server processes and a real client for the tests that go over the wire."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import ssl
import subprocess
import sys
import time
from contextlib import asynccontextmanager, closing
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any, Protocol, Self
from urllib.parse import urlencode, urlsplit, urlunsplit

import httpx
from django.conf import settings
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from positions.accounts.families import RefreshToken
from realtime.testing.tokens import access_token as new_token
from realtime.testing.tokens import elsewhere
from testbed import forkserver
from testbed.processes import PATIENCE_SECONDS, ROOT, command, free_port
from tests.contract import check_from_client, check_from_server

__all__ = [
    "PATIENCE_SECONDS",
    "ROOT",
    "elsewhere",
    "free_port",
]  # for the tests, in addition to what is below

NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""`verify` of an httpx client that needs no TLS. By default each reads a file of certificates: 20 ms of CPU."""
http = httpx.Client(
    verify=NO_TLS,
    limits=httpx.Limits(max_keepalive_connections=0),
    timeout=PATIENCE_SECONDS,
)
"""For requests without TLS, each on a new connection."""


def database_url() -> str:
    """Return the address of the database that the tests use, for other processes."""
    if settings.DATABASES["default"]["ENGINE"].endswith("sqlite3"):
        return f"sqlite:///{settings.DATABASES['default']['NAME']}"
    parts = urlsplit(os.environ["DATABASE_URL"])
    return urlunsplit(parts._replace(path=f"/{settings.DATABASES['default']['NAME']}"))


def manage(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a command as a user does, with these variables as well."""
    return forkserver.run(
        [sys.executable, "manage.py", *arguments],
        env={**os.environ, **environment},
        cwd=ROOT,
        timeout=3 * PATIENCE_SECONDS,
    )


class Server:
    """A process of daphne, uvicorn or `runserver` that serves this project on the tests' database."""

    def __init__(
        self,
        kind: str,
        *,
        log: Path,
        port: int | str = 0,
        root: Path | str = ROOT,
        application: str = "nexgent.asgi:application",
        **environment: str,
    ) -> None:
        self.kind = kind
        self.application = application
        self.root = root
        self.port = int(port) or free_port()
        self.log = log
        self.url = f"http://127.0.0.1:{self.port}"
        self.ws_url = f"ws://127.0.0.1:{self.port}/ws"
        self.environment = {
            **os.environ,
            "DATABASE_URL": database_url(),
            "DJANGO_SETTINGS_MODULE": "tests.settings" if root == ROOT else "nexgent.settings",
            "PYTHONUNBUFFERED": "1",
            # Most clients here answer no pings, and a slow machine takes minutes for a test of them.
            "NEXGENT_DEAD_AFTER_SECONDS": "3600",
            **environment,
        }
        self.process: forkserver.Process | subprocess.Popen[bytes] | None = None

    def start(self) -> Self:
        with self.log.open("ab") as log:
            self.process = forkserver.start(
                command(self.kind, self.port, self.application),
                env=self.environment,
                cwd=self.root,
                stdout=log,
                stderr=log,
            )
        deadline = time.monotonic() + 2 * PATIENCE_SECONDS
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                break
            try:
                with closing(HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE_SECONDS)) as connection:
                    connection.request("GET", "/health/live")
                    if connection.getresponse().status == 200:
                        return self
            except (OSError, HTTPException):  # nobody listens yet, or an answer that is cut off
                pass
            time.sleep(0.02)  # between two checks of a condition, not instead of one
        raise AssertionError(f"{self.kind} did not start:\n{self.log.read_text()}")

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Send the signal, wait, and return the exit code."""
        assert self.process is not None
        if self.process.poll() is None:
            self.process.send_signal(number)
        try:
            return self.process.wait(2 * PATIENCE_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise AssertionError(f"{self.kind} did not end:\n{self.log.read_text()}") from None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        """End it, in order if it can: a process that is killed reports no coverage."""
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(PATIENCE_SECONDS)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()


class StartServer(Protocol):
    """The fixture `shared_server`."""

    def __call__(self, kind: str, **environment: str) -> Server: ...


def access_token(user: Any, *, read_only: bool = False, **claims: Any) -> str:
    """Return a token of a family of its own; where an event loop runs, too."""
    token = new_token(user, read_only=read_only)
    for name, value in claims.items():
        token[name] = value
    return str(token)


def refresh_token(user: Any) -> str:
    """Return one that the database does not know of."""
    token = RefreshToken()
    token["user_id"] = str(user.pk)
    return str(token)


class Client:
    """One WebSocket client. Every wait is bounded, and a failure shows what came instead.

    What it receives and sends must be as /api/asyncapi.yaml says. `connection.send` sends what no client should.
    """

    def __init__(self, connection: ClientConnection) -> None:
        self.connection = connection
        self.raw = ""
        self.initial: dict[str, Any] = {}

    async def receive(self) -> dict[str, Any]:
        """Return the next message; `raw` is its text."""
        self.raw = str(await asyncio.wait_for(self.connection.recv(), PATIENCE_SECONDS))
        message: dict[str, Any] = json.loads(self.raw)
        check_from_server(message)
        return message

    async def expect(self, kind: str) -> dict[str, Any]:
        """Return the next message, which must be of this type. A ping may come before it: the machine was slow."""
        message = await self.receive()
        while message["type"] == "ping" != kind:
            message = await self.receive()
        assert message["type"] == kind, f"expected {kind}, got {self.raw[:500]}"
        return message

    async def until(self, kind: str) -> dict[str, Any]:
        """Return the next message of this type, skipping others."""
        while True:
            message = await self.receive()
            if message["type"] == kind:
                return message

    async def send(self, **message: Any) -> None:
        check_from_client(message)
        await self.connection.send(json.dumps(message))

    async def closed(self) -> tuple[int | None, str, list[dict[str, Any]]]:
        """Wait for the close; return its code and reason as they came over the wire, and what came before it."""
        messages = []
        while True:
            try:
                messages.append(await self.receive())
            except ConnectionClosed:
                return self.connection.close_code, self.connection.close_reason or "", messages


@asynccontextmanager
async def client(
    server: Server, *, query: dict[str, str] | None = None, token: str = "", agent: Any = None, **options
):
    """Open a socket, to `agent` with `token` unless `query` says otherwise."""
    if query is None:
        query = {"token": token, "agentId": str(agent.pk if hasattr(agent, "pk") else agent)}
    url = f"{server.ws_url}?{urlencode(query)}"
    options.setdefault("open_timeout", PATIENCE_SECONDS)
    # What a test waits for has a limit already; a pong that a machine is slow with ends no socket.
    options.setdefault("ping_timeout", None)
    async with connect(url, **options) as connection:
        yield Client(connection)


@asynccontextmanager
async def watching(server: Server, user: Any, agent: Any, **options):
    """Open a socket and pass its first two messages; `initial` is the second."""
    async with client(server, token=access_token(user), agent=agent, **options) as socket_:
        await socket_.expect("connected")
        socket_.initial = (await socket_.expect("initial_data"))["data"]
        yield socket_
