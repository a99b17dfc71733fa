"""`manage.py resync`: have clients read again what agents hold, after changes past Django."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.core.management.base import CommandError, CommandParser

from positions.management import output
from positions.models import Agent, recording

AGENTS_AT_ONCE = 500


class Command(output.Command):
    help = (
        "Have every client of these agents get a fresh initial_data: after positions were changed by SQL, a restored"
        " table, or anything else that makes no events."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("agents", nargs="*", metavar="AGENT", help="the id of an agent")
        parser.add_argument("--all", action="store_true", help="all agents")

    def handle(self, **options: Any) -> None:
        if bool(options["agents"]) == options["all"]:
            raise CommandError("Name agents by their ids, or use --all.")
        if options["all"]:
            keys = list(Agent.objects.order_by("pk").values_list("pk", flat=True))
        else:
            keys = sorted({_read(text) for text in options["agents"]})
            known = set(Agent.objects.filter(pk__in=keys).values_list("pk", flat=True))
            if unknown := [str(key) for key in keys if key not in known]:
                raise CommandError(f"There is no agent {', '.join(unknown)}.")
        count = 0
        for start in range(
            0, len(keys), AGENTS_AT_ONCE
        ):  # a transaction each: writers wait for a part at most
            count += recording.start_over(keys[start : start + AGENTS_AT_ONCE])
        noun = "agent" if count == 1 else "agents"
        self.stdout.write(f"Clients of {count:,} {noun} get a fresh initial_data.")


def _read(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError as error:
        raise CommandError(f"{text!r} is not the id of an agent.") from error
