"""Tests the watcher: it detects everything that a client must not see."""

from __future__ import annotations

from typing import Any

import pytest

from tests.reliability.watcher import Watcher


def stored(identifier: str = "p1", tokens: str = "1.50", dca_count: int = 0) -> dict[str, Any]:
    """A position as an event's row keeps it; so few fields are enough here."""
    return {"id": identifier, "token_address": "BONK", "remaining_amount": tokens, "dca_count": dca_count}


def wire(position: dict[str, Any]) -> dict[str, Any]:
    """The same as it is sent, numbers as the watcher reads them: text."""
    return {
        "id": position["id"],
        "tokenAddress": position["token_address"],
        "remainingAmount": position["remaining_amount"],
        "dcaCount": str(position["dca_count"]),
        "currentPrice": "0.1",
    }


def event(seq: int, **changes: Any) -> dict[str, Any]:
    data = {"seq": str(seq), "eventType": "position_updated", "position": wire(stored(**changes))}
    return {"type": "position_update", "data": data}


def closed(seq: int) -> dict[str, Any]:
    data = {"seq": str(seq), "eventType": "position_closed", "positionId": "p1"}
    return {"type": "position_update", "data": data}


def initial(seq: int, *positions: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "initial_data",
        "data": {"seq": str(seq), "positions": [wire(each) for each in positions]},
    }


def row(seq: int, **changes: Any) -> list[Any]:
    return [seq, "position_updated", "p1", stored(**changes)]


def database(seq: int, *rows: list[Any], held: dict[str, Any] | None = None) -> dict[str, Any]:
    return {"seq": seq, "events": list(rows), "held": {"p1": held or stored()}}


def watched(*messages: dict[str, Any]) -> Watcher:
    watcher = Watcher("agent", "token", list)
    for message in messages:
        watcher.take(message)
    return watcher


def test_stream_that_agrees_has_no_violation():
    watcher = watched(initial(4), event(5), event(6, dca_count=1))
    watcher.account(database(6, row(5), row(6, dca_count=1), held=stored(dca_count=1)))
    assert watcher.violations == []
    assert (watcher.lost, watcher.duplicated, watcher.reordered) == (0, 0, 0)


def test_fresh_snapshot_replaces_the_events_before_it():
    watcher = watched(initial(4), event(5), initial(8, stored()), event(9))
    watcher.account(database(9, row(5), row(6), row(7), row(8), row(9)))
    assert watcher.violations == []
    assert watcher.fresh_snapshots == 1


def test_lost_event_is_noticed_at_once_and_counted():
    watcher = watched(initial(4), event(6))
    assert watcher.violations == ["event 6 came right after event 4"]
    watcher.account(database(6, row(5), row(6)))
    assert watcher.lost == 1
    assert watcher.violations[1:] == ["event 5 never came"]


@pytest.mark.parametrize("again", [5, 6, 4])
def test_doubled_event_is_counted(again):
    watcher = watched(initial(4), event(5), event(6), event(again))
    assert watcher.duplicated == 1
    assert watcher.violations == [f"event {again} came again, after event 6"]


def test_reordered_event_is_counted():
    watcher = watched(initial(4), event(6), event(5))
    assert (watcher.reordered, watcher.duplicated) == (1, 0)
    assert watcher.violations[1:] == ["event 5 came after event 6"]


def test_event_before_the_snapshot_is_a_violation():
    assert watched(event(5)).violations == ["event 5 before the first snapshot"]


def test_snapshot_that_goes_back_is_a_violation():
    assert watched(initial(4), event(5), initial(4)).violations == ["a snapshot of event 4 after event 5"]


def test_rolled_back_event_is_a_violation():
    watcher = watched(initial(4), event(5))
    watcher.account(database(5))
    assert watcher.violations == ["event 5 was never committed"]


def test_last_event_that_never_came_is_a_violation():
    watcher = watched(initial(4, stored()))
    watcher.account(database(5, row(5)))
    assert watcher.violations == ["stands at event 4, the database at 5", "event 5 never came"]


@pytest.mark.parametrize("tokens", ["1.5", "1.500000000000000001"])
def test_digit_that_differs_is_a_violation(tokens):
    watcher = watched(initial(4), event(5, tokens=tokens))
    watcher.account(database(5, row(5)))
    assert watcher.violations == [
        f"event 5: remaining_amount is {tokens!r}, not '1.50'",
        f"position p1: remaining_amount is {tokens!r}, not '1.50'",
    ]


@pytest.mark.parametrize(
    ("status", "peak", "violations"),
    [
        ("live", "3", []),
        ("live", "2", ["event 5: peak_price is '2', not '3'"]),
        ("stale", "2", []),
        ("stale", "3", ["event 5: peak_price is '3', not '2'"]),
    ],
)
def test_highest_price_takes_in_the_live_price_of_the_event(status, peak, violations):
    update = event(5)
    times = {"createdAt": "2026-01-01T00:00:00.000Z", "priceTimestamp": "2026-01-01T00:00:01.000Z"}
    update["data"]["position"] |= {"currentPrice": "3", "priceStatus": status, "peakPrice": peak, **times}
    watcher = watched(initial(4), update)
    watcher.account(
        database(
            5,
            [5, "position_updated", "p1", {**stored(), "peak_price": "2"}],
            held={**stored(), "peak_price": "9"},
        )
    )
    assert watcher.violations == violations


def test_position_that_should_be_gone_is_a_violation():
    watcher = watched(initial(4, stored()), event(5))
    watcher.account({"seq": 5, "events": [row(5)], "held": {}})
    assert watcher.violations == ["holds ['p1'], the database []"]


def test_closed_position_leaves_the_state():
    watcher = watched(initial(4, stored()), closed(5))
    watcher.account({"seq": 5, "events": [[5, "position_closed", "p1", None]], "held": {}})
    assert watcher.violations == []


def test_price_of_a_token_that_is_not_held_is_a_violation():
    prices = {"updates": [{"tokenAddress": "WIF", "price": "0.5"}]}
    watcher = watched(initial(4, stored()), {"type": "price_update_batch", "data": prices})
    assert watcher.violations == ["a price of WIF, which is not held"]
