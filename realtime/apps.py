from django.apps import AppConfig


class RealtimeConfig(AppConfig):
    name = "realtime"
    default_auto_field = "django.db.models.BigAutoField"  # whatever the project has for its own models
    verbose_name = "Realtime"

    def ready(self) -> None:
        from positions.versions import require_checked
        from realtime import checks  # noqa: F401  registers them
        from realtime.monitoring import library_logs
        from realtime.protocol.serializer import register_serializer
        from realtime.publish import signals  # noqa: F401  connects its receivers
        from realtime.servers import connections, running

        require_checked("daphne")
        register_serializer()
        connections.install()
        running.install()
        library_logs.install()
