"""This project's settings with the tutorial way in place of `realtime`."""

from __future__ import annotations

import os

from nexgent.settings import *  # noqa: F403
from nexgent.settings import INSTALLED_APPS, NEXGENT

INSTALLED_APPS = [name for name in INSTALLED_APPS if name != "realtime"] + ["benchmarks.tutorial"]
ASGI_APPLICATION = "benchmarks.tutorial.consumers.application"
_layer = os.environ["BENCHMARK_LAYER"]
# Without these, sockets die or messages are lost: redis-py 8 allows 100 connections (MaxConnectionsError) and reads for
# 5 s, as long as RedisChannelLayer itself waits for a message (TimeoutError, which ends the consumer); and that layer
# keeps 100 messages for all sockets of a process together: most of a round to 1,000 is dropped silently.
_host = {"address": NEXGENT["REDIS_URL"], "max_connections": 20_000, "socket_timeout": 60}
_capacity = {"capacity": 100_000} if "core" in _layer else {}
CHANNEL_LAYERS = {
    "default": {"BACKEND": f"channels_redis.{_layer}", "CONFIG": {"hosts": [_host], **_capacity}}
}
