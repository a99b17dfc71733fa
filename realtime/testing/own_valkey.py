"""A Valkey for one run of tests, so that they neither need the developer's nor touch it."""

from __future__ import annotations

import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import redis
from channels.layers import InMemoryChannelLayer, get_channel_layer
from django.conf import settings
from django.test import override_settings

from positions import valkey
from realtime.conf import channel_layer, conf
from realtime.launcher.embedded_valkey import UnsupportedError, binary
from realtime.testing import PATIENCE_SECONDS


@contextmanager
def own_valkey() -> Iterator[str]:
    """Start one, and have the settings name it, a channel layer that is not in memory, too; yield its URL.

    Where there is none for this machine (the extra `embedded`), the URL of the settings.
    """
    try:
        server = binary()
    except UnsupportedError:
        yield conf.REDIS_URL
        return
    with tempfile.TemporaryDirectory(prefix="nx-", ignore_cleanup_errors=True) as folder:
        socket = Path(folder, "valkey.sock")
        command: list[str | Path] = [
            server,
            "--port",
            "0",
            "--unixsocket",
            socket,
            "--dir",
            folder,
            "--save",
            "",
        ]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL)  # noqa: S603
        try:
            _wait_for(socket, process)
            nexgent = {**settings.NEXGENT, "REDIS_URL": f"unix://{socket}"}
            nexgent.pop("REDIS_URLS", None)
            layers = dict(settings.CHANNEL_LAYERS)
            if not isinstance(get_channel_layer(conf.CHANNEL_LAYER), InMemoryChannelLayer):
                layers[conf.CHANNEL_LAYER] = channel_layer(nexgent)
            with override_settings(NEXGENT=nexgent, CHANNEL_LAYERS=layers):
                _forget_client()
                try:
                    yield nexgent["REDIS_URL"]
                finally:
                    _forget_client()
        finally:
            process.terminate()
            process.wait(PATIENCE_SECONDS)


def _forget_client() -> None:
    """Close this process's connections to whatever the settings named until now."""
    valkey.client().close()
    valkey.client.cache_clear()


def _wait_for(socket: Path, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    with redis.Redis(unix_socket_path=str(socket)) as client:
        while True:
            try:
                client.ping()
                return
            except redis.ConnectionError:
                if process.poll() is not None or time.monotonic() > deadline:
                    raise AssertionError("the tests' Valkey did not start") from None
                time.sleep(0.01)  # between two checks of a condition, not instead of one
