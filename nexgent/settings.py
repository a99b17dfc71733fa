"""Settings, all from the environment. Without any, everything runs on this machine, in debug mode, below `var/`.

Invalid ones are collected by `env`, whose `check` on the last line stops the start.
"""

from __future__ import annotations

import logging
import os
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from nexgent.environment import (
    DAY,
    MINUTE,
    Environment,
    database,
    embedded_valkey_socket,
    origin,
    price_sources,
    redis_urls,
    secret_key,
)

env = Environment(os.environ)

BASE_DIR = Path(__file__).resolve().parent.parent
DATA_DIR = Path(env.text("NEXGENT_DATA_DIR", str(BASE_DIR / "var"))).expanduser().resolve()

DEBUG = env.flag("NEXGENT_DEBUG", default=True)
SECRET_KEY = secret_key(env, debug=DEBUG, data_dir=DATA_DIR)
LOCAL_HOSTS = ["localhost", "127.0.0.1", "[::1]"]
ALLOWED_HOSTS = env.items("NEXGENT_ALLOWED_HOSTS", LOCAL_HOSTS if DEBUG else [], str)
if not DEBUG and not ALLOWED_HOSTS:
    env.errors.append("NEXGENT_ALLOWED_HOSTS must name the hosts served when NEXGENT_DEBUG is off.")
# Only if a proxy sets X-Forwarded-For and -Proto itself: a client that connects directly could send anything.
BEHIND_PROXY = env.flag("NEXGENT_BEHIND_PROXY", default=False)
CSRF_TRUSTED_ORIGINS = env.items("NEXGENT_TRUSTED_ORIGINS", [], str)
CSRF_FAILURE_VIEW = "realtime.web.views.forbidden"

# Pages of these origins may open sockets (REALTIME, below) and use the REST API, with a token: the cookie of
# /api/session/ is for our own page only.
CORS_ALLOWED_ORIGINS = env.items(
    "NEXGENT_ALLOWED_ORIGINS", [], origin, "origins such as https://app.example.org"
)
CORS_URLS_REGEX = r"/api/(?!session/)"
CORS_ALLOW_HEADERS = ["accept", "authorization", "content-type", "idempotency-key", "x-request-id"]
CORS_EXPOSE_HEADERS = ["retry-after", "www-authenticate", "x-request-id"]

INSTALLED_APPS = [
    "daphne",  # first: it replaces `runserver`
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "servestatic",
    "channels",
    "corsheaders",
    "rest_framework",
    "rest_framework_simplejwt.token_blacklist",
    "django_filters",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "positions",
    "realtime",
    "nexgent",
]

MIDDLEWARE = [
    "realtime.monitoring.request_ids.request_ids",
    "corsheaders.middleware.CorsMiddleware",  # before whatever may answer an error
    "django.middleware.security.SecurityMiddleware",
    "realtime.web.headers.SecurityHeaders",
    "servestatic.middleware.ServeStaticMiddleware",
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

REDIS_URLS = redis_urls(env, data_dir=DATA_DIR)
# Where the Valkey of `manage.py up` listens; None if REDIS_URL names a server.
EMBEDDED_VALKEY_SOCKET = None if env.text("REDIS_URL") else embedded_valkey_socket(DATA_DIR)
REDIS_URL = REDIS_URLS[0]  # the price cache and who is connected; the other shards carry messages only
CHANNEL_LAYERS = {
    "default": {
        # It survives a restart of the server behind it; what it loses is read from the database (docs/adr/0002).
        "BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer",
        "CONFIG": {
            # Protocol 2: with 3, redis-py 8 formats every message for a log that is off, a quarter of the cost of
            # receiving a round of 200 prices.
            "hosts": [{"address": url, "protocol": 2} for url in REDIS_URLS],
            "prefix": "nexgent",
            "serializer_format": "msgspec",
        },
    }
}

# People and tokens

AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator"},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "django.contrib.auth.password_validation.NumericPasswordValidator"},
]
AUTHENTICATION_BACKENDS = ["positions.accounts.logins.LockingBackend"]
LOGINS: dict[str, Any] = {
    "FAILURES": env.number("NEXGENT_LOGIN_FAILURES", 10),
    "LOCK_SECONDS": env.duration("NEXGENT_LOGIN_LOCK_SECONDS", 900.0),
    "TOKEN_REQUESTS_PER_MINUTE": env.number("NEXGENT_TOKEN_REQUESTS_PER_MINUTE", 60),
}
SIMPLE_JWT = {
    "ACCESS_TOKEN_LIFETIME": timedelta(
        minutes=env.duration("NEXGENT_ACCESS_TOKEN_MINUTES", 30.0, unit=MINUTE)
    ),
    "REFRESH_TOKEN_LIFETIME": timedelta(days=env.duration("NEXGENT_REFRESH_TOKEN_DAYS", 7.0, unit=DAY)),
    "ROTATE_REFRESH_TOKENS": True,
    "BLACKLIST_AFTER_ROTATION": True,
    "UPDATE_LAST_LOGIN": True,
}
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["positions.accounts.sessions.SessionAuthentication"],
    "DEFAULT_PERMISSION_CLASSES": [
        "rest_framework.permissions.IsAuthenticated",
        "positions.accounts.scopes.TokenMayWrite",
    ],
    "DEFAULT_PARSER_CLASSES": ["positions.api.json.ExactJSONParser"],
    "DEFAULT_RENDERER_CLASSES": ["positions.api.json.ExactJSONRenderer"],
    "EXCEPTION_HANDLER": "positions.api.errors.handle",
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
}
SPECTACULAR_SETTINGS = {
    "TITLE": "Nexgent",
    "DESCRIPTION": (
        "The positions of trading agents and their value. Live: the socket at /ws, described at /api/asyncapi.yaml."
        " A token with the scope `read` can only read and watch: a write with it answers 403."
    ),
    "VERSION": "1",
    "OAS_VERSION": "3.1.0",
    "SCHEMA_PATH_PREFIX": "/api/",
    "ENFORCE_NON_BLANK_FIELDS": True,
    "POSTPROCESSING_HOOKS": ["positions.api.schema.add_components"],
}

# The socket: docs/settings.md describes each of these.

REALTIME: dict[str, Any] = {
    "PING_INTERVAL_SECONDS": env.duration("NEXGENT_PING_INTERVAL_SECONDS", 30.0),
    "DEAD_AFTER_SECONDS": env.duration("NEXGENT_DEAD_AFTER_SECONDS", 60.0),
    "MAX_MESSAGE_BYTES": env.number("NEXGENT_MAX_MESSAGE_BYTES", 16_384),
    "INBOUND_MESSAGES_PER_SECOND": env.number("NEXGENT_INBOUND_MESSAGES_PER_SECOND", 10.0),
    "INBOUND_BURST": env.number("NEXGENT_INBOUND_BURST", 40),
    "MAX_SOCKETS": env.number("NEXGENT_MAX_SOCKETS", 20_000),
    "MAX_UNSENT_EVENTS": env.number("NEXGENT_MAX_UNSENT_EVENTS", 1_000),
    "RETRY_AFTER_SECONDS": env.duration("NEXGENT_RETRY_AFTER_SECONDS", 2.0),
    "RECONCILE_SECONDS": env.duration("NEXGENT_RECONCILE_SECONDS", 5.0),
    "MAX_REPLAYED_EVENTS": env.number("NEXGENT_MAX_REPLAYED_EVENTS", 500),
    "CONNECTS_PER_SECOND": env.number("NEXGENT_CONNECTS_PER_SECOND", 200.0),
    "CONNECT_BURST": env.number("NEXGENT_CONNECT_BURST", 2_000),
    "CLOSE_SECONDS": env.duration("NEXGENT_CLOSE_SECONDS", 10.0),
    "PRESENCE_SECONDS": env.duration("NEXGENT_PRESENCE_SECONDS", 5.0),
    "DATABASE_THREADS": env.number("NEXGENT_DATABASE_THREADS", 8),
    "ALLOWED_ORIGINS": CORS_ALLOWED_ORIGINS,
}

# For reading /metrics; "" turns it off.
METRICS_TOKEN = env.credential("NEXGENT_METRICS_TOKEN", shortest=16)

# Prices. The addresses are settings so that tests, or a proxy, can replace them.

PRICES: dict[str, Any] = {
    "SOURCES": price_sources(env, "NEXGENT_PRICE_SOURCES"),
    "DEXSCREENER_URL": env.text("NEXGENT_DEXSCREENER_URL", "https://api.dexscreener.com"),
    "JUPITER_URL": env.text("NEXGENT_JUPITER_URL", "https://api.jup.ag"),
    "JUPITER_API_KEY": env.text("NEXGENT_JUPITER_API_KEY"),
    "REQUEST_TIMEOUT_SECONDS": env.duration("NEXGENT_PRICE_TIMEOUT_SECONDS", 3.0),
    "STALE_SECONDS": env.duration("NEXGENT_PRICE_STALE_SECONDS", 60.0),
    "JUMP_ROUNDS": env.number("NEXGENT_PRICE_JUMP_ROUNDS", 5, minimum=0),
    "POOL_FLOOR_USD": Decimal(env.number("NEXGENT_POOL_FLOOR_USD", 1_000, minimum=0)),
}

# History: candles of held tokens, and what agents' positions were worth.
HISTORY = {
    "FINE_DAYS": env.duration("NEXGENT_HISTORY_FINE_DAYS", 2.0, unit=DAY),
    "DAYS": env.duration("NEXGENT_HISTORY_DAYS", 365.0, unit=DAY),
}

# Web

LANGUAGE_CODE = "en-us"
TIME_ZONE = "UTC"
USE_TZ = True
STATIC_URL = "static/"
STATIC_ROOT = Path(env.text("NEXGENT_STATIC_DIR", str(DATA_DIR / "static")))
SERVESTATIC_USE_FINDERS = DEBUG
SERVESTATIC_AUTOREFRESH = DEBUG
SSL_REDIRECT = env.flag("NEXGENT_SSL_REDIRECT", default=True)
HSTS_SECONDS = env.duration("NEXGENT_HSTS_SECONDS", 31_536_000, minimum=0)
if not DEBUG:
    STORAGES = {
        "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
        "staticfiles": {"BACKEND": "servestatic.storage.CompressedManifestStaticFilesStorage"},
    }
    if BEHIND_PROXY:
        SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    SECURE_SSL_REDIRECT = SSL_REDIRECT
    SECURE_REDIRECT_EXEMPT = [r"^health", r"^metrics$"]  # requested from inside, without TLS
    SECURE_HSTS_SECONDS = HSTS_SECONDS
    SECURE_HSTS_INCLUDE_SUBDOMAINS = True
    SECURE_HSTS_PRELOAD = True
    SESSION_COOKIE_SECURE = True
    CSRF_COOKIE_SECURE = True

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
    "handlers": {
        "stderr": {
            "class": "logging.StreamHandler",
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
    },
}

env.check()
