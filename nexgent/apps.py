from django.apps import AppConfig


class NexgentConfig(AppConfig):
    name = "nexgent"
    default = True  # of the two here

    def ready(self) -> None:
        from nexgent import checks  # noqa: F401  registers them


class DaphneConfig(AppConfig):
    """daphne's `runserver`, as daphne's own config has it, which also loads Twisted: 0.2 s of every other command."""

    name = "daphne"
