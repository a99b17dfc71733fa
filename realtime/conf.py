"""The settings of sockets, and of the servers that hold them: keys of `NEXGENT` in the project's settings
(docs/settings.md), read as attributes of `conf`, which has those of `positions.conf`, too."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

from django.core.exceptions import ImproperlyConfigured

from positions.conf import PositionsSettings, embedded_valkey_url, prefix_for
from positions.declared import Duration, Items, Number, Secret, Text


def origin(text: str) -> str:
    """Return an origin as browsers send it (RFC 6454, section 6.1): lower case, without a default port.

    Raises ValueError, for wildcards too: Channels knows them, django-cors-headers does not.
    """
    parts = urlsplit(text.lower())
    host = parts.hostname or "*"
    if host[0] in "*." or "@" in parts.netloc or parts.path or parts.query or parts.fragment:
        raise ValueError(f"{text!r} is not an origin")
    is_default = parts.port == {"http": 80, "https": 443}.get(parts.scheme, -1)
    return f"{parts.scheme}://{parts.netloc.rpartition(':')[0] if is_default else parts.netloc}"


class RealtimeSettings(PositionsSettings):
    # Of CHANNEL_LAYERS: a project may have others for itself.
    CHANNEL_LAYER = Text("default")

    PING_INTERVAL_SECONDS = Duration(30.0)
    DEAD_AFTER_SECONDS = Duration(60.0)
    CLOSE_SECONDS = Duration(10.0)
    DRAIN_SECONDS = Duration(2.0, minimum=0)
    RETRY_AFTER_SECONDS = Duration(2.0)
    RECONCILE_SECONDS = Duration(5.0)
    PRESENCE_SECONDS = Duration(5.0)
    DATABASE_THREADS = Number(8)

    # In how many groups, by token, the price feed sends its rounds (docs/adr/0018). Servers follow the feed.
    PRICE_SHARDS = Number(1, maximum=1024)

    MAX_MESSAGE_BYTES = Number(16_384)
    INBOUND_MESSAGES_PER_SECOND = Number(10.0)
    INBOUND_BURST = Number(40)
    MAX_REPLAYED_EVENTS = Number(500)
    MAX_UNSENT_EVENTS = Number(1_000)
    MAX_UNSENT_BYTES = Number(4 * 1024**2)
    MAX_USER_UNSENT_BYTES = Number(64 * 1024**2)
    MAX_PROCESS_UNSENT_BYTES = Number(512 * 1024**2)

    MAX_SOCKETS = Number(20_000)
    CONNECTS_PER_SECOND = Number(200.0)
    CONNECT_BURST = Number(2_000)
    # Without a valid token: those of one address, and all.
    ADDRESS_CONNECTS_PER_SECOND = Number(5.0)
    ADDRESS_CONNECT_BURST = Number(100)
    STRANGER_CONNECTS_PER_SECOND = Number(50.0)
    STRANGER_CONNECT_BURST = Number(1_000)
    USER_SOCKETS = Number(1_000)
    AGENT_WATCHERS = Number(10)
    USER_CONNECTS_PER_SECOND = Number(50.0)
    USER_CONNECT_BURST = Number(1_000)
    USER_ROWS_PER_SECOND = Number(3_000.0)
    USER_ROWS_BURST = Number(60_000)

    # Pages of these origins may open sockets, beside those of ALLOWED_HOSTS.
    ALLOWED_ORIGINS = Items[str]((), origin, "origins such as https://app.example.org")

    # Of one user, or of one address without a valid token.
    REQUESTS_AT_ONCE = Number(8)
    BODY_SECONDS = Duration(30.0)
    HEAD_SECONDS = Duration(10.0)
    # For reading /metrics; "" turns it off.
    METRICS_TOKEN = Secret(shortest=16)

    @classmethod
    def contradictions(cls, given: Mapping[str, Any], *, prefix: str = "") -> Iterator[tuple[str, str]]:
        ping, dead = cls.among(given, "PING_INTERVAL_SECONDS"), cls.among(given, "DEAD_AFTER_SECONDS")
        if ping >= dead:
            problem = f"below {prefix}DEAD_AFTER_SECONDS, {dead:g}; it is {ping:g}"
            yield "PING_INTERVAL_SECONDS", f"{problem}: clients that only answer would count as dead"


conf = RealtimeSettings()


def channel_layer(nexgent: Mapping[str, Any]) -> dict[str, Any]:
    """Return the entry of CHANNEL_LAYERS for a project whose settings are `nexgent`.

    The layer survives a restart of the server behind it; what it loses is read from the database (docs/adr/0002).
    Raises ImproperlyConfigured where they do not say which server that is.
    """
    if not nexgent.get("REDIS_URL") and "DATA_DIR" not in nexgent:
        wanted = '"REDIS_URL", such as "redis://127.0.0.1:6379/0", or "DATA_DIR", the folder of the embedded Valkey'
        raise ImproperlyConfigured(f"NEXGENT must have {wanted}.")
    url = nexgent.get("REDIS_URL") or embedded_valkey_url(nexgent["DATA_DIR"])
    # Protocol 2: with 3, redis-py 8 formats every message for a log that is off, a quarter of the cost of receiving a
    # round of 200 prices. The time-outs: a server that swallows packets must not hold a publisher for ever.
    options = {"protocol": 2, "socket_connect_timeout": 1.0, "socket_timeout": 2.0}
    return {
        "BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer",
        "CONFIG": {
            "hosts": [{"address": shard, **options} for shard in nexgent.get("REDIS_URLS") or [url]],
            "prefix": nexgent.get("REDIS_PREFIX") or prefix_for(url),
            "serializer_format": "msgspec",
        },
    }
