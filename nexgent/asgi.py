"""The application that daphne and uvicorn serve: `nexgent.asgi:application`."""

import gc

import django
from django.conf import settings
from django.core.handlers.asgi import ASGIHandler

from nexgent.start import read_settings
from realtime.asgi import with_realtime

read_settings()
django.setup(set_prefix=False)

from nexgent.checks import log_warnings  # noqa: E402  these need the apps
from realtime.web.in_loop import in_loop  # noqa: E402

settings.MIDDLEWARE = in_loop(settings.MIDDLEWARE)
application = with_realtime(ASGIHandler())
log_warnings()

# What is loaded by now stays loaded. Otherwise the garbage collector would scan it again and again, for 0.1 s each, in
# which no socket is served.
gc.collect()
gc.freeze()
