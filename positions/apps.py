from django.apps import AppConfig


class PositionsConfig(AppConfig):
    name = "positions"
    verbose_name = "Positions"

    def ready(self) -> None:
        from positions import checks, signals, stored_tokens  # noqa: F401  registers them, connects the receivers
