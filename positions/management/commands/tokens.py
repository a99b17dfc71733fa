"""`manage.py tokens`: lists tokens, and revokes them one by one."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.contrib.auth import get_user_model
from django.core.management.base import CommandError, CommandParser
from django.db.models import QuerySet
from django.utils import timezone

from positions.accounts.families import Ending, end
from positions.books.symbols import harmless
from positions.management import output
from positions.models import TokenFamily

COLUMNS = ("id", "user", "kind", "created", "last used", "until", "state", "name")


class Command(output.Command):
    help = (
        "List the logins and issued tokens that are valid, with their ids, newest first; with --revoke, revoke"
        " some of them: their tokens are refused from then on, and their sockets closed."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("user", nargs="?", help="only of this user")
        parser.add_argument("--all", action="store_true", help="those that ended or expired, too")
        parser.add_argument(
            "--revoke", action="append", default=[], metavar="ID", help="by id; may be repeated"
        )
        parser.add_argument("--revoke-all", action="store_true", help="all of USER's, which must be named")

    def handle(self, **options: Any) -> None:
        families = TokenFamily.objects.select_related("user")
        if options["user"] is not None:
            families = families.filter(user=_user(options["user"]))
        if options["revoke"] or options["revoke_all"]:
            self._revoke(families, options)
            return
        if not options["all"]:
            families = families.filter(ended_at=None, expires_at__gt=timezone.now())
        rows = [COLUMNS, *(_row(family) for family in families.iterator())]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        for row in rows:
            cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=True)]
            self.stdout.write("  ".join(cells).rstrip())

    def _revoke(self, families: QuerySet[TokenFamily], options: dict[str, Any]) -> None:
        if options["revoke_all"]:
            if options["user"] is None or options["revoke"]:
                raise CommandError("--revoke-all needs the name of a user, and no --revoke.")
        else:
            ids = {_id(text) for text in options["revoke"]}
            families = families.filter(pk__in=ids)
            if unknown := ids - set(families.values_list("pk", flat=True)):
                raise CommandError(f"There is no token {min(map(str, unknown))}: nothing was revoked.")
        count = end(families, Ending.REVOKED)
        self.stderr.write(f"{count} {'token' if count == 1 else 'tokens'} revoked.")


def _row(family: TokenFamily) -> tuple[str, ...]:
    kind = f"{family.kind}, read-only" if family.read_only else family.kind
    times = (family.created_at, family.last_used_at, family.expires_at)
    return (
        str(family.pk),
        harmless(family.user.get_username()),
        kind,
        *(f"{time:%Y-%m-%d %H:%M}" for time in times),
        family.state,
        harmless(family.name),
    )


def _user(name: str) -> Any:
    users = get_user_model()
    user = users._default_manager.filter(**{users.USERNAME_FIELD: name}).first()
    if user is None:
        raise CommandError(f"There is no user {name!r}.")
    return user


def _id(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise CommandError(f"--revoke must be an id that `manage.py tokens` lists; it is {text!r}.") from None
