"""What the demo shows: its agents, their wallets, and the story of each position. `demo` writes them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from positions.models import Mode

# Symbol → name and mint, as Solana knows them.
TOKENS = {
    "BONK": ("Bonk", "DezXAZ8z7PnrnRJjz3wXBoRgixCa6xjnB7YaB1pPB263"),
    "WIF": ("dogwifhat", "EKpQGSJtjMFqKZ9KQanSqYXRcF8fBopzLHYxdM65zcjm"),
    "JUP": ("Jupiter", "JUPyiwrYJFskUPiHa7hkeR8VUtAeFoSYbKedZNsDvCN"),
    "PYTH": ("Pyth Network", "HZ1JovNiVvGrGNiiYvEozEVgZ58xaU3RKwX8eACQBCt3"),
    "JTO": ("Jito", "jtojtomepa8beP8AuQc6eXt5FriJwfFMwQx2v2f9mCL"),
    "RAY": ("Raydium", "4k3Dyjzvzp8eMZWUXbBCjEvwSkkk59S5iCNLY3QrkX6R"),
    "ORCA": ("Orca", "orcaEKTdK7LKz57vaAYr9QeNsVEPfiu6QeMU1kektZE"),
    "POPCAT": ("Popcat", "7GCihgDB8fe6KNjn2MYtkzZcRjQy3t9GHdC8uHYmW2hr"),
    "MEW": ("cat in a dogs world", "MEW1gQWJ3nEXg2qgERiKu7FAFj79PHvQVREQUzScPP5"),
    "W": ("Wormhole", "85VBFQZC9TZkfaptBWjvUw7YbZjy52A6mjtPGjstQAmQ"),
    "RENDER": ("Render", "rndrizKT3MK1iimdxRdWabcF7Zg7AR5T4nud4EkHBof"),
    "PENGU": ("Pudgy Penguins", "2zMMhcVQEXDtdE6vsFS7S7D5oUodfJHE8vd1gnBouauv"),
    "mSOL": ("Marinade staked SOL", "mSoLzYCxHdYgdzU16g5QSh3i5K3z3KZK7ytfqcJm7So"),
    "TRUMP": ("OFFICIAL TRUMP", "6p6xgHyF7AeE6TZkSmFsko444wqoP15icUSqi2jfGiPN"),
    "SOL": ("Wrapped SOL", "So11111111111111111111111111111111111111112"),
}


@dataclass(frozen=True)
class Story:
    """One position's history. Every `at` is a multiple of the price at which the simulated market starts."""

    symbol: str
    at: str
    spent_sol: str
    age: timedelta
    stop_loss: str | None = None
    """In percent of the average cost."""
    peak_at: str | None = None
    more: tuple[tuple[str, str], ...] = ()
    """DCA: at, SOL spent."""
    profits: tuple[tuple[str, str], ...] = ()
    """Take profit: at, part of the remaining amount."""
    plan: int | None = None
    """Take-profit levels planned."""
    moon_bag: bool = False
    closed_at: str | None = None
    close_reason: str = "manual"


# Agent's name and mode → its wallets: kind, address and the stories of its positions.
AGENTS: dict[tuple[str, Mode], dict[tuple[Mode, str], list[Story]]] = {
    ("Momentum", Mode.LIVE): {
        (Mode.SIMULATION, "DemoMomentumSimu1ation1111111111111111111111"): [
            Story("BONK", "0.86", "2.5", timedelta(hours=30), "-12", more=(("0.8", "1.5"),)),
            Story(
                "WIF",
                "0.74",
                "4",
                timedelta(days=3),
                "8",
                "1.21",
                profits=(("1.15", "0.25"), ("1.2", "0.25")),
                plan=4,
            ),
            Story("POPCAT", "1.09", "1.2", timedelta(hours=5), "-20"),
            Story("PENGU", "0.97", "0.8", timedelta(minutes=14), "-15"),
            Story("MEW", "1.22", "1.5", timedelta(days=2), "-25", more=(("1.05", "1"), ("0.98", "1"))),
            Story("W", "0.7", "2", timedelta(days=6), closed_at="0.98", close_reason="take profit"),
        ],
        (Mode.LIVE, "DemoMomentumLive1111111111111111111111111111"): [
            Story("JUP", "0.93", "3", timedelta(hours=9), "-10", "1.04"),
            Story("JTO", "1.06", "1.75", timedelta(hours=22), "-18", more=(("0.99", "0.75"),)),
            Story(
                "TRUMP",
                "0.42",
                "1",
                timedelta(days=9),
                "40",
                "2.3",
                profits=(("1.4", "0.5"), ("2.2", "0.5")),
                plan=2,
                moon_bag=True,
            ),
            Story("RAY", "1.01", "2.2", timedelta(minutes=48), "-8"),
            Story("BONK", "1.18", "1.5", timedelta(days=4), "-15", closed_at="1", close_reason="stop loss"),
        ],
    },
    ("Dip buyer", Mode.SIMULATION): {
        (Mode.SIMULATION, "DemoDipBuyerSimu1ation1111111111111111111111"): [
            Story("PYTH", "1.15", "1", timedelta(days=5), more=(("1.02", "1"), ("0.91", "1"), ("0.88", "2"))),
            Story("ORCA", "0.95", "2", timedelta(days=1), "-30"),
            Story("RENDER", "1.04", "1.6", timedelta(hours=3), "-10", more=(("1", "0.8"),)),
            Story("mSOL", "0.995", "12", timedelta(days=12)),
            Story(
                "BONK",
                "1.3",
                "0.5",
                timedelta(days=7),
                more=(("0.9", "1.5"),),
                profits=(("1.05", "0.25"), ("1.08", "0.25")),
                plan=4,
            ),
            Story("WIF", "1.03", "0.9", timedelta(minutes=3), "-10"),
            Story("JUP", "1.1", "1.4", timedelta(days=8), closed_at="0.97"),
            Story(
                "RAY",
                "0.9",
                "2",
                timedelta(days=2),
                profits=(("1.05", "0.5"),),
                closed_at="1.1",
                close_reason="take profit",
            ),
        ],
    },
}
