"""One socket's outgoing stream, against a connection that can stop taking bytes."""

from __future__ import annotations

import asyncio
import inspect
import json
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from autobahn.exception import Disconnected
from uvicorn.protocols.utils import ClientDisconnected
from uvicorn.protocols.websockets import websockets_sansio_impl
from websockets.client import ClientProtocol
from websockets.protocol import OPEN
from websockets.uri import parse_uri

from realtime.hub import disconnects
from realtime.hub.joined_frames import MOST_BYTES
from realtime.hub.outbox import Event, Outbox
from realtime.hub.price_keys import PriceKeys
from realtime.hub.token_index import TokenIndex
from realtime.protocol.messages import CloseReason


class Connection:
    """Takes messages as a server does: at once while `reading` is set; else the send waits (uvicorn).

    With `direct`, texts and frames have the way past ASGI, too, that a connection finds to the servers that it knows.
    """

    direct = False

    def __init__(self) -> None:
        self.sent: list[dict] = []
        self.reading = asyncio.Event()
        self.reading.set()
        self.gone = False
        self.writes = 0
        """Of frames."""

    async def send(self, message: dict) -> None:
        if not self.reading.is_set():
            await self.reading.wait()
        if self.gone:
            raise OSError("gone")
        self.sent.append(message)

    def write_now(self, text: str | bytes) -> bool:
        if not self.direct or not self.reading.is_set() or self.gone:
            return False
        self.sent.append({"type": "websocket.send", "text": text})
        return True

    def write_frame(self, frame: bytes) -> bool:
        """Take one frame, or several that were joined: all of them or none."""
        self.writes += 1
        client: Any = ClientProtocol(parse_uri("ws://localhost/"), state=OPEN)
        client.receive_data(frame)
        return all(self.write_now(each.data.decode()) for each in client.events_received())

    @property
    def texts(self) -> list[str]:
        return [message["text"] for message in self.sent if message["type"] == "websocket.send"]


@pytest.fixture(autouse=True, params=[False, True], ids=["over ASGI", "direct"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each stream takes either way in turn, and no test can tell which."""
    monkeypatch.setattr(Connection, "direct", request.param)


def stream(
    connection: Connection,
    *,
    max_unsent: int = 5,
    index: TokenIndex[Outbox] | None = None,
    gaps=None,
    on_close: Callable[[Outbox], None] = lambda outbox: None,
    on_new_token: Callable[[Outbox, Sequence[str]], None] = lambda outbox, tokens: None,
    **bounds: Any,
) -> Outbox:
    return Outbox(
        connection.send,
        connection.write_now,
        connection.write_frame if connection.direct else None,
        user_id=1,
        agent_id="a",
        index=index or TokenIndex[Outbox](),
        max_unsent=max_unsent,
        retry_after_seconds=2.0,
        on_gap=(gaps if gaps is not None else []).append,
        on_lost=lambda outbox: None,
        on_close=on_close,
        on_new_token=on_new_token,
        **bounds,
    )


PRICES = {"A": "{}"}


def event(seq: int, token: str | None = None, position_id: str = "p") -> Event:
    return Event(seq, f"event {seq}", position_id, token)


async def settled() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_write_to_a_reading_client_is_sent_before_it_returns():
    connection = Connection()
    stream(connection).write("now")
    assert connection.texts == ["now"]


async def test_events_before_the_snapshot_follow_it_and_those_in_it_are_dropped():
    connection = Connection()
    outbox = stream(connection)
    for seq in (3, 4, 5, 6):
        outbox.event(event(seq))
    assert connection.texts == []
    outbox.start(["snapshot 4"], 4, [])
    assert connection.texts == ["snapshot 4", "event 5", "event 6"]


async def test_event_that_was_sent_already_is_dropped():
    connection = Connection()
    outbox = stream(connection)
    outbox.start(["snapshot"], 0, [])
    for seq in (1, 1, 2, 1, 2):
        outbox.event(event(seq))
    assert connection.texts == ["snapshot", "event 1", "event 2"]


async def test_what_is_joined_is_one_write_in_order():
    connection = Connection()
    outbox = stream(connection, max_unsent=50, on_new_token=lambda outbox, tokens: outbox.prices(PRICES, "t"))
    with outbox.joining():
        outbox.start(["subscribed"], 0)
        for seq in range(1, 21):
            outbox.event(event(seq))
        outbox.event(event(21, "A"))
        outbox.event(event(22, "A"))
        assert connection.texts == [] or not connection.direct
    assert connection.writes == connection.direct
    sent = ["subscribed", *(f"event {seq}" for seq in range(1, 22))]
    assert connection.texts[:22] == sent
    assert is_prices(connection.sent[22])  # of the token that the event before it brought
    assert connection.texts[23:] == ["event 22"]


async def test_what_is_joined_for_a_client_that_does_not_read_waits_in_order():
    connection = Connection()
    connection.reading.clear()
    outbox = stream(connection)
    with outbox.joining():
        outbox.start(["subscribed"], 0)
        for seq in range(1, 5):
            outbox.event(event(seq))
    assert outbox.waiting == 4
    connection.reading.set()
    await settled()
    assert connection.texts == ["subscribed", *(f"event {seq}" for seq in range(1, 5))]


async def test_more_joined_than_may_be_unsent_ends_the_stream():
    connection = Connection()
    connection.reading.clear()
    outbox = stream(connection, max_unsent=5)
    with outbox.joining():
        outbox.start([], 0)
        for seq in range(1, 21):
            outbox.event(event(seq))
    assert outbox.closed
    connection.reading.set()
    await settled()
    assert connection.texts[0] == "event 1"
    assert json.loads(connection.texts[1])["type"] == "closing"
    assert connection.sent[-1]["code"] == 1013


async def test_close_comes_after_what_was_joined_before_it():
    connection = Connection()
    outbox = stream(connection)
    with outbox.joining():
        outbox.start(["snapshot"], 0)
        outbox.close(CloseReason.INTERNAL_ERROR)
        outbox.event(event(1))
    await settled()
    assert connection.texts[0] == "snapshot"
    assert [message["type"] for message in connection.sent] == [
        "websocket.send", "websocket.send", "websocket.close"
    ]  # fmt: skip


async def test_long_message_among_those_joined_keeps_its_place():
    connection = Connection()
    outbox = stream(connection)
    long = "x" * MOST_BYTES
    with outbox.joining():
        outbox.start(["subscribed", long], 0)
        outbox.event(event(1))
    assert connection.texts == ["subscribed", long, "event 1"]


async def test_event_after_a_gap_waits_until_the_gap_is_filled():
    connection = Connection()
    gaps: list[Outbox] = []
    outbox = stream(connection, gaps=gaps)
    outbox.start(["snapshot"], 0, [])
    outbox.event(event(3))
    assert connection.texts == ["snapshot"]
    assert gaps == [outbox]
    assert outbox.has_gap
    outbox.event(event(1))
    outbox.event(event(2))
    assert connection.texts == ["snapshot", "event 1", "event 2", "event 3"]
    assert not outbox.has_gap


async def test_compact_prices_for_a_client_that_does_not_read_are_conflated_as_updates_are():
    connection = Connection()
    outbox = stream(connection)
    outbox.price_keys = keys = PriceKeys()
    outbox.start(['{"type":"initial_data"}'], 0, [("A", "p"), ("B", "q")])
    connection.reading.clear()
    outbox.write("pending")

    def update(token: str, price: int, more: str = "") -> dict[str, str]:
        return {token: f'{{"tokenAddress":"{token}","price":{price},"priceUsd":null{more}}}'}

    outbox.prices(update("B", 1), "then")
    outbox.send_prices(keys.rows(update("A", 2, ',"priceStatus":"thin"') | update("C", 9)))
    outbox.prices(update("A", 3), "then")
    connection.reading.set()
    await settled()
    batch = json.loads(connection.texts[-1])
    assert {row[0]: row[1:] for row in batch["u"]} == {
        keys.of("A"): [3, None, "thin"],
        keys.of("B"): [1, None],
    }
    assert set(batch) == {"type", "t", "u"}


async def test_prices_for_a_client_that_does_not_read_are_conflated_to_the_newest_of_each_token():
    connection = Connection()
    outbox = stream(connection)
    outbox.start(["snapshot"], 0, [("A", "1"), ("B", "2")])
    connection.reading.clear()
    outbox.write("blocked")
    for round_ in range(100):
        outbox.prices({"A": f'{{"a":{round_}}}'}, "t")
    outbox.prices({"B": '{"b":1}'}, "t")
    connection.reading.set()
    await settled()
    assert connection.texts[:2] == ["snapshot", "blocked"]
    assert [json.loads(text)["data"]["updates"] for text in connection.texts[2:]] == [[{"a": 99}, {"b": 1}]]


def send_price(outbox: Outbox, tokens: Sequence[str]) -> None:
    """Send a price that consists of the token's name."""
    outbox.prices({token: f'"{token}"' for token in tokens}, "t")


def updates(connection: Connection) -> list[object]:
    """Return the text of each event, and the updates of each price batch."""
    return [
        text if text.startswith("event") else json.loads(text)["data"]["updates"] for text in connection.texts
    ]


async def test_token_new_to_the_stream_has_its_price_sent_after_its_event():
    connection = Connection()
    outbox = stream(connection, on_new_token=send_price)
    outbox.start([], 0, [("A", "1")])
    for seq, (token, position_id) in enumerate([("A", "2"), ("B", "3"), ("B", "3"), ("C", "3")], start=1):
        outbox.event(event(seq, token, position_id))
    assert updates(connection) == ["event 1", "event 2", ["B"], "event 3", "event 4", ["C"]]


async def test_price_of_a_new_token_waits_with_its_event_for_a_client_that_does_not_read():
    connection = Connection()
    outbox = stream(connection, on_new_token=send_price)
    outbox.start([], 0, [])
    connection.reading.clear()
    outbox.event(event(1, "A", "1"))
    outbox.event(event(2, "B", "2"))
    connection.reading.set()
    await settled()
    assert updates(connection) == ["event 1", "event 2", ["A", "B"]]


async def test_position_whose_token_changes_gets_no_more_prices_of_the_old_one():
    connection, index = Connection(), TokenIndex[Outbox]()
    outbox = stream(connection, index=index)
    outbox.start([], 0, [("A", "1")])
    outbox.event(event(1, "B", "1"))
    assert (index.holders(["A"]), index.holders(["B"])) == (set(), {outbox})


async def test_events_for_a_client_that_does_not_read_are_all_kept_in_order():
    connection = Connection()
    outbox = stream(connection)
    outbox.start(["snapshot"], 0, [])
    connection.reading.clear()
    for seq in range(1, 6):
        outbox.event(event(seq))
    connection.reading.set()
    await settled()
    assert connection.texts == ["snapshot", *(f"event {seq}" for seq in range(1, 6))]


async def test_client_too_slow_for_its_events_is_closed_with_1013():
    connection = Connection()
    outbox = stream(connection, max_unsent=3)
    outbox.start(["snapshot"], 0, [])
    connection.reading.clear()
    for seq in range(1, 20):
        outbox.event(event(seq))
    connection.reading.set()
    await settled()
    assert connection.texts[:2] == ["snapshot", "event 1"]  # the one that was being written
    assert json.loads(connection.texts[2])["data"]["reason"] == "Try again later"
    assert connection.sent[3:] == [{"type": "websocket.close", "code": 1013, "reason": "Try again later"}]


async def test_events_that_pile_up_before_the_snapshot_close_with_1013():
    connection = Connection()
    outbox = stream(connection, max_unsent=3)
    for seq in range(1, 6):
        outbox.event(event(seq))
    assert connection.sent[-1]["code"] == 1013


async def test_nothing_is_sent_after_the_close():
    connection = Connection()
    outbox = stream(connection)
    outbox.start(["snapshot"], 0, [("A", "1")])
    outbox.close(CloseReason.REPLACED)
    outbox.close(CloseReason.TIMEOUT)
    outbox.write("late")
    outbox.event(event(1))
    outbox.prices({"A": "{}"}, "t")
    await settled()
    assert [message["type"] for message in connection.sent] == [
        "websocket.send",
        "websocket.send",
        "websocket.close",
    ]
    assert connection.sent[-1]["reason"] == "New connection established"


async def test_close_waits_behind_what_a_slow_client_has_still_to_read():
    connection = Connection()
    outbox = stream(connection)
    outbox.start(["snapshot"], 0, [])
    connection.reading.clear()
    outbox.event(event(1))
    outbox.event(event(2))
    outbox.close(CloseReason.REPLACED)
    connection.reading.set()
    await settled()
    assert connection.texts[:3] == ["snapshot", "event 1", "event 2"]
    assert connection.sent[-1]["type"] == "websocket.close"


async def test_connection_that_is_gone_ends_the_stream_quietly():
    connection = Connection()
    index = TokenIndex[Outbox]()
    outbox = stream(connection, index=index)
    outbox.start(["snapshot"], 0, [("A", "1")])
    connection.reading.clear()
    outbox.write("blocked")
    connection.gone = True
    connection.reading.set()
    await settled()
    outbox.write("late")
    assert connection.texts == ["snapshot"]
    assert index.holders(["A"]) == set()


async def test_token_stays_held_until_the_last_position_in_it_closes():
    connection, index = Connection(), TokenIndex[Outbox]()
    outbox = stream(connection, index=index)
    outbox.start(["snapshot"], 0, [("A", "one"), ("A", "two")])
    outbox.event(event(1, None, "one"))
    assert index.holders(["A"]) == {outbox}
    outbox.event(event(2, None, "two"))
    assert index.holders(["A"]) == set()
    outbox.event(event(3, "B", "three"))
    assert index.holders(["B"]) == {outbox}


async def test_index_follows_the_events_order_and_not_that_of_their_arrival():
    """A close that overtakes its opening must not leave the token held forever."""
    connection, index = Connection(), TokenIndex[Outbox]()
    outbox = stream(connection, index=index)
    outbox.start(["snapshot"], 0, [])
    outbox.event(event(2, None, "one"))
    outbox.event(event(1, "A", "one"))
    assert connection.texts == ["snapshot", "event 1", "event 2"]
    assert index.holders(["A"]) == set()


async def test_event_that_overflows_a_blocked_stream_ends_it_cleanly():
    connection = Connection()
    outbox = stream(connection, max_unsent=5)
    connection.reading.clear()
    for _ in range(3):
        outbox.write("waits")
    for seq in range(2, 7):
        outbox.event(event(seq))
    outbox.start(["snapshot"], 1, [])
    connection.reading.set()
    await settled()
    assert connection.sent[-1]["code"] == 1013


class Failing(Connection):
    """Fails to send what `fails` says, in its own way: at once, or after it has waited."""

    def __init__(self, error: BaseException, *, at_once: bool, fails: Callable[[dict], bool]) -> None:
        super().__init__()
        self.error, self.at_once, self.fails = error, at_once, fails

    async def send(self, message: dict) -> None:
        if self.fails(message):
            if not self.at_once:
                await asyncio.sleep(0)
            raise self.error
        await super().send(message)

    def write_now(self, text: str | bytes) -> bool:
        return False


@pytest.fixture(params=[True, False], ids=["at once", "later"])
def at_once(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


def is_prices(message: dict) -> bool:
    return "price_update_batch" in message.get("text", "")


@pytest.mark.parametrize(
    "error",
    [
        OSError("gone"),
        ClientDisconnected(),
        Disconnected("Attempt to send on a closed protocol"),
        RuntimeError("Unexpected ASGI message 'websocket.send', after sending 'websocket.close'."),
        asyncio.CancelledError(),
    ],
    ids=lambda error: type(error).__name__,
)
async def test_send_that_says_the_client_is_gone_ends_the_stream_without_a_log_line(error, at_once, caplog):
    """Each as its server raises it: uvicorn, daphne, uvicorn after its keepalive has given a client up."""
    closed: list[Outbox] = []
    index = TokenIndex[Outbox]()
    connection = Failing(error, at_once=at_once, fails=is_prices)
    outbox = stream(connection, index=index, on_close=closed.append)
    outbox.start(["snapshot"], 0, [("A", "1")])
    outbox.prices({"A": "{}"}, "t")
    await settled()
    assert closed == [outbox]
    assert index.holders(["A"]) == set()
    assert connection.texts == ["snapshot"]
    assert caplog.records == []


async def test_send_that_fails_otherwise_is_logged_and_ends_only_its_own_stream_with_1011(at_once, caplog):
    closed: list[Outbox] = []
    index = TokenIndex[Outbox]()
    connection = Failing(ValueError("a fault"), at_once=at_once, fails=is_prices)
    broken = stream(connection, index=index, on_close=closed.append)
    broken.start(["snapshot"], 0, [("A", "1")])
    broken.prices({"A": "{}"}, "t")
    broken.write("waits")
    await settled()
    assert closed == [broken]
    assert index.holders(["A"]) == set()
    assert [json.loads(text)["type"] for text in connection.texts[1:]] == ["closing"]
    assert connection.sent[-1] == {"type": "websocket.close", "code": 1011, "reason": "Internal server error"}
    (record,) = caplog.records
    assert record.levelname == "ERROR"
    assert record.getMessage() == "agent a: a message could not be sent"
    assert record.exc_info is not None
    assert repr(record.exc_info[1]) == "ValueError('a fault')"


async def test_send_that_always_fails_ends_its_stream_with_one_traceback(at_once, caplog):
    closed: list[Outbox] = []
    connection = Failing(ValueError("a fault"), at_once=at_once, fails=lambda message: True)
    broken = stream(connection, on_close=closed.append)
    broken.start(["snapshot"], 0, [("A", "1")])
    for _ in range(3):  # the message, what announces the close, the close
        await settled()
    broken.write("late")
    assert closed == [broken]
    assert connection.sent == []
    assert [record.levelname for record in caplog.records] == ["ERROR", "WARNING", "WARNING"]
    assert caplog.text.count("Traceback") == 1


def test_uvicorn_says_that_it_has_closed_a_connection_in_the_words_that_are_looked_for():
    assert disconnects._CLOSED_BY_UVICORN in inspect.getsource(websockets_sansio_impl)


async def test_prices_before_the_snapshot_are_left_to_it():
    connection = Connection()
    outbox = stream(connection)
    outbox.prices({"A": '"old"'}, "t")
    outbox.start(["snapshot"], 0, [("A", "1")])
    connection.reading.clear()
    outbox.write("blocked")
    connection.reading.set()
    await settled()
    assert connection.texts == ["snapshot", "blocked"]


def snapshot(text: str = "") -> str:
    return f'{{"type":"initial_data","data":"{text}"}}'


async def test_client_too_slow_for_its_bytes_is_closed_with_1013():
    connection = Connection()
    outbox = stream(connection, max_unsent=100, max_unsent_bytes=3_500)
    outbox.start(["snapshot"], 0, [])
    connection.reading.clear()
    for seq in range(1, 5):
        outbox.event(Event(seq, f"event {seq}".ljust(1_000), "p", None))
    closed = [outbox.closed]  # the first is being written
    outbox.event(Event(5, "event 5".ljust(1_000), "p", None))
    assert [*closed, outbox.closed] == [None, CloseReason.TRY_LATER.value]
    connection.reading.set()
    await settled()
    assert connection.sent[-1]["code"] == 1013


async def test_events_of_many_bytes_before_the_snapshot_close_with_1013():
    connection = Connection()
    outbox = stream(connection, max_unsent=100, max_unsent_bytes=3_500)
    for seq in (2, 3, 4, 5):
        assert outbox.closed is None
        outbox.event(Event(seq, f"event {seq}".ljust(1_000), "p", None))
    assert outbox.closed == CloseReason.TRY_LATER.value


async def test_snapshot_may_be_larger_than_the_bound_and_replaces_one_that_is_still_queued():
    connection, unsent = Connection(), []
    outbox = stream(
        connection, max_unsent_bytes=3_000, on_unsent=lambda outbox, change: unsent.append(change)
    )
    connection.reading.clear()
    outbox.write("pending")
    outbox.start(["subscribed 1", snapshot("old" * 2_000)], 1, [])
    outbox.event(Event(2, '{"type":"position_update","data":"old"}', "p", None))
    outbox.hold_back()
    outbox.start(["subscribed 2", snapshot("new" * 2_000)], 2, [])
    outbox.event(event(3))
    assert sum(unsent) == outbox.unsent_bytes < 2 * 6_000
    connection.reading.set()
    await settled()
    texts = ["pending", "subscribed 1", "subscribed 2", snapshot("new" * 2_000), "event 3"]
    assert connection.texts == texts
    assert sum(unsent) == outbox.unsent_bytes == 0
    assert outbox.closed is None


async def test_stream_is_drained_when_all_was_taken_and_nobody_waits_for_one_that_has_ended():
    connection = Connection()
    outbox, other = stream(connection), stream(connection)
    await outbox.drained()
    connection.reading.clear()
    for each in (outbox, other):
        each.write("pending")
        each.write("queued")
    waiting, at_end = (asyncio.ensure_future(each.drained()) for each in (outbox, other))
    await settled()
    assert not waiting.done()
    other.close(CloseReason.REPLACED)
    await at_end
    connection.reading.set()
    await waiting
    assert outbox.waiting is None
