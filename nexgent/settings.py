"""Settings, all from the environment. Without any, everything runs on this machine, in debug mode, below `var/`."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

from django.core.exceptions import ImproperlyConfigured

from nexgent.environment import (
    database,
    embedded_valkey_socket,
    env_bool,
    env_choice,
    env_float,
    env_int,
    env_list,
    env_names,
    env_origins,
    env_str,
    redis_urls,
    secret,
    secret_key,
)

BASE_DIR = Path(__file__).resolve().parent.parent
DATA_DIR = Path(env_str("NEXGENT_DATA_DIR", str(BASE_DIR / "var"))).expanduser().resolve()

DEBUG = env_bool("NEXGENT_DEBUG", default=True)
SECRET_KEY = secret_key(debug=DEBUG, data_dir=DATA_DIR)
LOCAL_HOSTS = ["localhost", "127.0.0.1", "[::1]"]
ALLOWED_HOSTS = env_list("NEXGENT_ALLOWED_HOSTS", LOCAL_HOSTS if DEBUG else [])
if not DEBUG and not ALLOWED_HOSTS:
    raise ImproperlyConfigured("NEXGENT_ALLOWED_HOSTS must name the hosts served when NEXGENT_DEBUG is off.")
# Only where a proxy sets X-Forwarded-For and -Proto itself: a client that reaches us directly could claim anything.
BEHIND_PROXY = env_bool("NEXGENT_BEHIND_PROXY", default=False)
CSRF_TRUSTED_ORIGINS = env_list("NEXGENT_TRUSTED_ORIGINS", [])
CSRF_FAILURE_VIEW = "realtime.web.views.forbidden"

# Pages of other origins may open sockets (REALTIME, below) and use the REST API. They bring a token: the cookie of
# /api/session/ is the own page's alone.
CORS_ALLOWED_ORIGINS = env_origins("NEXGENT_ALLOWED_ORIGINS")
CORS_URLS_REGEX = r"/api/(?!session/)"
CORS_ALLOW_HEADERS = ["accept", "authorization", "content-type", "x-request-id"]
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
]

MIDDLEWARE = [
    "realtime.monitoring.request_ids.request_ids",
    "corsheaders.middleware.CorsMiddleware",  # so early that every error has its headers, too
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

DATABASES = {"default": database(env_str("DATABASE_URL", ""), data_dir=DATA_DIR)}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

REDIS_URLS = redis_urls(env_str("REDIS_URL", ""), data_dir=DATA_DIR)
# Where `manage.py up` lets its Valkey listen; None where REDIS_URL names a server.
EMBEDDED_VALKEY_SOCKET = None if env_str("REDIS_URL", "") else embedded_valkey_socket(DATA_DIR)
REDIS_URL = REDIS_URLS[0]  # the price cache and who is connected; the other shards carry messages only
CHANNEL_LAYERS = {
    "default": {
        # It survives a restart of the server behind it; what it loses is read from the database (docs/adr/0002).
        "BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer",
        "CONFIG": {
            # Protocol 2: with 3, redis-py 8 makes a text of every message for a log that nobody reads, a quarter of
            # what it costs to receive a round of 200 prices.
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
    "FAILURES": env_int("NEXGENT_LOGIN_FAILURES", 10),
    "LOCK_SECONDS": env_float("NEXGENT_LOGIN_LOCK_SECONDS", 900.0),
    "TOKEN_REQUESTS_PER_MINUTE": env_int("NEXGENT_TOKEN_REQUESTS_PER_MINUTE", 60),
}
SIMPLE_JWT = {
    "ACCESS_TOKEN_LIFETIME": timedelta(minutes=env_float("NEXGENT_ACCESS_TOKEN_MINUTES", 30)),
    "REFRESH_TOKEN_LIFETIME": timedelta(days=env_float("NEXGENT_REFRESH_TOKEN_DAYS", 7)),
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
        "What trading agents hold, and what it is worth. Live: the socket at /ws, described at /api/asyncapi.yaml."
        " A token with the scope `read` reads and watches only: a write with it answers 403."
    ),
    "VERSION": "1",
    "OAS_VERSION": "3.1.0",
    "SCHEMA_PATH_PREFIX": "/api/",
    "ENFORCE_NON_BLANK_FIELDS": True,
    "POSTPROCESSING_HOOKS": ["positions.api.schema.add_components"],
}

# The socket. Seconds and bytes as named; docs/settings.md says what each is for.

REALTIME: dict[str, Any] = {
    "PING_INTERVAL_SECONDS": env_float("NEXGENT_PING_INTERVAL_SECONDS", 30.0),
    "DEAD_AFTER_SECONDS": env_float("NEXGENT_DEAD_AFTER_SECONDS", 60.0),
    "MAX_MESSAGE_BYTES": env_int("NEXGENT_MAX_MESSAGE_BYTES", 16_384),
    "INBOUND_MESSAGES_PER_SECOND": env_float("NEXGENT_INBOUND_MESSAGES_PER_SECOND", 10.0),
    "INBOUND_BURST": env_int("NEXGENT_INBOUND_BURST", 40),
    "MAX_SOCKETS": env_int("NEXGENT_MAX_SOCKETS", 20_000),
    "MAX_UNSENT_EVENTS": env_int("NEXGENT_MAX_UNSENT_EVENTS", 1_000),
    "RETRY_AFTER_SECONDS": env_float("NEXGENT_RETRY_AFTER_SECONDS", 2.0),
    "RECONCILE_SECONDS": env_float("NEXGENT_RECONCILE_SECONDS", 5.0),
    "MAX_REPLAYED_EVENTS": env_int("NEXGENT_MAX_REPLAYED_EVENTS", 500),
    "CONNECTS_PER_SECOND": env_float("NEXGENT_CONNECTS_PER_SECOND", 200.0),
    "CONNECT_BURST": env_int("NEXGENT_CONNECT_BURST", 2_000),
    "CLOSE_SECONDS": env_float("NEXGENT_CLOSE_SECONDS", 10.0),
    "PRESENCE_SECONDS": env_float("NEXGENT_PRESENCE_SECONDS", 5.0),
    "DATABASE_THREADS": env_int("NEXGENT_DATABASE_THREADS", 8),
    "ALLOWED_ORIGINS": CORS_ALLOWED_ORIGINS,
}

# Who may read /metrics; "" is nobody.
METRICS_TOKEN = secret("NEXGENT_METRICS_TOKEN")

# Prices. The addresses are settings so that tests, and a proxy, can stand in.

PRICES: dict[str, Any] = {
    "SOURCES": env_names("NEXGENT_PRICE_SOURCES"),
    "DEXSCREENER_URL": env_str("NEXGENT_DEXSCREENER_URL", "https://api.dexscreener.com"),
    "JUPITER_URL": env_str("NEXGENT_JUPITER_URL", "https://api.jup.ag"),
    "JUPITER_API_KEY": env_str("NEXGENT_JUPITER_API_KEY", ""),
    "REQUEST_TIMEOUT_SECONDS": env_float("NEXGENT_PRICE_TIMEOUT_SECONDS", 3.0),
}

# Web

LANGUAGE_CODE = "en-us"
TIME_ZONE = "UTC"
USE_TZ = True
STATIC_URL = "static/"
STATIC_ROOT = Path(env_str("NEXGENT_STATIC_DIR", str(DATA_DIR / "static")))
SERVESTATIC_USE_FINDERS = DEBUG
SERVESTATIC_AUTOREFRESH = DEBUG
if not DEBUG:
    STORAGES = {
        "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
        "staticfiles": {"BACKEND": "servestatic.storage.CompressedManifestStaticFilesStorage"},
    }
    if BEHIND_PROXY:
        SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    SECURE_SSL_REDIRECT = env_bool("NEXGENT_SSL_REDIRECT", default=True)
    SECURE_REDIRECT_EXEMPT = [r"^health", r"^metrics$"]  # asked from inside, without TLS
    SECURE_HSTS_SECONDS = env_int("NEXGENT_HSTS_SECONDS", 31_536_000, minimum=0)
    SECURE_HSTS_INCLUDE_SUBDOMAINS = True
    SECURE_HSTS_PRELOAD = True
    SESSION_COOKIE_SECURE = True
    CSRF_COOKIE_SECURE = True

LOG_LEVEL = env_str("NEXGENT_LOG_LEVEL", "INFO")
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
            "formatter": env_choice("NEXGENT_LOG_FORMAT", "text" if DEBUG else "json", ["json", "text"]),
        }
    },
    # Libraries, and the servers, which are given their levels on their command lines.
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
