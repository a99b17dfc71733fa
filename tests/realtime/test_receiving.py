"""What the channel layer delivers: what has arrived together is read together, and nothing is lost or changed."""

from __future__ import annotations

import asyncio
import contextlib
import gc
from pathlib import Path
from typing import Any

import pytest
from channels.layers import get_channel_layer
from channels_redis.pubsub import RedisPubSubChannelLayer
from redis.asyncio import Connection
from redis.asyncio.client import PubSub
from redis.asyncio.connection import AbstractConnection

from positions.valkey import Unavailable
from realtime.conf import conf
from realtime.publish import groups
from realtime.publish.connections import reconnect
from realtime.publish.receiving import arrived, install, split
from testbed.backends import Valkey
from testbed.processes import PATIENCE_SECONDS

COUNT = 100
STEPS = 20
"""Of the event loop, to join a group and more."""


def bulk(data: bytes) -> bytes:
    return b"$%d\r\n%b\r\n" % (len(data), data)


def message(channel: bytes, data: bytes) -> bytes:
    return b"*3\r\n" + bulk(b"message") + bulk(channel) + bulk(data)


JOINED = b"*3\r\n" + bulk(b"subscribe") + bulk(b"agent.1") + b":7\r\n"
LEFT = b"*3\r\n" + bulk(b"unsubscribe") + bulk(b"agent.1") + b":6\r\n"
MESSAGES = [(b"a", b"1"), (b"a", b"\r\n*3\r\n$7\r\nmessage\r\n"), (b"", b""), (b"b\r\n", bytes(range(256)))]
STREAM = JOINED + b"".join(message(*each) + JOINED for each in MESSAGES)


def test_messages_are_told_from_the_news_of_joined_channels():
    assert split(STREAM) == (MESSAGES, len(STREAM))


@pytest.mark.parametrize("begin", [b"", message(b"a", b"1"), JOINED])
@pytest.mark.parametrize(
    "rest",
    [
        LEFT,
        b"*2\r\n" + bulk(b"pong") + bulk(b""),
        b"-ERR went wrong\r\n",
        b"+OK\r\n",
        b"*4\r\n" + bulk(b"pmessage"),
        b"*3\r\n" + bulk(b"message") + b"$-1\r\n",
        b"$3\r\nabc\r\n",
        b"",
    ],
)
def test_everything_else_is_left_as_it_is(begin: bytes, rest: bytes):
    found, end = split(begin + rest + message(b"a", b"2"))
    assert end == len(begin) or not rest
    assert found[:1] == [(b"a", b"1")] * (begin not in {b"", JOINED}) or not rest


def test_message_that_has_not_arrived_as_a_whole_is_left_until_it_has():
    for cut in range(len(STREAM)):
        found, end = split(STREAM[:cut])
        assert end <= cut
        more, last = split(STREAM[end:])
        assert [*found, *more] == MESSAGES, cut
        assert end + last == len(STREAM)


async def test_many_messages_of_many_groups_arrive_once_and_in_order(hub, monkeypatch):
    handled: list[Any] = []
    handle_message = PubSub.handle_message

    async def counted(self: PubSub, *arguments: Any) -> Any:
        handled.append(arguments)
        return await handle_message(self, *arguments)

    monkeypatch.setattr(PubSub, "handle_message", counted)
    layer: Any = get_channel_layer(conf.CHANNEL_LAYER)
    install(layer)
    channel = await layer.new_channel()
    names = [f"receiving.{number}" for number in range(COUNT)]
    async with asyncio.timeout(PATIENCE_SECONDS):
        await groups.join(layer, names, channel)
        await groups.send(layer, [(names[0], {"type": "joined"})])
        assert (await layer.receive(channel))["type"] == "joined"
        handled.clear()
        sent = [
            {"type": "sent", "number": number, "text": "x" * (100_000 if number == COUNT // 2 else 10)}
            for number in range(COUNT)
        ]
        await groups.send(layer, [*zip(names, sent, strict=True)])
        await groups.leave(layer, names[1:], channel)
        await groups.send(layer, [(names[0], {"type": "last"})])
        received = [dict(await layer.receive(channel)) for _ in range(COUNT + 1)]
    assert received == [*sent, {"type": "last"}]
    assert len(handled) < 2 * COUNT  # each that was left, and few of the messages


# The receiver and the command may make redis-py connect at the same time: it leaves one of the two to the collector.
@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")
@pytest.mark.parametrize("change", [groups.join, groups.leave])
async def test_connection_that_is_closed_while_a_group_is_joined_or_left_is_an_outage(own_valkey, change):
    """At whichever step: the receiver closes it when its reading fails. Other errors would end sockets with 1011."""
    layer: Any = get_channel_layer(conf.CHANNEL_LAYER)
    install(layer)
    channel = await layer.new_channel()
    names = [f"closed.{number}" for number in range(STEPS)]
    await groups.join(layer, ["closed", *names] if change is groups.leave else ["closed"], channel)
    (shard,) = layer._shards
    for steps, name in enumerate(names):
        task = asyncio.ensure_future(change(layer, [name], channel))
        for _ in range(steps):
            await asyncio.sleep(0)
        await shard._pubsub.connection.disconnect(nowait=True)
        with contextlib.suppress(*Unavailable):
            await task
    gc.collect()  # or the collector finds it in another test


async def test_receiver_that_is_cancelled_while_it_reconnects_ends(own_valkey, monkeypatch):
    """Before Python 3.12, `asyncio.wait_for` may swallow a cancellation, and redis-py sends commands in it."""
    layer: Any = get_channel_layer(conf.CHANNEL_LAYER)
    install(layer)
    await groups.join(layer, ["reconnected"], await layer.new_channel())
    (shard,) = layer._shards
    receiver = shard._receive_task
    flushing: asyncio.Future[asyncio.Task[None]] = asyncio.get_running_loop().create_future()
    send = AbstractConnection._send_packed_command

    async def send_and_flush(self: AbstractConnection, command: Any) -> None:
        await send(self, command)
        if not flushing.done():  # it cancels the receiver before that learns that its command is sent
            flushing.set_result(asyncio.ensure_future(layer.flush()))

    monkeypatch.setattr(AbstractConnection, "_send_packed_command", send_and_flush)
    await shard._pubsub.connection.disconnect(nowait=True)
    async with asyncio.timeout(PATIENCE_SECONDS):
        flush = await flushing
    ended, _ = await asyncio.wait({flush}, timeout=PATIENCE_SECONDS)
    receiver.cancel()  # again, or what closes the layer after this test would wait for it, too
    assert ended == {flush}


async def test_layer_whose_first_try_to_reconnect_fails_is_subscribed_to_everything_after_the_next(
    tmp_path: Path,
):
    """The connections forget what they were subscribed to; else a process would hear nothing until its restart."""
    with Valkey(tmp_path / "valkey") as server:
        layer = RedisPubSubChannelLayer(hosts=[server.url])
        channel = await layer.new_channel()
        await groups.join(layer, ["kept", "left"], channel)
        await groups.leave(layer, ["left"], channel)
        server.stop()
        with pytest.raises(Unavailable):
            await reconnect(layer)
        server.start()
        await reconnect(layer)
        async with asyncio.timeout(PATIENCE_SECONDS):
            await layer.group_send("left", {"type": "not.heard"})
            await layer.group_send("kept", {"type": "heard"})
            await layer.send(channel, {"type": "heard.alone"})
            assert [(await layer.receive(channel))["type"] for _ in range(2)] == ["heard", "heard.alone"]
        await layer.flush()


async def test_message_that_redis_py_has_a_part_of_comes_first():
    inner = message(b"a", b"1")
    whole = message(b"b", inner)
    connection: Any = Connection(protocol=2)
    connection._reader = reader = asyncio.StreamReader()
    connection._parser.on_connect(connection)
    reader.feed_data(whole[: -len(inner) - 2])  # all but what it says
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(connection._parser.read_response(disable_decoding=True), 0.01)
    reader.feed_data(whole[-len(inner) - 2 :] + inner)
    assert await arrived(connection) == []
    assert await connection._parser.read_response(disable_decoding=True) == [b"message", b"b", inner]
    assert await arrived(connection) == [(b"a", b"1")]
