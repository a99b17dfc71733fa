"""Prices that are sent by shard of their tokens: which group brings a token, and that nothing is lost between them."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from channels.layers import channel_layers, get_channel_layer
from channels_redis.pubsub import RedisPubSubChannelLayer
from django.conf import settings as django_settings

from positions import services, valkey
from positions.models import Agent, Wallet
from positions.prices.cache import FeedStatus, put_prices
from positions.prices.quotes import WRAPPED_SOL, Quote
from realtime.conf import channel_layer, conf
from realtime.hub import price_groups, price_rounds
from realtime.hub.hub import get_hub
from realtime.hub.latest_prices import LatestPrices
from realtime.hub.outbox import Outbox
from realtime.hub.price_fan_out import PriceFanOut
from realtime.hub.price_groups import PriceGroups
from realtime.hub.price_rounds import PriceRounds
from realtime.hub.token_index import TokenIndex
from realtime.protocol.messages import PRICES_GROUP
from realtime.protocol.price_envelopes import price_message, read_prices
from realtime.protocol.shards import MOST_SHARDS, group_of, shard_groups, shard_of, spread
from realtime.publish import groups
from realtime.publish.broadcast import broadcast_prices
from realtime.publish.rounds import make_round, send_round
from testbed.backends import Valkey
from testbed.processes import PATIENCE_SECONDS
from tests.conftest import BONK, JUP, WIF, fresh_token, quote
from tests.waiting import eventually

in_thread = sync_to_async


def token_in(shard: int, shards: int) -> str:
    """Return a token that nobody has heard of, of that shard."""
    while shard_of(token := fresh_token(), shards) != shard:
        pass
    return token


def sol() -> Quote:
    return quote(WRAPPED_SOL, "1", "200")


async def feed(
    quotes: Sequence[Quote], shards: int, *, lost: Callable[[str], bool] = lambda _: False
) -> None:
    """Write the cache, then send, as the price feed does; of its messages, those to some groups are lost."""
    now = datetime.now(UTC)
    status = FeedStatus(
        source="test", simulated=True, sol_usd=Decimal(200), updated_at=now, interval_seconds=1.5
    )
    if shards > 1:
        status.shards = shards
    await put_prices(quotes, status)
    await send_round([each for each in await make_round(quotes, shards=shards) if not lost(each[0])])


# Which group


def test_token_is_in_the_same_shard_in_every_release():
    """Who sends and who joins may be of two releases: these figures never change."""
    assert [shard_of(token, 16) for token in (BONK, WIF, JUP)] == [3, 5, 7]
    assert shard_groups(4) == ("prices.4.0", "prices.4.4", "prices.4.8", "prices.4.48")


def test_sol_and_everything_without_shards_is_for_all():
    assert shard_of(WRAPPED_SOL, 16) is None
    assert {group_of(token, 1) for token in (BONK, WIF, WRAPPED_SOL)} == {PRICES_GROUP}
    assert group_of(WRAPPED_SOL, 16) == PRICES_GROUP
    assert group_of(BONK, 16) in shard_groups(16)


@pytest.mark.parametrize("prefix", ["nexgent", "nexgent-1", "a.much-longer_prefix.of.40.characters.12345"])
def test_there_are_names_for_every_number_of_shards(settings, prefix: str):
    settings.NEXGENT = {**settings.NEXGENT, "REDIS_PREFIX": prefix}
    for shards in (*range(2, 66), 100, 255, 256, 500, 1000, MOST_SHARDS):
        assert len(set(spread(f"prices.{shards}", shards))) == shards


@pytest.mark.parametrize("hosts", [2, 3, 4, 8])
@pytest.mark.parametrize("shards", [8, 16, 64, 256])
async def test_groups_lie_evenly_on_the_servers_of_the_channel_layer(hosts: int, shards: int):
    """By the layer's own placement. Numbered plainly, eight groups would all be on one of two servers."""
    config = {**django_settings.CHANNEL_LAYERS["default"]["CONFIG"], "hosts": hosts * ["redis://localhost"]}
    layer = RedisPubSubChannelLayer(**config)
    placed = Counter(
        id(layer._get_shard(layer._get_group_channel_name(group))) for group in shard_groups(shards)
    )
    assert len(placed) == hosts
    assert max(placed.values()) - min(placed.values()) <= 2


# A round on its way


async def test_round_by_shards_has_every_price_once_in_the_message_of_its_shard():
    quotes = [sol(), *(quote(fresh_token(), "0.5") for _ in range(100))]
    *parts, (group, layout) = await make_round(quotes, shards=8)
    assert (group, layout["type"], layout["shards"]) == (PRICES_GROUP, "price.layout", 8)
    assert list(tokens_of(layout)) == [WRAPPED_SOL]
    assert [message["shard"] for _, message in parts] == layout["sent"]
    found = []
    for group, message in parts:
        assert message["round"] == layout["round"]
        assert {group_of(token, 8) for token in tokens_of(message)} == {group}
        found += tokens_of(message)
    assert sorted(found) == sorted(each.token_address for each in quotes[1:])


@pytest.mark.parametrize("count", [10, 1000], ids=["one script", "one pipeline"])
async def test_round_reaches_the_groups_whole_and_its_last_message_comes_last(count: int):
    quotes = [quote(fresh_token(), "0.5") for _ in range(count)]
    layer = get_channel_layer()
    channel = await layer.new_channel()
    before = await subscribers(PRICES_GROUP)
    await groups.join(layer, [PRICES_GROUP, *shard_groups(4)], channel)

    async def is_subscribed() -> bool:  # to all of them, by one command
        return await subscribers(PRICES_GROUP) > before

    await eventually(is_subscribed, "the server has executed the join")
    messages = await make_round(quotes, shards=4)
    await send_round(messages)
    received = [await asyncio.wait_for(layer.receive(channel), PATIENCE_SECONDS) for _ in messages]
    assert received == [message for _, message in messages]
    assert sorted(token for message in received for token in tokens_of(message)) == sorted(
        each.token_address for each in quotes
    )


async def test_shard_without_news_has_no_message():
    *parts, (_, layout) = await make_round([quote(token_in(5, 8), "0.5")], shards=8)
    assert (len(parts), layout["sent"], list(tokens_of(layout))) == (1, [5], [])


def tokens_of(message: Mapping[str, Any]) -> list[str]:
    return [token for priced in read_prices(message) for token in priced.fragments]


class Rounds:
    """Rounds that are put together for a process that has joined some of eight shards."""

    def __init__(self, *joined: int) -> None:
        self.handled: list[list[str]] = []
        self.tasks: list[asyncio.Task[None]] = []
        of_process = PriceGroups("hub", held=lambda: (), read=self._read)
        of_process.shards = 8
        of_process._joined = {shard_groups(8)[shard] for shard in joined}
        self.rounds = PriceRounds(
            self._handle, of_process, spawn=lambda work: self.tasks.append(asyncio.create_task(work))
        )

    async def receive(self, *messages: tuple[str, Mapping[str, Any]]) -> None:
        for _, message in messages:
            await (self.rounds.layout if message["type"] == "price.layout" else self.rounds.batch)(message)

    async def _handle(self, *messages: Mapping[str, Any]) -> None:
        self.handled.append(sorted(token for message in messages for token in tokens_of(message)))

    async def _read(self, tokens: object) -> None:
        raise AssertionError("nothing is joined here")


TOKENS = {shard: token_in(shard, 8) for shard in (1, 2, 3)}


async def round_of(*shards: int) -> Sequence[tuple[str, Mapping[str, Any]]]:
    return await make_round([sol(), *(quote(TOKENS[shard], "0.5") for shard in shards)], shards=8)


async def test_parts_of_a_round_are_handled_together_in_whatever_order_they_come():
    one, two, layout = await round_of(1, 2)
    for parts in ((one, two, layout), (layout, two, one), (two, layout, one)):
        rounds = Rounds(1, 2)
        await rounds.receive(*parts)
        assert rounds.handled == [sorted([WRAPPED_SOL, TOKENS[1], TOKENS[2]])]


async def test_round_waits_for_no_shard_that_is_not_joined_or_has_no_news():
    one, _, layout = await round_of(1, 2)
    rounds = Rounds(1, 3)
    await rounds.receive(one, layout)
    assert rounds.handled == [sorted([WRAPPED_SOL, TOKENS[1]])]


async def test_round_whose_last_message_is_lost_is_handled_before_the_next():
    rounds = Rounds(1, 2)
    one, two, _ = await round_of(1, 2)
    await rounds.receive(one, two)
    assert rounds.handled == []
    await rounds.receive(*await round_of(1))
    assert rounds.handled == [sorted([TOKENS[1], TOKENS[2]]), sorted([WRAPPED_SOL, TOKENS[1]])]


async def test_round_that_stays_incomplete_is_handled_after_a_while_and_what_is_late_by_itself(
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr(price_rounds, "ROUND_SECONDS", 0.01)
    rounds = Rounds(1, 2)
    one, two, layout = await round_of(1, 2)
    await rounds.receive(one, layout)

    async def is_handled() -> bool:
        return bool(rounds.handled)

    await eventually(is_handled, "the round is handled")
    await rounds.receive(two)
    assert rounds.handled == [sorted([WRAPPED_SOL, TOKENS[1]]), [TOKENS[2]]]


async def test_prices_that_others_send_wait_for_no_round():
    rounds = Rounds(1, 2)
    one, *_ = await round_of(1, 2)
    await rounds.receive(one, (PRICES_GROUP, price_message([quote(BONK, "0.5")])))
    assert rounds.handled == [[BONK]]


# A process that follows


async def buy(agent: Agent, *tokens: str) -> None:
    wallet, _ = await Wallet.objects.aget_or_create(agent=agent, address=f"Wallet of {agent.name}")

    def open_positions() -> None:
        for token in tokens:
            services.open_position(
                wallet=wallet,
                token_address=token,
                token_symbol="NEW",
                tokens=Decimal(10),
                spent_sol=Decimal(1),
            )

    await in_thread(open_positions)()


async def joined(*names: str) -> None:
    """Wait until this process is a member of exactly these groups, besides that for all, and has read their prices."""
    following = get_hub().price_groups

    async def is_so() -> bool:
        is_done = bool(following._changed._waiters)
        return is_done and following._joined == set(names)

    await eventually(is_so, f"this process has joined {names}")


async def batch(socket: Any) -> dict[str, float]:
    updates = (await socket.until("price_update_batch"))["data"]["updates"]
    return {update["tokenAddress"]: float(update["price"]) for update in updates}


@pytest.fixture
def seldom(settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """No reconciliation helps: what arrives has come by its group, or was read after the join. Rounds come whole."""
    monkeypatch.setattr(price_rounds, "ROUND_SECONDS", 3600.0)
    settings.NEXGENT = {**settings.NEXGENT, "RECONCILE_SECONDS": 3600.0}


async def test_socket_gets_one_message_of_a_round_of_several_shards(seldom, realtime_socket, alice, agent):
    tokens = [token_in(shard, 8) for shard in (0, 3, 7)]
    await buy(agent, *tokens)
    await feed([sol(), *(quote(token, "0.5") for token in tokens)], 8)
    async with realtime_socket(alice, agent) as socket:
        assert [position["currentPrice"] for position in socket.initial["positions"]] == 3 * [Decimal("0.5")]
        await joined(*(shard_groups(8)[shard] for shard in (0, 3, 7)))
        await feed([sol(), *(quote(token, "0.625") for token in [*tokens, token_in(4, 8)])], 8)
        assert await batch(socket) == dict.fromkeys(tokens, 0.625)
        await broadcast_prices([quote(tokens[1], "0.75")])
        assert await batch(socket) == {tokens[1]: 0.75}


async def test_price_that_came_while_its_group_was_joined_is_read_from_the_cache(
    seldom, realtime_socket, alice, agent, monkeypatch
):
    """The first look at the cache is before the join; a round in between is heard by nobody here."""
    token = token_in(2, 4)
    await buy(agent, token)
    await feed([quote(token, "0.5")], 4)
    join = groups.join

    async def late(*arguments: Any) -> None:
        await feed([quote(token, "0.625")], 4)
        await join(*arguments)

    async with realtime_socket(alice, await other_agent(alice)):  # whose start does not need it
        monkeypatch.setattr(groups, "join", late_for(shard_groups(4)[2], join, late))
        async with realtime_socket(alice, agent) as socket:
            newest = {p["tokenAddress"]: float(p["currentPrice"]) for p in socket.initial["positions"]}
            while newest[token] != 0.625:
                newest |= await batch(socket)


async def test_tokens_are_needed_before_they_are_read_and_the_number_of_shards_is_known_after_it(own_valkey):
    """A group whose join is confirmed between a read and its answer: the token is among those that are read again."""
    told: list[tuple[list[str], int | None, bool]] = []
    before = valkey.client().info("commandstats").get("cmdstat_mget", {"calls": 0})["calls"]

    def need(tokens: Collection[str], shards: int | None) -> None:
        calls = valkey.client().info("commandstats").get("cmdstat_mget", {"calls": 0})["calls"]
        told.append((list(tokens), shards, calls > before))

    await feed([quote(BONK, "0.5")], 4)
    fan_out = PriceFanOut(LatestPrices(), TokenIndex[Outbox](), need=need)
    await fan_out.learn([BONK], ask_source=False)
    assert told == [([BONK], None, False), ([BONK], 4, True)]


def late_for(
    group: str, join: Callable[..., Awaitable[None]], late: Callable[..., Awaitable[None]]
) -> Callable[..., Awaitable[None]]:
    async def either(layer: Any, names: Any, channel: str) -> None:
        await (late if group in names else join)(layer, names, channel)

    return either


async def other_agent(alice: Any) -> Agent:
    return await Agent.objects.acreate(owner=alice, name="beta")


async def test_position_that_is_opened_brings_the_prices_of_a_shard_that_was_not_joined(
    seldom, realtime_socket, alice, agent
):
    first, second = token_in(0, 4), token_in(3, 4)
    await feed([quote(first, "0.5"), quote(second, "0.5")], 4)
    await buy(agent, first)
    async with realtime_socket(alice, agent) as socket:
        await joined(shard_groups(4)[0])
        await buy(agent, second)
        event = await socket.until("position_update")
        assert event["data"]["position"]["tokenAddress"] == second
        assert await batch(socket) == {second: 0.5}
        await joined(shard_groups(4)[0], shard_groups(4)[3])
        await feed([quote(second, "0.625")], 4)
        assert await batch(socket) == {second: 0.625}


async def test_group_is_left_once_nobody_has_needed_it_for_a_while(
    settings, realtime_socket, alice, agent, monkeypatch
):
    settings.NEXGENT = {**settings.NEXGENT, "RECONCILE_SECONDS": 0.02}
    token, other = token_in(1, 4), token_in(2, 4)
    await feed([quote(token, "0.5")], 4)
    await buy(agent, token)
    monkeypatch.setattr(price_groups, "KEEP_SECONDS", 3600.0)
    async with realtime_socket(alice, agent):
        await joined(shard_groups(4)[1])
    async with realtime_socket(alice, await other_agent(alice)):  # the first has left, and its group is kept
        await joined(shard_groups(4)[1])
        monkeypatch.setattr(price_groups, "KEEP_SECONDS", 0.05)
        await joined()

        async def is_left() -> bool:
            return await subscribers(shard_groups(4)[1]) == 0

        await eventually(is_left, "the server has executed that the group is left")
    await buy(agent, other)
    async with realtime_socket(alice, agent) as socket:
        await joined(shard_groups(4)[1], shard_groups(4)[2])
        await feed([quote(token, "0.625"), quote(other, "0.25")], 4)
        assert (await batch(socket)).keys() == {token, other}


async def subscribers(group: str) -> int:
    name = get_channel_layer()._get_group_channel_name(group)
    ((_, count),) = await valkey.async_client().pubsub_numsub(name)
    return int(count)


async def test_sockets_hear_every_price_while_the_number_of_shards_changes(
    seldom, realtime_socket, alice, agent, caplog
):
    """A feed with another number takes over: up, further up, and back to one. The sockets stay open."""
    caplog.set_level("INFO")
    tokens = [fresh_token() for _ in range(6)]
    await buy(agent, *tokens)
    await feed([sol()], 1)
    async with realtime_socket(alice, agent) as socket:
        price = Decimal("0.5")
        for shards in (1, 4, 16, 2, 1, 3):
            for _ in range(2):
                price += Decimal("0.125")
                await feed([quote(token, str(price)) for token in tokens], shards)
                heard: dict[str, float] = {}
                while heard != dict.fromkeys(tokens, float(price)):
                    heard |= await batch(socket)
    changes = [record.getMessage() for record in caplog.records if "shards of tokens" in record.getMessage()]
    assert [text.partition(";")[0] for text in changes] == [
        f"the price feed sends by {new} shards of tokens now, not {old}"
        for old, new in ((1, 4), (4, 16), (16, 2), (2, 3))  # one message for all is heard in any case
    ]


async def test_price_whose_message_is_lost_is_read_by_reconciliation(settings, realtime_socket, alice, agent):
    settings.NEXGENT = {**settings.NEXGENT, "RECONCILE_SECONDS": 0.05}
    lost, other = token_in(0, 4), token_in(1, 4)
    await buy(agent, lost, other)
    await feed([quote(lost, "0.5"), quote(other, "0.5")], 4)
    async with realtime_socket(alice, agent) as socket:
        await joined(shard_groups(4)[0], shard_groups(4)[1])
        later = [quote(lost, "0.625"), quote(other, "0.625")]
        await feed(later, 4, lost=lambda group: group == shard_groups(4)[0])
        heard: dict[str, float] = {}
        while heard != {lost: 0.625, other: 0.625}:
            heard |= await batch(socket)


async def test_group_whose_messages_do_not_arrive_makes_the_process_not_ready(
    settings, realtime_socket, alice, agent, monkeypatch, caplog
):
    """Prices of its tokens come by reconciliation meanwhile; once it is delivered, all is well."""
    settings.NEXGENT = {**settings.NEXGENT, "RECONCILE_SECONDS": 0.05}
    monkeypatch.setattr(price_groups, "WAIT_SECONDS", (0.02, 0.02))
    monkeypatch.setattr(price_groups, "RETRY_SECONDS", 0.01)
    token = token_in(1, 4)
    await buy(agent, token)
    await feed([quote(token, "0.5")], 4)
    hub = get_hub()
    confirm = hub._listener._handlers["price.joined"]
    hub._listener._handlers["price.joined"] = forget  # type: ignore[index]
    async with realtime_socket(alice, agent) as socket:

        async def is_noticed() -> bool:
            return hub.tasks.checks()["price_groups"] == "not working"

        await eventually(is_noticed, "the process says that it is not ready")
        await feed([quote(token, "0.625")], 4, lost=lambda group: group != PRICES_GROUP)
        assert await batch(socket) == {token: 0.625}
        hub._listener._handlers["price.joined"] = confirm  # type: ignore[index]
        await joined(shard_groups(4)[1])

        async def works() -> bool:
            return hub.tasks.checks()["price_groups"] == "ok"

        await eventually(works, "the process is ready")
    assert caplog.text.count("1 groups of prices are not delivered here") == 1


async def forget(message: Mapping[str, Any]) -> None:
    pass


@pytest.fixture
def second_valkey(settings, tmp_path) -> Iterator[Valkey]:
    """Another server of the channel layer: groups of shards lie on both."""
    with Valkey(tmp_path / "second") as running:
        urls = [conf.REDIS_URL, running.url]
        settings.NEXGENT = {**settings.NEXGENT, "REDIS_URLS": urls}
        config = channel_layer(settings.NEXGENT)["CONFIG"]
        before = get_channel_layer()
        channel_layers.set("default", RedisPubSubChannelLayer(**config))
        yield running
        channel_layers.set("default", before)


def is_on_second(group: str) -> bool:
    layer = get_channel_layer()
    return bool(layer._shards.index(layer._get_shard(layer._get_group_channel_name(group))) == 1)


async def test_round_over_two_servers_is_one_message_and_one_server_that_is_away_stops_only_its_part(
    second_valkey, settings, realtime_socket, alice, agent, monkeypatch
):
    settings.NEXGENT = {**settings.NEXGENT, "RECONCILE_SECONDS": 0.2}
    usual_seconds = price_rounds.ROUND_SECONDS
    monkeypatch.setattr(price_rounds, "ROUND_SECONDS", 3600.0)
    groups_of = {is_on_second(name): shard for shard, name in enumerate(shard_groups(8))}
    here, there = token_in(groups_of[False], 8), token_in(groups_of[True], 8)
    await buy(agent, here, there)
    await feed([quote(here, "0.5"), quote(there, "0.5")], 8)
    async with realtime_socket(alice, agent) as socket:
        await joined(shard_groups(8)[groups_of[False]], shard_groups(8)[groups_of[True]])
        await feed([quote(here, "0.625"), quote(there, "0.625")], 8)
        assert await batch(socket) == {here: 0.625, there: 0.625}
        monkeypatch.setattr(price_rounds, "ROUND_SECONDS", usual_seconds)
        second_valkey.stop()
        with pytest.raises(valkey.Unavailable):
            await feed([quote(here, "0.75"), quote(there, "0.75")], 8)
        heard: dict[str, float] = {}
        while heard != {here: 0.75, there: 0.75}:
            heard |= await batch(socket)
        second_valkey.start()
        price = Decimal("0.75")

        async def comes_with_its_round() -> bool:
            nonlocal price
            price += Decimal("0.125")
            with contextlib.suppress(*valkey.Unavailable):
                await feed([quote(here, str(price)), quote(there, str(price))], 8)
            newest = await batch(socket)
            while float(price) not in newest.values():
                newest = await batch(socket)
            return newest == {here: float(price), there: float(price)}

        await eventually(comes_with_its_round, "rounds come whole again")


async def test_group_that_is_joined_again_while_those_of_another_server_are_left_stays_joined(second_valkey):
    layer = get_channel_layer()
    channel = await layer.new_channel()
    here, there = (
        next(name for name in shard_groups(8) if is_on_second(name) == second) for second in (False, True)
    )
    await groups.join(layer, [here, there], channel)
    async with layer._get_shard(layer._get_group_channel_name(here))._lock:  # its server is slow
        leaving = asyncio.create_task(groups.leave(layer, [here, there], channel))
        await asyncio.sleep(0)
        await groups.join(layer, [there], channel)
    await leaving
    await layer.group_send(there, {"type": "heard"})
    assert await asyncio.wait_for(layer.receive(channel), PATIENCE_SECONDS) == {"type": "heard"}
    await layer.flush()


async def test_number_that_no_feed_can_have_is_ignored(realtime_socket, alice, agent):
    async with realtime_socket(alice, agent):
        following = get_hub().price_groups
        for shards in (0, -1, MOST_SHARDS + 1, 10**12):
            following.follow(shards)
        assert following.shards == 1


async def test_process_without_tokens_joins_nothing_and_is_well(realtime_socket, alice, agent):
    async with realtime_socket(alice, agent):
        await feed([sol(), quote(fresh_token(), "0.5")], 4)
        following = get_hub().price_groups

        async def has_heard() -> bool:
            return following.shards == 4

        await eventually(has_heard, "the round is noticed")
        assert list(following.names()) == [PRICES_GROUP]

        async def is_well() -> bool:
            return set(get_hub().tasks.checks().values()) == {"ok"}

        await eventually(is_well, "every check is ok")
