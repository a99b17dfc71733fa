"""The trigger that ends token families with their user's password or activity.

Where a server of the release before, which knows no families, deletes a user, the database deletes them (PostgreSQL only,
as in 0015).
"""

from django.conf import settings
from django.db import migrations

from positions.models import user_changes


def follow_users(apps, schema_editor):
    connection, quote = schema_editor.connection, schema_editor.quote_name
    user_changes.watch(connection)
    if connection.vendor != "postgresql":
        return
    with connection.cursor() as cursor:
        constraints = connection.introspection.get_constraints(cursor, user_changes.FAMILIES)
    for name, constraint in constraints.items():
        if constraint["foreign_key"]:
            table, column = constraint["foreign_key"]
            alter = f"ALTER TABLE {quote(user_changes.FAMILIES)}"
            schema_editor.execute(f"{alter} DROP CONSTRAINT {quote(name)}")
            schema_editor.execute(
                f"{alter} ADD CONSTRAINT {quote(name)} FOREIGN KEY (user_id)"
                f" REFERENCES {quote(table)} ({quote(column)}) ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED"
            )


def forget_users(apps, schema_editor):
    user_changes.unwatch(schema_editor.connection)


class Migration(migrations.Migration):

    dependencies = [
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
        ("positions", "0017_token_families"),
    ]

    operations = [
        migrations.RunPython(follow_users, forget_users),
    ]
