"""`--owner`, of commands that name wallets by their address, which may be that of one wallet of each user."""

from __future__ import annotations

from collections.abc import Collection

from django.contrib.auth import get_user_model
from django.core.management.base import CommandError, CommandParser
from django.db.models import QuerySet

from positions.models import Wallet


def add_owner_option(parser: CommandParser) -> None:
    parser.add_argument("--owner", metavar="USER", help="only wallets of this user")


def wallets_of(owner: str | None) -> QuerySet[Wallet]:
    """Return the wallets of the user of this name; of all users without one. Raises CommandError."""
    if owner is None:
        return Wallet.objects.all()
    users = get_user_model()
    user = users._default_manager.filter(**{users.USERNAME_FIELD: owner}).first()
    if user is None:
        raise CommandError(f"There is no user {owner!r}.")
    return Wallet.objects.filter(owner=user)


def by_address(wallets: QuerySet[Wallet], addresses: Collection[str]) -> dict[str, list[Wallet]]:
    """Return the wallets of each of the addresses that exists."""
    found: dict[str, list[Wallet]] = {}
    some = list(addresses)
    for start in range(0, len(some), 500):  # SQLite takes at most 999 variables
        for wallet in wallets.filter(address__in=some[start : start + 500]):
            found.setdefault(wallet.address, []).append(wallet)
    return found
