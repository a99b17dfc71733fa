"""`manage.py issue_token`: an access token for a bot."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from django.contrib.auth import get_user_model
from django.core.management.base import CommandError, CommandParser

from positions.accounts.families import NotActive, issue
from positions.accounts.identity import FAMILY_CLAIM
from positions.management import output
from positions.management.ages import LONGEST, parse_age
from positions.models.tokens import LONGEST_NAME


class Command(output.Command):
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
        parser.add_argument("--name", default="", help="by which to find it again: manage.py tokens")

    def handle(self, **options: Any) -> None:
        lifetime = parse_age(options["lifetime"])
        if lifetime is None or lifetime > LONGEST:
            raise CommandError(
                f"--lifetime must be such as 30d, 12h or 90m, at most {LONGEST.days}d; it is {options['lifetime']!r}."
            )
        if len(options["name"]) > LONGEST_NAME:
            raise CommandError(
                f"--name must have at most {LONGEST_NAME} characters; it has {len(options['name'])}."
            )
        users = get_user_model()
        user = users._default_manager.filter(**{users.USERNAME_FIELD: options["user"]}).first()
        if user is None:
            raise CommandError(f"There is no user {options['user']!r}.")
        try:
            token = issue(user, lifetime=lifetime, read_only=options["read_only"], name=options["name"])
        except NotActive:
            raise CommandError(f"User {options['user']!r} is inactive: a token would be refused.") from None
        self.stdout.write(str(token))
        kind = "read-only token" if options["read_only"] else "token"
        until = datetime.fromtimestamp(token["exp"], tz=UTC)
        self.stderr.write(f"A {kind} of {options['user']}, until {until:%Y-%m-%d %H:%M} UTC.")
        self.stderr.write(f"To revoke it: manage.py tokens --revoke {token[FAMILY_CLAIM]}")
