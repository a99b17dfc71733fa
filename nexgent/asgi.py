"""The application that daphne and uvicorn serve: `nexgent.asgi:application`."""

import gc
import os

from channels.routing import ProtocolTypeRouter
from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "nexgent.settings")
http = get_asgi_application()  # first: it loads the apps that the imports below need

from realtime.servers.shutdown import GracefulShutdown  # noqa: E402
from realtime.socket.routing import websocket_application  # noqa: E402

application = GracefulShutdown(ProtocolTypeRouter({"http": http, "websocket": websocket_application()}))

# What is loaded by now stays loaded. Otherwise the garbage collector would scan it again and again, for 0.1 s each, in
# which no socket is served.
gc.collect()
gc.freeze()
# There are hardly any cycles. Looking for them every 700 objects, so many times per round of prices, took 16 % of the
# time of a process with 5,000 sockets and 20,000 tokens (perf).
gc.set_threshold(50_000, 20, 20)
