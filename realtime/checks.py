"""System checks of a project that has these apps: what would fail at the first request or socket fails at the start."""

from __future__ import annotations

from typing import Any

from channels.layers import InMemoryChannelLayer, get_channel_layer
from channels_redis.pubsub import RedisPubSubChannelLayer
from django.conf import settings
from django.core.checks import CheckMessage, Error, register
from django.core.exceptions import ImproperlyConfigured
from django.urls import NoReverseMatch

from realtime.conf import conf
from realtime.paths import base

PAGE = "docs/building-on-it.md shows a whole project."
REFUSING = "realtime.servers.bodies.refuse_bodies"


@register
def channel_layer(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """E001: a layer that loses what the hub waits for, or none: sockets would be told to try again for ever."""
    alias, problem = conf.CHANNEL_LAYER, None
    try:
        layer = get_channel_layer(alias)
    except (ImproperlyConfigured, TypeError, ValueError) as error:
        layer, problem = None, str(error)
    if isinstance(layer, RedisPubSubChannelLayer | InMemoryChannelLayer):
        return []
    name = "missing" if layer is None else f"{type(layer).__module__}.{type(layer).__name__}"
    return [
        Error(
            f'The channel layer "{alias}" is {problem or name}; sockets need the one of realtime.conf.channel_layer.',
            hint=f'CHANNEL_LAYERS["{alias}"] = channel_layer(NEXGENT), or name another in NEXGENT["CHANNEL_LAYER"].',
            id="realtime.E001",
        )
    ]


@register
def middleware(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """E002: a view would see an empty body where a body was refused."""
    if REFUSING in settings.MIDDLEWARE:
        return []
    hint = f"MIDDLEWARE = [{REFUSING!r}, …]: before those that read the body."
    return [Error("Requests whose body was refused would reach their views.", hint=hint, id="realtime.E002")]


@register
def urls(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """E003: the socket's path is below `realtime.urls`, which are nowhere."""
    try:
        base()
    except NoReverseMatch:
        hint = f'path("", include("realtime.urls")), or below a path of its own. {PAGE}'
        return [Error("The project does not include realtime.urls.", hint=hint, id="realtime.E003")]
    return []


@register
def time_zones(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """E004: times would have no time zone."""
    if settings.USE_TZ:
        return []
    return [
        Error("USE_TZ is off: times of positions have a time zone.", hint="USE_TZ = True", id="realtime.E004")
    ]
