from django.apps import AppConfig


class PositionsConfig(AppConfig):
    name = "positions"
    verbose_name = "Positions"

    def ready(self) -> None:
        from django.contrib.auth import get_user_model

        from positions import (
            checks,  # noqa: F401  registers them
            versions,
        )
        from positions.accounts import stored_tokens  # noqa: F401  connects its receiver
        from positions.history import values
        from positions.models import Agent, Position, Wallet, recording

        versions.require_checked("Django", "drf-spectacular")
        values.connect()
        recording.connect(
            Position,
            cascades={Position: "positions", Wallet: "wallets", Agent: "pk", get_user_model(): "owner"},
        )
