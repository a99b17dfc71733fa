from django.apps import AppConfig


class RealtimeConfig(AppConfig):
    name = "realtime"
    verbose_name = "Realtime"

    def ready(self) -> None:
        from realtime import daphne_server, layer, logs, signals  # noqa: F401  signals: connects the receivers

        layer.register_serializer()
        daphne_server.install()
        logs.redact_server_logs()
