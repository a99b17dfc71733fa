"""What one user may have: agents, wallets, open positions and different tokens, so that there is room for others.

The limits are settings, or a user's own (`Quota`). They hold for what services create: over REST, in the admin, from
code. Not for imports and direct writes through the ORM, which are an operator's; what these make counts, too. Selling,
closing, and buying more of what is held is never refused.

Counted in the transaction that creates. While the user is far from the limit, nothing is locked: fewer writers can be
in the middle of a transaction at once than WRITERS. Close to it, a lock on the user's row lets one after the other
count, so that any number at once stay within the limit.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from django.contrib.auth import get_user_model
from django.db import connections, router

from positions.conf import conf
from positions.errors import QuotaReached
from positions.models import Agent, Position, Quota
from positions.signals import refused_at_bound

WRITERS = 500
"""More than a database has connections."""


REMEDIES = {
    "agents": "delete agents that are not needed",
    "wallets": "delete wallets that are not needed",
    "positions": "close positions",
    "tokens": "sell all that is held of a token",
}
_HELD = """
    positions_position AS p JOIN positions_agent AS a ON a.id = p.agent_id
    WHERE a.owner_id = %s AND p.status = 'open'
"""
COUNTS = {
    "agents": "SELECT COUNT(*) FROM positions_agent WHERE owner_id = %s",
    "wallets": "SELECT COUNT(*) FROM positions_wallet WHERE owner_id = %s",
    "positions": f"SELECT COUNT(*) FROM {_HELD}",  # noqa: S608
    "tokens": f"SELECT COUNT(DISTINCT p.token_address) FROM {_HELD}",  # noqa: S608
}


class Limits(NamedTuple):
    """One user's. 0: no limit."""

    agents: int
    wallets: int
    positions: int
    tokens: int
    requests_per_second: float


def limits_of(user: Any) -> Limits:
    """Return what this user may have. A query, unless the user was read with its `quota`."""
    defaults = Limits(*(getattr(conf, f"USER_{name.upper()}") for name in Limits._fields))
    try:
        own = user.quota
    except Quota.DoesNotExist:
        return defaults
    given = {name: getattr(own, name) for name in Limits._fields}
    return defaults._replace(**{name: limit for name, limit in given.items() if limit is not None})


def is_near(owner: Any, quota: str, adding: int = 1) -> bool:
    """Return whether that many more could be too many, others that are being made at this moment included: one COUNT.

    What is far from the quota may be made without another look.
    """
    limit: int = getattr(limits_of(owner), quota)
    return bool(limit) and _used(owner, quota) + adding + WRITERS > limit


def check(owner: Any, quota: str, adding: int = 1) -> None:
    """Raise QuotaReached if the user may not have that many more, of `agents`, `wallets`, `positions` or `tokens`.

    In the transaction that makes them; agents that it locks are locked before.
    """
    if not is_near(owner, quota, adding):
        return
    lock_user(owner.pk)
    used, limit = _used(owner, quota), getattr(limits_of(owner), quota)
    if used + adding > limit:
        refused_at_bound.send(sender=Quota, bound=f"user_{quota}")
        raise QuotaReached(quota, used=used, limit=limit, remedy=REMEDIES[quota])


def check_position(owner: Any, token_address: str) -> None:
    """Raise QuotaReached if the user may not open a position in this token. Under its agent's lock.

    One COUNT; a lock and further queries only for a user who is close to a limit.
    """
    limits = limits_of(owner)
    if not limits.positions and not limits.tokens:
        return
    positions = _used(owner, "positions") + WRITERS
    if 0 < limits.positions <= positions:
        check(owner, "positions")
    # Each token has a position at least.
    if 0 < limits.tokens <= positions:
        held = Position.objects.open().filter(agent__owner_id=owner.pk, token_address=token_address)
        if not held.exists():
            check(owner, "tokens")


def lock_user(user_id: Any) -> None:
    """Lock the user's row until the transaction ends: after those of agents, never before."""
    # no_key: rows that refer to the user can be added meanwhile.
    users = get_user_model()._base_manager.select_for_update(no_key=True).filter(pk=user_id)
    list(users.order_by().values_list("pk"))


def _used(owner: Any, quota: str) -> int:
    # Written out: what the ORM takes to build these costs more than the database.
    connection = connections[router.db_for_write(Agent)]
    key = owner._meta.pk.get_db_prep_value(owner.pk, connection)  # a project's users may have UUIDs
    with connection.cursor() as cursor:
        cursor.execute(COUNTS[quota], [key])
        return int(cursor.fetchone()[0])
