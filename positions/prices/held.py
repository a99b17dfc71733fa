"""What the feed reads from the database: which tokens are held, by whom, and what was last known of their prices."""

from __future__ import annotations

from collections.abc import Collection

from asgiref.sync import sync_to_async
from django.db import close_old_connections

from positions.models import Position
from positions.prices.last_quotes import read_last_quotes
from positions.prices.quotes import Quote, Token


@sync_to_async
def held_tokens() -> frozenset[Token]:
    """Return the tokens of all open positions. One statement; a token held under two names comes twice."""
    close_old_connections()  # as Django does around requests; the server may have restarted
    try:
        rows = Position.objects.open().order_by().values_list("token_address", "token_symbol").distinct()
        return frozenset(Token(address, symbol) for address, symbol in rows)
    finally:
        close_old_connections()


@sync_to_async
def owners_of(tokens: Collection[str] | None) -> dict[str, list[int]]:
    """Return the users who hold each of these tokens, or each of all tokens held. One statement."""
    close_old_connections()
    try:
        rows = Position.objects.open().order_by()
        if tokens is not None:
            rows = rows.filter(token_address__in=tokens)
        found: dict[str, list[int]] = {}
        for address, owner in rows.values_list("token_address", "agent__owner_id").distinct():
            found.setdefault(address, []).append(owner)
        return found
    finally:
        close_old_connections()


@sync_to_async
def last_quotes(tokens: Collection[str]) -> dict[str, Quote]:
    """Return what the database has of these tokens. One statement for a thousand."""
    wanted, found = list(tokens), dict[str, Quote]()
    close_old_connections()
    try:
        for begin in range(0, len(wanted), 1000):
            found |= read_last_quotes(wanted[begin : begin + 1000])
    finally:
        close_old_connections()
    return found
