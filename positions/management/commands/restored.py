"""`manage.py restored`: tell clients that the database is a restored one."""

from __future__ import annotations

from typing import Any

from positions.management import output
from positions.models import Restore
from positions.models.restores import epoch


class Command(output.Command):
    help = (
        "Run this after the database was restored from a backup. Events since the backup are lost and their numbers"
        " are given again: every client gets a fresh snapshot instead of what it seems to have missed."
    )

    def handle(self, **options: Any) -> None:
        Restore.objects.create()
        self.stdout.write(f"The epoch is now {epoch()}. Each client gets a fresh snapshot.")
