from __future__ import annotations

from collections import Counter
from itertools import pairwise

from positions.prices.turns import LONGEST_WAIT_SECONDS, PATIENT_SECONDS, Turns

ROUND_SECONDS = 1.5


class Feed:
    """Rounds of a clock of its own, for a source that has these tokens, and room for so many a round."""

    def __init__(self, owners: dict[str, list[int]], *, room: int, known: set[str] | None = None) -> None:
        self.now = 0.0
        self.turns = Turns(clock=lambda: self.now)
        self.owners = owners
        self.room = room
        self.known = set(owners) if known is None else known
        self.asked_at: dict[str, list[float]] = {}
        self.turns.share(owners)

    def run(self, rounds: int) -> Counter[str]:
        """Return how often each token was asked for in these rounds."""
        counted: Counter[str] = Counter()
        for number in range(rounds):
            if number % 20 == 0:
                self.turns.share(self.owners)
            asked = self.turns.choose(list(self.owners), self.room)
            assert len(asked) <= self.room
            self.turns.answered(
                known=[token for token in asked if token in self.known],
                unknown=[token for token in asked if token not in self.known],
            )
            for token in asked:
                self.asked_at.setdefault(token, []).append(self.now)
            counted.update(asked)
            self.now += ROUND_SECONDS
        return counted

    def waits(self, token: str) -> list[float]:
        return [later - earlier for earlier, later in pairwise(self.asked_at[token])]


def held(owner: int, number: int) -> dict[str, list[int]]:
    return {f"{owner}-{each}": [owner] for each in range(number)}


def test_owners_get_the_same_number_of_turns_whatever_they_hold():
    feed = Feed(held(1, 60) | held(2, 600), room=20)
    asked = feed.run(300)
    first = sum(number for token, number in asked.items() if token.startswith("1-"))
    assert 0.45 < first / asked.total() < 0.55
    assert min(asked.values()) >= 3  # of the 5 that everyone of 600 can have


def test_owner_of_few_tokens_has_them_asked_for_in_every_round():
    feed = Feed(held(1, 10) | held(2, 1000) | held(3, 100), room=40)
    asked = feed.run(100)
    assert [asked[f"1-{number}"] for number in range(10)] >= [98] * 10


def test_token_of_several_owners_counts_for_each_and_is_asked_for_once():
    owners = {f"{number}": [1] for number in range(1000)} | {
        f"shared-{number}": [2, 3] for number in range(200)
    }
    asked = Feed(owners, room=100).run(200)
    shared = sum(number for token, number in asked.items() if token.startswith("shared"))
    assert 0.6 < shared / asked.total() < 0.72  # two owners of three


def test_more_owners_than_turns_all_have_their_turn():
    feed = Feed({f"{owner}": [owner] for owner in range(50)}, room=10)
    assert set(feed.run(50).values()) == {10}


def test_new_tokens_without_end_take_only_their_owner_s_share():
    feed = Feed(held(1, 40), room=10)
    feed.run(100)
    asked: Counter[str] = Counter()
    for number in range(100):
        feed.owners = feed.owners | {f"new-{number}-{each}": [2] for each in range(10)}
        feed.turns.share(feed.owners)
        asked += feed.run(1)
    assert sum(number for token, number in asked.items() if token.startswith("1-")) > asked.total() / 3


def test_token_that_answers_lack_is_asked_for_less_and_less_but_not_forgotten():
    feed = Feed(held(1, 60), room=20, known={f"1-{number}" for number in range(1, 60)})
    feed.run(3000)
    early = [at for at in feed.asked_at["1-0"] if at < PATIENT_SECONDS]
    assert len(early) > PATIENT_SECONDS / (5 * ROUND_SECONDS)  # like any other
    waits = feed.waits("1-0")
    assert max(waits[-3:]) <= LONGEST_WAIT_SECONDS + 10
    assert min(waits[-3:]) > LONGEST_WAIT_SECONDS - 10
    assert feed.turns.waits == {"1-0": LONGEST_WAIT_SECONDS}


def test_token_that_appears_is_asked_for_like_any_other_at_once():
    feed = Feed(held(1, 60), room=20, known={f"1-{number}" for number in range(1, 60)})
    feed.run(1500)
    feed.known.add("1-0")
    feed.run(round((LONGEST_WAIT_SECONDS + 10) / ROUND_SECONDS))
    assert feed.turns.waits == {}
    assert feed.run(30)["1-0"] >= 8


def test_tokens_that_wait_do_not_make_their_owner_s_others_wait():
    """Of 200 made-up tokens and 5 real ones, the real ones have nearly all of the owner's share."""
    feed = Feed(held(1, 205) | held(2, 100), room=20, known={f"1-{number}" for number in range(5)})
    feed.known |= {f"2-{number}" for number in range(100)}
    feed.run(800)
    asked = feed.run(100)
    assert min(asked[f"1-{number}"] for number in range(5)) > 90


def test_token_that_is_held_no_more_is_forgotten():
    feed = Feed(held(1, 300), room=100, known=set())
    feed.run(100)
    feed.owners = held(2, 300)
    feed.run(1)
    assert feed.turns.waits == {}
