"""`manage.py diffsettings`: Django's own, without secrets."""

from __future__ import annotations

from typing import Any

from django.core.management.color import no_style
from django.core.management.commands import diffsettings

from positions.management import output
from realtime.monitoring.known_secrets import hide


class Command(output.Command, diffsettings.Command):
    help = "Show the settings that differ from Django's own. Secrets are hidden, also inside of URLs."

    def handle(self, **options: Any) -> str:
        self.style = no_style()
        return hide(str(super().handle(**options)))
