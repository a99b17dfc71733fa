"""How channels_redis packs what travels over the channel layer: MessagePack, by msgspec."""

from __future__ import annotations

from typing import Any

import msgspec
from channels_redis.serializers import BaseMessageSerializer, registry


class Received(dict[str, Any]):
    """A message that has come."""

    __slots__ = ("bytes",)

    bytes: int
    """How long it was on its way."""


class MsgspecSerializer(BaseMessageSerializer):  # type: ignore[misc]
    """MessagePack that takes Decimals, UUIDs and datetimes, as strings; channels_redis' own raises on them."""

    as_bytes = staticmethod(msgspec.msgpack.Encoder().encode)
    from_bytes = staticmethod(msgspec.msgpack.Decoder().decode)

    def deserialize(self, message: bytes) -> Received:
        received = Received(super().deserialize(message))
        received.bytes = len(message)
        return received


def register_serializer() -> None:
    """Make `"serializer_format": "msgspec"` known to channels_redis."""
    registry.register_serializer("msgspec", MsgspecSerializer)
