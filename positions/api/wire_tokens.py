"""A user's tokens, as REST lists them."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from positions.api.wire import Id
from positions.books.snapshots import Timestamp, timestamp
from positions.models import TokenFamily

KindName = Annotated[str, Meta(extra_json_schema={"enum": TokenFamily.Kind.values})]
EndingName = Annotated[str, Meta(extra_json_schema={"enum": TokenFamily.Ending.values})]


class TokenOnRest(Struct, rename="camel", kw_only=True):
    """All tokens of one login, or of one `issue_token`: they end together."""

    id: Id
    kind: KindName
    name: str
    read_only: bool
    created_at: Timestamp
    last_used_at: Timestamp
    """To within some minutes."""
    expires_at: Timestamp
    """When the last token handed out so far expires."""
    ends_at: Timestamp
    """No refresh goes beyond this."""
    ended_at: Timestamp | None
    ended_because: EndingName | None
    current: bool
    """Whether the request's own token is one of these."""


def token_on_rest(family: TokenFamily, *, current: bool) -> TokenOnRest:
    return TokenOnRest(
        id=str(family.pk),
        kind=family.kind,
        name=family.name,
        read_only=family.read_only,
        created_at=timestamp(family.created_at),
        last_used_at=timestamp(family.last_used_at),
        expires_at=timestamp(family.expires_at),
        ends_at=timestamp(family.ends_at),
        ended_at=timestamp(family.ended_at) if family.ended_at else None,
        ended_because=family.ended_because or None,
        current=current,
    )
