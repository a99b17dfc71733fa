"""`manage.py issue_token`: an access token for a bot."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from django.contrib.auth import get_user_model
from django.core.management.base import BaseCommand, CommandError, CommandParser

from positions.accounts.scopes import issue
from positions.management.ages import LONGEST, parse_age


class Command(BaseCommand):
    help = (
        "Print an access token of a user, valid for REST and sockets. Standard output has only the token; its"
        " description goes to standard error."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("user", help="the name that the user logs in with")
        parser.add_argument(
            "--lifetime", default="30d", metavar="AGE", help="such as 30d (the default), 12h or 90m"
        )
        parser.add_argument(
            "--read-only", action="store_true", help="the token may read and watch, not write"
        )

    def handle(self, **options: Any) -> None:
        lifetime = parse_age(options["lifetime"])
        if lifetime is None or lifetime > LONGEST:
            raise CommandError(
                f"--lifetime must be such as 30d, 12h or 90m, at most {LONGEST.days}d; it is {options['lifetime']!r}."
            )
        users = get_user_model()
        user = users._default_manager.filter(**{users.USERNAME_FIELD: options["user"]}).first()
        if user is None:
            raise CommandError(f"There is no user {options['user']!r}.")
        if not user.is_active:
            raise CommandError(f"User {options['user']!r} is inactive: a token would be refused.")
        token = issue(user, lifetime=lifetime, read_only=options["read_only"])
        self.stdout.write(str(token))
        kind = "read-only token" if options["read_only"] else "token"
        until = datetime.fromtimestamp(token["exp"], tz=UTC)
        self.stderr.write(f"A {kind} of {options['user']}, until {until:%Y-%m-%d %H:%M} UTC.")
