from django.apps import AppConfig


class NexgentConfig(AppConfig):
    name = "nexgent"

    def ready(self) -> None:
        from nexgent import checks  # noqa: F401  registers them
