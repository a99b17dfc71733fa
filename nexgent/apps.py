from django.apps import AppConfig
from django.contrib.staticfiles.apps import StaticFilesConfig


class NexgentConfig(AppConfig):
    name = "nexgent"
    default = True  # of those here

    def ready(self) -> None:
        from nexgent import checks  # noqa: F401  registers them


class DaphneConfig(AppConfig):
    """daphne's `runserver`, as daphne's own config has it, which also loads Twisted: 0.2 s of every other command."""

    name = "daphne"


class OwnStaticFilesConfig(StaticFilesConfig):
    """`collectstatic` without what no page here uses: of drf-spectacular-sidecar, Redoc, half of all bytes."""

    ignore_patterns = [*StaticFilesConfig.ignore_patterns, "redoc"]
