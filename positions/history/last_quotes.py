"""Deletes the last quotes of tokens that nobody has held for as long as history is kept.

The feed writes those of held tokens (`positions.prices.keeper`), so the others grow old.
"""

from __future__ import annotations

from datetime import datetime

from django.db.models import Exists, OuterRef

from positions.history.pruning import delete_some
from positions.models import LastQuote, Position


class OldQuotes:
    """Goes through the tokens, some at a time."""

    def __init__(self) -> None:
        self._pruned_to = ""

    def prune(self, *, before: datetime, tokens: int, limit: int) -> int:
        """Delete up to `limit` quotes from before then, of the next tokens; return how many. A query and a deletion.

        Repeated calls go through all tokens. A quote that is old because the source does not answer stays while its
        token is held.
        """
        keys = list(
            LastQuote.objects.filter(pk__gt=self._pruned_to)
            .order_by("pk")
            .values_list("pk", flat=True)[:tokens]
        )
        held = Position.objects.open().filter(token_address=OuterRef("pk"))
        old = LastQuote.objects.filter(~Exists(held), pk__in=keys, as_of__lt=before)
        deleted = delete_some(old, limit=limit)
        if deleted < limit:
            self._pruned_to = keys[-1] if len(keys) == tokens else ""
        return deleted
