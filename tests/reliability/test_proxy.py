"""nginx with the sample configuration: how many sockets it carries, and what a reload does to them."""

from __future__ import annotations

import asyncio
import http
import resource
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager
from pathlib import Path

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosedError
from websockets.http11 import Request, Response

from tests.live import PATIENCE_SECONDS
from tests.reliability.proxy import Proxy, nginx
from tests.waiting import eventually

SOCKETS = 1100
"""More than the 512, 768 or 1024 connections of other nginx.conf allow, two for each socket."""


async def _echo(connection: ServerConnection) -> None:
    async for message in connection:
        await connection.send(message)


def _answer(connection: ServerConnection, request: Request) -> Response | None:
    return None if request.path.startswith("/ws") else connection.respond(http.HTTPStatus.OK, "")


@asynccontextmanager
async def proxied(folder: Path) -> AsyncIterator[Proxy]:
    """nginx before a server in this event loop, which sends back what comes over sockets."""
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))  # each socket takes two here
    async with serve(_echo, "127.0.0.1", 0, process_request=_answer, compression=None) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        proxy = Proxy(nginx(), folder, [port, port])
        with ExitStack() as stack:
            await asyncio.to_thread(stack.enter_context, proxy)
            yield proxy


def socket_through(proxy: Proxy) -> connect:
    return connect(f"{proxy.ws_url}?token=x", open_timeout=PATIENCE_SECONDS, compression=None)


async def works(socket: ClientConnection) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        await socket.send("still here?")
        assert await socket.recv() == "still here?"


async def test_one_worker_carries_more_sockets_than_the_defaults_of_nginx_allow(tmp_path: Path):
    async with proxied(tmp_path) as proxy, AsyncExitStack() as stack:
        sockets = [await stack.enter_async_context(socket_through(proxy)) for _ in range(SOCKETS)]
        for socket in (sockets[0], sockets[-1]):
            await works(socket)
    assert "worker_connections are not enough" not in proxy.logs()


async def reload(proxy: Proxy) -> None:
    """Reload, and return when only a new worker accepts sockets."""
    before = proxy.workers()
    await asyncio.to_thread(proxy.reload)

    async def has_changed() -> bool:
        return bool(proxy.workers()) and not before & proxy.workers()

    await eventually(has_changed, "a new worker has taken over")


async def test_reload_leaves_sockets_to_the_old_worker_until_the_documented_time_is_over(tmp_path: Path):
    async with proxied(tmp_path) as proxy, socket_through(proxy) as before:
        configuration = tmp_path / "nginx.conf"
        text = configuration.read_text()
        assert "worker_shutdown_timeout 1h;" in text
        configuration.write_text(text.replace("worker_shutdown_timeout 1h;", "worker_shutdown_timeout 1s;"))
        await reload(proxy)
        await works(before)
        async with socket_through(proxy) as short:
            await reload(proxy)
            with pytest.raises(ConnectionClosedError) as closed:
                async with asyncio.timeout(PATIENCE_SECONDS):
                    await short.recv()
            assert closed.value.rcvd is None  # cut off: its client resumes
        await works(before)
        async with socket_through(proxy) as after:
            await works(after)
