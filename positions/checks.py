"""System checks: settings that make no sense are found when a command starts, each with an id and a hint."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, register

from positions.prices import plugged, sources


@register
def price_sources(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """E001: an entry of PRICES["SOURCES"] that is no price source. E002: one that takes a built-in one's name."""
    errors: list[CheckMessage] = []
    for name, path in settings.PRICES["SOURCES"].items():
        problem, source_class = plugged.find(path)
        if source_class is None:
            errors.append(
                Error(
                    f"The price source {name!r} cannot be loaded: {problem}.",
                    hint="An entry of NEXGENT_PRICE_SOURCES is name=package.module.Class (docs/building-on-it.md).",
                    id="positions.E001",
                )
            )
        if name in sources.NAMES or name == sources.AUTO:
            errors.append(
                Error(
                    f"The price source {name!r} has the name of a built-in source.",
                    hint="Give it another name in NEXGENT_PRICE_SOURCES.",
                    id="positions.E002",
                )
            )
    return errors
