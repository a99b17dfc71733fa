"""Holdings and prices of each round, computed and the same for every row, so that messages can be checked.

servers/seed.cjs has the same rules in JavaScript.
"""

from __future__ import annotations

import json
from decimal import Decimal
from uuid import UUID

POSITIONS_PER_AGENT = 10
FIRST_ROUND = 10_001
"""Prices have as many digits as real ones from here on."""
SOL_USD = Decimal("187.42")
_PREFIX = "BenchmarkTokenAAAAAAAAAAAAAAAAAAAAAAAA"
_SCALE = 100_000
"""A price is (round · this + number of the token + 1) · 10⁻¹¹ SOL: its first six decimals are the round."""


def token(number: int) -> str:
    """Return the address of a token: 44 characters of base58."""
    return _PREFIX + str(number).zfill(6).replace("0", "z")


def agent_id(number: int, tokens: int) -> str:
    """Return the id of an agent in the market of so many tokens."""
    return str(UUID(int=(tokens << 64) | number))


def holdings(number: int, tokens: int) -> list[int]:
    """Return the numbers of the tokens that an agent holds; each token is held by about equally many agents."""
    stride = tokens // POSITIONS_PER_AGENT
    return [(7 * number + place * stride) % tokens for place in range(POSITIONS_PER_AGENT)]


def price(round_number: int, token_number: int) -> Decimal:
    """Return a price in SOL that encodes its round and its token."""
    return Decimal(round_number * _SCALE + token_number + 1).scaleb(-11)


def is_price(value: float, round_number: int, token_number: int) -> bool:
    return round(value * 1e11) == round_number * _SCALE + token_number + 1


def prebuilt(number: int, tokens: int, round_number: int = FIRST_ROUND) -> str:
    """Return the message that bare servers send to an agent in a round: as long as this project's."""
    updates = [
        {
            "tokenAddress": token(held),
            "price": float(price(round_number, held)),
            "priceUsd": float(price(round_number, held) * SOL_USD),
        }
        for held in holdings(number, tokens)
    ]
    data = {"updates": updates, "timestamp": "2026-11-25T09:00:00.000Z"}
    return json.dumps({"type": "price_update_batch", "data": data}, separators=(",", ":"))


def number_of(agent: str) -> int:
    return int(agent[-12:], 16)
