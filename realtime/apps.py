from django.apps import AppConfig


class RealtimeConfig(AppConfig):
    name = "realtime"
    verbose_name = "Realtime"

    def ready(self) -> None:
        from realtime import daphne_server, layer, logs, uvicorn_server
        from realtime import signals as receivers  # noqa: F401  connects them

        layer.register_serializer()
        daphne_server.install()
        uvicorn_server.install()
        logs.tame()
