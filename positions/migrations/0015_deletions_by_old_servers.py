"""Servers of the release before know no trades: where they delete a position, the database deletes its trades.

PostgreSQL only: an update that is not a stop serves from there. Django does the same by itself in servers of this release.
"""

from django.db import migrations

TABLES = [
    ("Trade", "position", "CASCADE"),
    ("Trade", "wallet", "CASCADE"),
    ("StoredAnswer", "trade", "SET NULL"),
    ("StoredAnswer", "user", "CASCADE"),
]


def follow_deletions(apps, schema_editor):
    connection = schema_editor.connection
    if connection.vendor != "postgresql":
        return
    quote = schema_editor.quote_name
    for model_name, field_name, action in TABLES:
        model = apps.get_model("positions", model_name)
        table, field = model._meta.db_table, model._meta.get_field(field_name)
        with connection.cursor() as cursor:
            constraints = connection.introspection.get_constraints(cursor, table)
        for name, constraint in constraints.items():
            if constraint["foreign_key"] and constraint["columns"] == [field.column]:
                to_table, to_column = constraint["foreign_key"]
                schema_editor.execute(f"ALTER TABLE {quote(table)} DROP CONSTRAINT {quote(name)}")
                schema_editor.execute(
                    f"ALTER TABLE {quote(table)} ADD CONSTRAINT {quote(name)} FOREIGN KEY ({quote(field.column)})"
                    f" REFERENCES {quote(to_table)} ({quote(to_column)}) ON DELETE {action}"
                    " DEFERRABLE INITIALLY DEFERRED"
                )


class Migration(migrations.Migration):

    dependencies = [
        ("positions", "0014_trades_of_before"),
    ]

    operations = [
        migrations.RunPython(follow_deletions, migrations.RunPython.noop),
    ]
