"""The database itself ends a user's token families where the password changes or the user is deactivated.

Django tells of `save()` only: not of `QuerySet.update`, of SQL, or of another program. A user who was deactivated and
activated again between two looks would have the old tokens back. So a trigger does it, in the transaction of the
change. It is made by a migration, and made anew after every `migrate`: on SQLite, a migration that alters a table makes
a new one, without triggers.
"""

from __future__ import annotations

from typing import Any

from django.contrib.auth import get_user_model
from django.db import connections

NAME = "positions_user_changed"
FAMILIES = "positions_tokenfamily"

_CHANGED = "OLD.password <> NEW.password OR (OLD.is_active AND NOT NEW.is_active)"
# Not those that have long expired: a log-in may be deleting them, in another order (a deadlock).
_END = """
UPDATE {families} SET ended_at = {now},
  ended_because = CASE WHEN NEW.is_active THEN 'password' ELSE 'deactivated' END
WHERE user_id = NEW.{key} AND ended_at IS NULL AND expires_at > {yesterday};
"""
_TIMES = {
    "postgresql": {"now": "clock_timestamp()", "yesterday": "clock_timestamp() - interval '1 day'"},
    "sqlite": {  # as Django writes them
        "now": "strftime('%Y-%m-%d %H:%M:%f', 'now')",
        "yesterday": "strftime('%Y-%m-%d %H:%M:%f', 'now', '-1 day')",
    },
}
_FUNCTION = """
CREATE OR REPLACE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN {end} RETURN NULL; END $$
"""
_POSTGRESQL = """
CREATE TRIGGER {name} AFTER UPDATE OF password, is_active ON {users}
FOR EACH ROW WHEN ({changed}) EXECUTE FUNCTION {name}()
"""
_SQLITE = """
CREATE TRIGGER IF NOT EXISTS {name} AFTER UPDATE OF password, is_active ON {users}
WHEN {changed} BEGIN {end} END
"""
_EXISTS = "SELECT FROM pg_trigger WHERE tgname = %s AND tgrelid = %s::regclass"


def watch(connection: Any) -> None:
    """Make the trigger, unless it is there."""
    user_model, quote = get_user_model(), connection.ops.quote_name
    is_postgresql = connection.vendor == "postgresql"
    times = _TIMES["postgresql" if is_postgresql else "sqlite"]
    end = _END.format(families=quote(FAMILIES), key=quote(user_model._meta.pk.column), **times)
    users = quote(user_model._meta.db_table)
    names = {"name": NAME, "users": users, "changed": _CHANGED, "end": end}
    with connection.cursor() as cursor:
        if not is_postgresql:
            cursor.execute(_SQLITE.format(**names))
            return
        cursor.execute(_FUNCTION.format(**names))
        cursor.execute(_EXISTS, [NAME, users])
        if cursor.fetchone() is None:  # else not even a lock: readers of the table would wait for it
            cursor.execute(_POSTGRESQL.format(**names))


def unwatch(connection: Any) -> None:
    """Remove the trigger."""
    users = connection.ops.quote_name(get_user_model()._meta.db_table)
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute(f"DROP TRIGGER IF EXISTS {NAME} ON {users}")
            cursor.execute(f"DROP FUNCTION IF EXISTS {NAME}()")
        else:
            cursor.execute(f"DROP TRIGGER IF EXISTS {NAME}")


def before_migrations(using: str, **kwargs: Any) -> None:
    """On SQLite, no table that a trigger names can be made anew: renaming one checks all triggers."""
    connection = connections[using]
    if connection.vendor == "sqlite":
        unwatch(connection)


def after_migrations(using: str, **kwargs: Any) -> None:
    connection = connections[using]
    tables = {FAMILIES, get_user_model()._meta.db_table}
    if tables <= set(connection.introspection.table_names()):  # else migrated back to before there was one
        watch(connection)
