from django.apps import AppConfig


class PositionsConfig(AppConfig):
    name = "positions"
    # Whatever the project has for its own models: `makemigrations` would write a migration into this package.
    default_auto_field = "django.db.models.BigAutoField"
    verbose_name = "Positions"

    def ready(self) -> None:
        from django.contrib.auth import get_user_model
        from django.db.models.signals import post_migrate, pre_migrate

        from positions import (
            checks,  # noqa: F401  registers them
            versions,
        )
        from positions.accounts import keys
        from positions.history import values
        from positions.models import Agent, Position, Trade, Wallet, deletions, times, user_changes
        from positions.models.guard import Guard

        versions.require_checked("Django", "djangorestframework-simplejwt", "drf-spectacular")
        keys.install()
        times.install()
        values.connect()
        pre_migrate.connect(user_changes.before_migrations, sender=self)
        post_migrate.connect(user_changes.after_migrations, sender=self)
        deletions.connect(
            Position,
            cascades={Position: "positions", Wallet: "wallets", Agent: "pk", get_user_model(): "owner"},
        )
        Guard(Position, Agent, Wallet, Trade).install()
