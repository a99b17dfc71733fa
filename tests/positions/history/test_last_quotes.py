"""Last quotes of tokens that nobody has held for long are deleted with the history."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal

import pytest
from asgiref.sync import sync_to_async

from positions.history.last_quotes import OldQuotes
from positions.models import LastQuote, Position
from positions.prices.last_quotes import write_last_quotes
from positions.prices.quotes import WRAPPED_SOL, Quote
from positions.services import close_position, open_position
from tests.conftest import BONK, JUP, WIF
from tests.positions.history.conftest import NOON, World

pytestmark = pytest.mark.django_db(transaction=True)

LONG_AGO = NOON - timedelta(days=366)


def keep(moment: datetime, *tokens: str) -> None:
    write_last_quotes([Quote(token, Decimal(1), None, moment) for token in tokens])


@sync_to_async
def kept() -> set[str]:
    return set(LastQuote.objects.values_list("pk", flat=True))


async def test_quote_goes_once_its_token_has_not_been_held_for_as_long_as_history_is_kept(
    history: World, position: Position
):
    @sync_to_async
    def prepare() -> None:
        sold = open_position(
            wallet=position.wallet, token_address=WIF, tokens=Decimal(1), spent_sol=Decimal(1)
        )
        close_position(position_id=sold.pk, proceeds_sol=Decimal(1), reason="test")
        keep(LONG_AGO, BONK, WIF, WRAPPED_SOL)  # the source knows no price of BONK any more; it is held
        keep(NOON - timedelta(days=364), JUP)

    await prepare()
    assert (await history.recorder.write()).pruned == 2
    assert await kept() == {BONK, JUP}


def test_quotes_are_deleted_a_few_at_a_time():
    tokens = [f"{WIF[:-1]}{letter}" for letter in "ABCDEFGH"]
    keep(LONG_AGO, *tokens[:4], *tokens[6:])
    keep(NOON, *tokens[4:6])
    old = OldQuotes()
    deleted = [old.prune(before=NOON - timedelta(days=365), tokens=4, limit=3) for _ in range(4)]
    # Three of the first four, then two of the next four (D to G), then the last one; then it begins again.
    assert deleted == [3, 2, 1, 0]
    assert set(LastQuote.objects.values_list("pk", flat=True)) == set(tokens[4:6])
