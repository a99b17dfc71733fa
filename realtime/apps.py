from django.apps import AppConfig


class RealtimeConfig(AppConfig):
    name = "realtime"
    verbose_name = "Realtime"

    def ready(self) -> None:
        from positions.versions import require_checked
        from realtime.monitoring import outage_logs
        from realtime.protocol import envelopes
        from realtime.publish import signals  # noqa: F401  connects its receivers
        from realtime.servers import daphne, uvicorn

        require_checked("daphne")
        envelopes.register_serializer()
        daphne.install()
        uvicorn.install()
        outage_logs.install()
