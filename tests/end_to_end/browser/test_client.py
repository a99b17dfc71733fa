"""nexgent.js on a page that is not the dashboard."""

from __future__ import annotations

from decimal import Decimal

from positions import services
from positions.models import Position
from tests.end_to_end.browser.conftest import Backstage
from tests.end_to_end.browser.windows import Window
from tests.live import access_token

START = """async ([token, agentId]) => {
    const { Nexgent } = await import("/static/realtime/nexgent.js");
    window.received = [];
    window.nexgent = new Nexgent({ token: async () => token });
    for (const type of ["snapshot", "event", "prices", "problem"]) {
        nexgent.addEventListener(type, ({ detail }) => received.push([type, detail]));
    }
    nexgent.addEventListener("state", ({ detail }) => received.push(["state", detail.name]));
    nexgent.connect(agentId);
}"""
RECEIVED = "(count) => window.received.length >= count && window.received"
EVENTS = """(count) =>
    window.received.filter(([kind]) => kind === "event").length >= count && window.received"""


def test_client_passes_on_everything_that_happens(window: Window, bonk: Position, feed: Backstage) -> None:
    page = window.page
    page.goto(window.url)
    page.evaluate(START, [access_token(bonk.agent.owner), str(bonk.agent_id)])
    first = page.wait_for_function(RECEIVED, arg=3).json_value()
    assert [kind for kind, _ in first] == ["state", "snapshot", "state"]
    assert (first[0][1], first[2][1]) == ("connecting", "live")
    assert first[1][1]["positions"][0]["purchasePrice"] == "0.000002"  # digits, not a double
    feed.quote(bonk, "0.000003000000000001", None)
    page.wait_for_function(RECEIVED, arg=4)
    services.take_profit(position_id=bonk.pk, tokens=Decimal(1), proceeds_sol=Decimal(1))
    services.close_position(position_id=bonk.pk, proceeds_sol=Decimal(1))
    received = page.wait_for_function(EVENTS, arg=2).json_value()
    assert received[3][0] == "prices"
    assert received[3][1]["updates"][0]["price"] == "0.000003000000000001"
    events = [data for kind, data in received[4:] if kind != "prices"]  # a price that was slow may come twice
    assert [(data["eventType"], data["seq"]) for data in events] == [
        ("position_updated", 2),
        ("position_closed", 3),
    ]
    page.evaluate("() => window.nexgent.close()")
    assert page.evaluate("() => window.nexgent.state.name") == "idle"


def test_client_without_a_token_requires_a_log_in(window: Window, bonk: Position) -> None:
    window.page.goto(window.url)
    state = window.page.evaluate(
        """async (agentId) => {
            const { LoginRequired, Nexgent } = await import("/static/realtime/nexgent.js");
            const nexgent = new Nexgent({ token: () => Promise.reject(new LoginRequired("nobody")) });
            const state = new Promise((received) => nexgent.addEventListener("state", ({ detail }) =>
                detail.name !== "connecting" && received(detail.name)));
            nexgent.connect(agentId);
            return state;
        }""",
        str(bonk.agent_id),
    )
    assert state == "logged-out"
    assert window.sockets == 0


def test_stream_passes_each_event_on_once_and_notices_what_is_missing(script_page) -> None:
    steps = script_page.evaluate(
        """async () => {
            const { Stream } = await import("/static/realtime/stream.js");
            const stream = new Stream();
            const event = (seq) => stream.event({ seq });
            const steps = [event(1), stream.flows];  // before the snapshot, nothing is passed on
            stream.restart();
            steps.push(stream.snapshot({ seq: 7 }), event(7), event(8), event(8), event(11), event(12));
            stream.restart();
            steps.push(stream.seq, event(9), stream.subscribed({ recovered: true }), event(9), event(10));
            stream.resubscribe();
            steps.push(stream.snapshot({ seq: 3 }), event(11), stream.subscribed({ recovered: false }));
            steps.push(stream.snapshot({ seq: 3 }), event(4));
            return steps;
        }"""
    )
    assert steps == [
        *["old", False],
        *[True, "old", "next", "old", "gap", "lost"],
        *[8, "old", True, "next", "next"],
        *[False, "old", True],  # a snapshot before the answer is of the agent before
        *[True, "next"],
    ]


def test_every_digit_is_read_also_where_json_parse_gives_none(script_page) -> None:
    """As before Chrome 114, and in node 20: revivers get no digits."""
    read = script_page.evaluate(
        """async (text) => {
            const { parse } = await import("/static/realtime/wire.js");
            const [own, read] = [JSON.parse, parse(text)];
            JSON.parse = (given, revive) => own(given, revive && function (key, value) {
                return revive.call(this, key, value);
            });
            const old = await import("/static/realtime/wire.js?old");
            const again = old.parse(text);
            const refused = ["", "7", '"{}"', "{\\"a\\": }"].map((each) => {
                try { return old.parse(each); } catch (error) { return error.name; }
            });
            JSON.parse = own;
            return [read, again, refused];
        }""",
        '{"price": 0.000003000000000000000001, "priceUsd": null, "seq": -12, "tokenSymbol": "a\\"1\\\\",'
        ' "u": [[7, 1.5e-7, null, "live"]], "peakPrice": -3, "data": {"sol": 1, "list": [], "b": true}}',
    )
    assert read[0] == {
        "price": "0.000003000000000000000001",
        "priceUsd": None,
        "seq": -12,
        "tokenSymbol": 'a"1\\',
        "u": [[7, "1.5e-7", None, "live"]],
        "peakPrice": "-3",
        "data": {"sol": "1", "list": [], "b": True},
    }
    assert read[1] == read[0]
    assert read[2] == ["SyntaxError"] * 4
