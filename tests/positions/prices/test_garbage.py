from __future__ import annotations

import gc
import weakref

from positions.prices.garbage import EVERY_SECONDS, collected_between_rounds


class Cycle:
    def __init__(self) -> None:
        self.itself = self


def test_garbage_is_collected_after_a_round_once_a_minute_and_automatically_afterwards():
    now = 0.0
    with collected_between_rounds(clock=lambda: now) as after_round:
        cycle = weakref.ref(Cycle())
        kept: list[list[int]] = [[] for _ in range(100_000)]  # enough for the automatic collection to begin
        after_round()
        assert (gc.isenabled(), cycle() is None, len(kept)) == (False, False, 100_000)
        now += EVERY_SECONDS
        after_round()
        assert cycle() is None
    assert gc.isenabled()
