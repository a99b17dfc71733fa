"""Settings, all from the environment. Without any, everything runs on this machine, in debug mode, below `var/`.

Invalid ones are collected by `env`, whose `check` on the last line stops the start.
"""

from __future__ import annotations

import logging
import os
import re
from datetime import timedelta
from pathlib import Path
from typing import Any

from nexgent.addresses import database, redis_urls
from nexgent.environment import (
    PREFIX,
    SHORTEST_SECRET_KEY,
    Environment,
    host,
    secret_key,
    trusted_origin,
    url_prefix,
)
from nexgent.outside_issuer import outside_issuer
from positions.api.description import SPECTACULAR
from positions.declared import DAY, MINUTE
from realtime.conf import RealtimeSettings, channel_layer

env = Environment(os.environ)

BASE_DIR = Path(__file__).resolve().parent.parent
DATA_DIR = env.folder("NEXGENT_DATA_DIR", BASE_DIR / "var")

# What `positions` and `realtime` are told; docs/settings.md describes each of these.
NEXGENT: dict[str, Any] = {
    "DATA_DIR": DATA_DIR,
    "OUTSIDE_ISSUER": outside_issuer(env),
    **env.given(RealtimeSettings),
}
if urls := redis_urls(env):
    NEXGENT |= {"REDIS_URL": urls[0], "REDIS_URLS": urls}

DEBUG = env.flag("NEXGENT_DEBUG", default=True)
SECRET_KEY = secret_key(env, debug=DEBUG, data_dir=DATA_DIR)
# Keys of before: what they signed is still valid. docs/operations.md: how to replace a key.
SECRET_KEY_FALLBACKS = env.credentials("NEXGENT_SECRET_KEY_FALLBACKS", shortest=SHORTEST_SECRET_KEY)
LOCAL_HOSTS = ["localhost", "127.0.0.1", "[::1]"]
ALLOWED_HOSTS = env.items(
    "NEXGENT_ALLOWED_HOSTS", LOCAL_HOSTS if DEBUG else [], host, "names without scheme, port and path"
)
if not DEBUG and not ALLOWED_HOSTS:
    env.errors.append("NEXGENT_ALLOWED_HOSTS must name the hosts served when NEXGENT_DEBUG is off.")
CSRF_TRUSTED_ORIGINS = env.items(
    "NEXGENT_TRUSTED_ORIGINS", [], trusted_origin, "origins such as https://app.example.org"
)
CSRF_FAILURE_VIEW = "realtime.web.views.forbidden"

# Pages of these origins may open sockets and use the REST API, with a token: the cookie of
# /api/session/ is for our own page only.
CORS_ALLOWED_ORIGINS = NEXGENT.get("ALLOWED_ORIGINS", [])
CORS_URLS_REGEX = r"/api/(?!session/)"
CORS_ALLOW_HEADERS = ["accept", "authorization", "content-type", "idempotency-key", "x-request-id"]
CORS_EXPOSE_HEADERS = ["retry-after", "www-authenticate", "x-request-id"]

INSTALLED_APPS = [
    "nexgent.apps.DaphneConfig",  # first: it replaces `runserver`
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "nexgent.apps.OwnStaticFilesConfig",
    "servestatic",
    "channels",
    "corsheaders",
    "rest_framework",
    "rest_framework_simplejwt.token_blacklist",  # its tables only, which servers of the release before use
    "django_filters",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "positions",
    "realtime",
    "nexgent",
]

MIDDLEWARE = [
    "realtime.monitoring.request_ids.request_ids",
    "realtime.web.headers.SecurityHeaders",
    "realtime.web.refusals.known_hosts",
    "corsheaders.middleware.CorsMiddleware",  # before whatever may answer an error
    "django.middleware.security.SecurityMiddleware",
    "realtime.servers.bodies.refuse_bodies",
    "realtime.web.views.DatabaseOutages",
    "realtime.web.refusals.StaticFiles",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]

ROOT_URLCONF = "nexgent.urls"
ASGI_APPLICATION = "nexgent.asgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]

# Data

DATABASES = {"default": database(env, data_dir=DATA_DIR)}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

CHANNEL_LAYERS = {"default": channel_layer(NEXGENT)}

# People and tokens

AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator"},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "django.contrib.auth.password_validation.NumericPasswordValidator"},
]
AUTHENTICATION_BACKENDS = ["positions.accounts.logins.LockingBackend"]
SIMPLE_JWT: dict[str, Any] = {
    "ACCESS_TOKEN_LIFETIME": timedelta(
        minutes=env.duration("NEXGENT_ACCESS_TOKEN_MINUTES", 30.0, unit=MINUTE)
    ),
    "REFRESH_TOKEN_LIFETIME": timedelta(days=env.duration("NEXGENT_REFRESH_TOKEN_DAYS", 7.0, unit=DAY)),
    "UPDATE_LAST_LOGIN": True,
    # Seconds by which the clocks of two machines may differ: for `exp`, `nbf` and `iat`, of every token.
    "LEEWAY": env.number("NEXGENT_JWT_LEEWAY_SECONDS", 10.0, minimum=0, maximum=300),
}
# The API has its own classes (positions/api/rules.py); its document is made by this one.
REST_FRAMEWORK = {"DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema"}
SPECTACULAR_SETTINGS = {**SPECTACULAR, "SCHEMA_PATH_PREFIX": "/api/"}

# Web

# Of forms; the API has a lower limit of its own (positions/api/json.py).
DATA_UPLOAD_MAX_MEMORY_SIZE = env.number("NEXGENT_MAX_BODY_BYTES", 2_621_440)
LANGUAGE_CODE = "en-us"
TIME_ZONE = "UTC"
USE_TZ = True
# None, not "": then a server's own root_path counts, for all but static files.
URL_PREFIX = url_prefix(env, "NEXGENT_URL_PREFIX")
FORCE_SCRIPT_NAME = URL_PREFIX or None
STATIC_URL = f"{URL_PREFIX}/static/"
STATIC_ROOT = env.folder("NEXGENT_STATIC_DIR", DATA_DIR / "static")
SERVESTATIC_USE_FINDERS = DEBUG
SERVESTATIC_AUTOREFRESH = DEBUG
# What is compressed already, and source maps: only a debugger asks for them, and they are large.
SERVESTATIC_SKIP_COMPRESS_EXTENSIONS = [
    "jpg", "jpeg", "png", "gif", "webp", "avif", "zip", "gz", "br", "woff", "woff2", "map",
]  # fmt: skip
SSL_REDIRECT = env.flag("NEXGENT_SSL_REDIRECT", default=True)
HSTS_SECONDS = env.duration("NEXGENT_HSTS_SECONDS", 31_536_000, minimum=0)
HSTS_SUBDOMAINS = env.flag("NEXGENT_HSTS_SUBDOMAINS", default=True)
# What the lists of browsers want: https://hstspreload.org/#deployment-recommendations
HSTS_CAN_PRELOAD = HSTS_SUBDOMAINS and HSTS_SECONDS >= 31_536_000
HSTS_PRELOAD = env.flag("NEXGENT_HSTS_PRELOAD", default=HSTS_CAN_PRELOAD)
if HSTS_PRELOAD and not HSTS_CAN_PRELOAD:
    env.errors.append(
        "NEXGENT_HSTS_PRELOAD must be off unless NEXGENT_HSTS_SUBDOMAINS is on and NEXGENT_HSTS_SECONDS at least"
        " 31536000: browsers' lists take no other domain."
    )
if not DEBUG:
    STORAGES = {
        "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
        "staticfiles": {"BACKEND": "servestatic.storage.CompressedManifestStaticFilesStorage"},
    }
    if NEXGENT.get("BEHIND_PROXY"):
        SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    SECURE_SSL_REDIRECT = SSL_REDIRECT
    # Without the prefix, too: probes pass the proxy by.
    _BELOW = f"^(?:{re.escape(URL_PREFIX[1:])}/)?" if URL_PREFIX else "^"
    SECURE_REDIRECT_EXEMPT = [rf"{_BELOW}health", rf"{_BELOW}metrics$"]  # requested from inside, without TLS
    SECURE_HSTS_SECONDS = HSTS_SECONDS
    SECURE_HSTS_INCLUDE_SUBDOMAINS = HSTS_SUBDOMAINS
    SECURE_HSTS_PRELOAD = HSTS_PRELOAD
    SESSION_COOKIE_SECURE = True
    CSRF_COOKIE_SECURE = True

# Without secrets, in debug mode, too.
DEFAULT_EXCEPTION_REPORTER = "realtime.monitoring.reports.Reporter"
DEFAULT_EXCEPTION_REPORTER_FILTER = "realtime.monitoring.reports.Filter"

LOG_LEVEL = env.choice("NEXGENT_LOG_LEVEL", "INFO", list(logging.getLevelNamesMapping()))
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "json": {"()": "realtime.monitoring.log_lines.JsonFormatter"},
        "text": {
            "()": "realtime.monitoring.log_lines.TextFormatter",
            "format": "{asctime} {levelname} {name}: {message}",
            "style": "{",
        },
    },
    "filters": {"outages": {"()": "realtime.monitoring.outages.OncePerOutage"}},
    "handlers": {
        "stderr": {
            "class": "logging.StreamHandler",
            "filters": ["outages"],
            "formatter": env.choice("NEXGENT_LOG_FORMAT", "text" if DEBUG else "json", ["json", "text"]),
        }
    },
    # Libraries, and the servers, whose levels are set on their command lines.
    "root": {"handlers": ["stderr"]},
    "loggers": {
        "positions": {"level": LOG_LEVEL},
        "realtime": {"level": LOG_LEVEL},
        "django": {"handlers": [], "level": "INFO", "propagate": True},
        "django.request": {"level": "ERROR"},  # not a line for every 404
        "uvicorn": {"handlers": [], "propagate": True},
        "uvicorn.access": {"handlers": [], "propagate": True},
        "push_response": {
            "handlers": [],
            "propagate": True,
        },  # redis-py gives it a handler if it is not there yet
    },
}
env.errors += [
    f"{PREFIX}{name} must be {wanted}."
    for name, wanted in RealtimeSettings.contradictions(NEXGENT, prefix=PREFIX)
]
env.check()
